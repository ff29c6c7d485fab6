import { task } from '@shard-controller/shared/runtime';
import { KsmScaleController, KsmScaleMetrics } from './ksmscale/index.ts';
import type { Part, PartInput } from './part.ts';

/** Runs KSMScales; needs nothing but the API server. */
export function ksmScalePart(input: PartInput): Part {
  const { config, client, leadership, recorder, health, metrics, clock, logger } = input;
  const controller = new KsmScaleController({
    client,
    settings: config.ksmScales,
    leading: leadership,
    recorder,
    metrics: new KsmScaleMetrics(metrics),
    clock,
    logger,
  });
  health.addReadinessCheck('ksmscales', async () =>
    controller.isSynced ? undefined : 'KSMScales, nodes and what belongs to KSMScales are not listed yet',
  );
  return { components: [task('ksmscales', (signal) => controller.run(signal))], synced: controller.synced };
}
