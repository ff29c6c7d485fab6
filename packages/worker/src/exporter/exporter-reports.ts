import type { Logger } from '@shard-controller/shared/observability';
import type { ExporterMonitorOptions } from './exporter-monitor.ts';

/**
 * What the log says of an exporter that comes, goes, or never answers.
 *
 * @param where the exporter, for people.
 * @param onChange its state has changed.
 */
export function exporterReports(
  where: string,
  logger: Logger,
  onChange: () => void,
): Pick<ExporterMonitorOptions, 'onChange' | 'onSilence'> {
  return {
    onChange: ({ state }) => {
      if (state === 'running') logger.info(`${where} answers`);
      else logger.warn(`${where} no longer answers: see the log of its container`);
      onChange();
    },
    onSilence: (ms) => {
      logger.warn({ ms: Math.round(ms) }, `${where} does not answer: see the log and the arguments of its container`);
    },
  };
}
