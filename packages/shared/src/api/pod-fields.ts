import { z } from 'zod';
import { annotations, labels, objectName, QUALIFIED_NAME } from './fields.ts';
import { withRules } from './rules.ts';

const toleration = () =>
  z.object({
    key: z.string().max(317).optional().describe('Taint key; empty with operator Exists matches every taint.'),
    operator: z.enum(['Exists', 'Equal']).optional(),
    value: z.string().max(63).optional(),
    effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
    tolerationSeconds: z.int().min(-1).max(2_147_483_647).optional(),
  });

const OWN_PREFIXES = ['shard.io/', 'app.kubernetes.io/'] as const;

const podLabels = () =>
  withRules(labels(), [
    {
      cel: `self.all(key, !${OWN_PREFIXES.map((prefix) => `key.startsWith('${prefix}')`).join(' && !')})`,
      message: `labels under ${OWN_PREFIXES.join(' and ')} are set by the controller`,
      check: (value) => Object.keys(value).every((key) => OWN_PREFIXES.every((prefix) => !key.startsWith(prefix))),
    },
    {
      cel: `self.all(key, key.matches('${QUALIFIED_NAME.source.replaceAll('\\', '\\\\')}'))`,
      message: 'each key must be a label key, like team or example.com/team',
      check: (value) => Object.keys(value).every((key) => QUALIFIED_NAME.test(key)),
    },
  ]);

/** What users usually set on pods, for the worker pods of a ShardConfig. */
export const podFields = () => ({
  nodeSelector: labels().optional().describe('Labels a node must have to run a worker pod.'),
  tolerations: z.array(toleration()).max(64).optional().describe('Tolerations of the worker pods.'),
  affinity: z
    .looseObject({})
    .optional()
    .describe('Affinity of the worker pods, passed through as it is (core/v1 Affinity).'),
  priorityClassName: objectName().optional().describe('PriorityClass of the worker pods.'),
  imagePullSecrets: z
    .array(z.object({ name: objectName() }))
    .max(16)
    .optional()
    .describe('Secrets for pulling the images of the worker pods.'),
  terminationGracePeriodSeconds: z
    .int()
    .min(1)
    .max(86_400)
    .default(180)
    .describe('Time a terminating worker has for handing over its slots, in seconds.'),
  podLabels: podLabels().optional().describe('Further labels of the worker pods.'),
  podAnnotations: annotations().optional().describe('Further annotations of the worker pods.'),
});
