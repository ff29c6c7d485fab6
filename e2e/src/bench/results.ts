import type { RunFigures } from './arms.ts';
import type { MoveFigures } from './moves-phase.ts';
import type { FilterFigures, WorkerFigures } from './part-benches.ts';
import type { ResizeFigures } from './resize-phase.ts';
import type { Arm, Settings } from './settings.ts';

/** Everything that a run measured; an arm that did not run is absent. */
export interface Results {
  readonly at: string;
  readonly machine: string;
  readonly settings: Settings;
  readonly objects: number;
  /** Why an arm gave nothing. */
  readonly failed: Readonly<Partial<Record<Arm, string>>>;
  /** How long each arm took. */
  readonly seconds: Readonly<Partial<Record<Arm, number>>>;
  readonly plain?: RunFigures;
  readonly autosharded?: RunFigures;
  readonly ours?: RunFigures;
  readonly pushdown?: RunFigures;
  readonly single?: RunFigures;
  readonly resizeAutosharded?: readonly ResizeFigures[];
  readonly resizeOurs?: readonly ResizeFigures[];
  readonly moves?: readonly MoveFigures[];
  readonly worker?: WorkerFigures;
  readonly filter?: FilterFigures;
}
