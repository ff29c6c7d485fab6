export { Simulation, testSettings } from './simulation.ts';
