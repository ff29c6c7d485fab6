import type { KubernetesObject } from '@shard-controller/shared/kubernetes';
import { z } from 'zod';
import type { Manifest } from './render.ts';

const podSpec = z.looseObject({
  serviceAccountName: z.string().optional(),
  securityContext: z.looseObject({ runAsUser: z.int().optional() }).optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  imagePullSecrets: z.array(z.looseObject({ name: z.string() })).optional(),
  volumes: z.array(z.looseObject({ name: z.string() })).default([]),
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

const claims = z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })).default([]);
const controller = z.looseObject({ spec: z.looseObject({ template, volumeClaimTemplates: claims }) });
const pod = z.looseObject({ spec: podSpec, metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }) });

export type PodTemplate = z.infer<typeof template>;

const CONTROLLERS = ['Deployment', 'StatefulSet', 'Job'];

/** The pod that an object makes or is; undefined for an object without one. */
export function podTemplateOf(object: KubernetesObject): PodTemplate | undefined {
  if (CONTROLLERS.includes(object.kind ?? '')) return withClaims(controller.parse(object).spec);
  return object.kind === 'Pod' ? template.parse(pod.parse(object)) : undefined;
}

/** As the controller of a StatefulSet adds them. */
function withClaims({ template, volumeClaimTemplates }: z.infer<typeof controller>['spec']): PodTemplate {
  const volumes = volumeClaimTemplates.map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: `${name}-pod` },
  }));
  return { ...template, spec: { ...template.spec, volumes: [...template.spec.volumes, ...volumes] } };
}

/** The pods of all objects, as objects of their own. */
export function podsOf(manifests: readonly Manifest[]): readonly Manifest[] {
  return manifests.map(podOf).filter((pod) => pod !== undefined);
}

function podOf(object: Manifest): Manifest | undefined {
  const made = podTemplateOf(object);
  if (made === undefined) return undefined;
  const { name, namespace = '' } = object.metadata ?? {};
  const { labels, annotations = {} } = made.metadata;
  const metadata = { labels, annotations, name: `${name}-pod`, namespace };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: made.spec };
}
