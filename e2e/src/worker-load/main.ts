import { measureWorkerFrames } from './index.ts';

/**
 * Prints what a frame costs the worker: `node --conditions=@shard/source e2e/src/worker-load/main.ts [share …]`.
 * Environment: LOAD_FRAMES, LOAD_BYTES, LOAD_OBJECTS, LOAD_NARROWS=1 for an API
 * server that narrows, and LOAD_NODE_ARGS for the worker's Node.
 */
const number = (name: string, standard: number): number => Number(process.env[name] ?? standard);
const given = process.argv.slice(2).map(Number);
const nodeArguments = (process.env['LOAD_NODE_ARGS'] ?? '').split(' ').filter((argument) => argument !== '');

for (const keptShare of given.length > 0 ? given : [0, 0.25, 1]) {
  const figures = await measureWorkerFrames({
    frames: number('LOAD_FRAMES', 60_000),
    bytes: number('LOAD_BYTES', 1024),
    objects: number('LOAD_OBJECTS', 20_000),
    keptShare,
    narrows: process.env['LOAD_NARROWS'] === '1',
    nodeArguments,
  });
  console.log(JSON.stringify({ share: keptShare, ...figures }));
}
