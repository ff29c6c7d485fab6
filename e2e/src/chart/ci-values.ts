import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CHART } from './render.ts';

/** The chart's example values, as chart-testing names them: name -> file. */
export const CI_VALUES: ReadonlyMap<string, string> = new Map(
  readdirSync(join(CHART, 'ci')).map((file) => [basename(file, '-values.yaml'), join(CHART, 'ci', file)]),
);
