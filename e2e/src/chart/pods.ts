import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import { z } from 'zod';

const podSpec = z.looseObject({
  serviceAccountName: z.string().optional(),
  securityContext: z.looseObject({}).optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  imagePullSecrets: z.array(z.looseObject({ name: z.string() })).optional(),
  containers: z.array(
    z.looseObject({
      name: z.string(),
      image: z.string(),
      env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).optional(),
    }),
  ),
});

const template = z.looseObject({
  metadata: z.looseObject({
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
  spec: podSpec,
});

const controller = z.looseObject({ spec: z.looseObject({ template }) });
const pod = z.looseObject({ spec: podSpec, metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }) });

type PodTemplate = z.infer<typeof template>;

const CONTROLLERS = ['Deployment', 'StatefulSet', 'Job'];

/** The pod that an object makes or is; undefined for an object without one. */
export function podTemplateOf(object: KubernetesObject): PodTemplate | undefined {
  if (CONTROLLERS.includes(object.kind ?? '')) return controller.parse(object).spec.template;
  return object.kind === 'Pod' ? template.parse(pod.parse(object)) : undefined;
}
