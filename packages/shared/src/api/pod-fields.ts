import { z } from 'zod';
import { annotations, labels, nodeLabels, objectName, qualifiedKeys } from './fields.ts';
import { withRules } from './rules.ts';

const toleration = () =>
  withRules(
    z.object({
      key: z.string().max(317).optional().describe('Taint key; empty with operator Exists matches every taint.'),
      operator: z.enum(['Exists', 'Equal']).optional(),
      value: z.string().max(63).optional(),
      effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
      tolerationSeconds: z.int().min(-1).max(2_147_483_647).optional(),
    }),
    [
      {
        cel: "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
        message: 'without a key the operator must be Exists',
        check: ({ key, operator }) => (key ?? '') !== '' || operator === 'Exists',
      },
      {
        cel: "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        message: 'operator Exists takes no value',
        check: ({ operator, value }) => operator !== 'Exists' || (value ?? '') === '',
      },
      {
        cel: "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        message: 'tolerationSeconds needs effect NoExecute',
        check: ({ tolerationSeconds, effect }) => tolerationSeconds === undefined || effect === 'NoExecute',
      },
    ],
  );

const OWN_PREFIXES = ['shard.io/', 'app.kubernetes.io/'] as const;

const podLabels = () =>
  withRules(labels(), [
    {
      cel: `self.all(key, !${OWN_PREFIXES.map((prefix) => `key.startsWith('${prefix}')`).join(' && !')})`,
      message: `labels under ${OWN_PREFIXES.join(' and ')} are set by the controller`,
      check: (value) => Object.keys(value).every((key) => OWN_PREFIXES.every((prefix) => !key.startsWith(prefix))),
    },
    qualifiedKeys,
  ]);

/** What users usually set on pods, for the worker pods of a ShardConfig. */
export const podFields = () => ({
  nodeSelector: nodeLabels().optional().describe('Labels a node must have to run a worker pod.'),
  tolerations: z.array(toleration()).max(64).optional().describe('Tolerations of the worker pods.'),
  affinity: z
    .looseObject({})
    .optional()
    .describe('Affinity of the worker pods, passed on unchanged (core/v1 Affinity).'),
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
    .describe('Time that a terminating worker has to hand over its slots, in seconds.'),
  podLabels: podLabels().optional().describe('Additional labels of the worker pods.'),
  podAnnotations: annotations().optional().describe('Additional annotations of the worker pods.'),
});
