import { z } from 'zod';
import { type Manifest, render } from '../chart/render.ts';
import { chartValues, RELEASE } from './chart-values.ts';

const ruleSchema = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  resourceNames: z.array(z.string()).optional(),
  verbs: z.array(z.string()),
});
const roleSchema = z.looseObject({ rules: z.array(ruleSchema) });

/** One rule of a Role or ClusterRole. */
export type PolicyRule = Readonly<z.infer<typeof ruleSchema>>;

/** Kinds beyond the exporter's defaults that a fleet exports, by API group. */
export interface ResourceGroup {
  readonly group: string;
  readonly resources: readonly string[];
}

/** What the chart grants. */
export interface Rights {
  /** To managers, in their namespace. */
  readonly manager: readonly PolicyRule[];
  /** To workers, in their namespace. */
  readonly worker: readonly PolicyRule[];
  /** To workers, cluster-wide: what they export. */
  readonly exported: readonly PolicyRule[];
}

/**
 * The permissions that an installation gives, for tests that install nothing else.
 *
 * @param taken a resource that is left out of what is exported
 */
export async function chartRights(
  namespace: string,
  customResources?: readonly ResourceGroup[],
  taken?: string,
): Promise<Rights> {
  const values = chartValues({ natsUrl: 'nats://127.0.0.1:4222', customResources });
  const manifests = await render({ namespace, release: RELEASE, values, hooks: false });
  const rules = (kind: string, name: string): readonly PolicyRule[] => rulesOf(manifests, kind, name);
  const exported = rules('ClusterRole', exporterRole(namespace)).map((rule) => ({
    ...rule,
    resources: rule.resources.filter((resource) => resource !== taken),
  }));
  return {
    manager: rules('Role', `${RELEASE}-manager`),
    worker: rules('Role', `${RELEASE}-worker`),
    exported: exported.filter(({ resources }) => resources.length > 0),
  };
}

/** What the chart grants to managers that run KSMScales alone. */
export interface ScaleRights {
  /** In the whole cluster: what has no namespace. */
  readonly cluster: readonly PolicyRule[];
  /** In each namespace of pods. */
  readonly pods: readonly PolicyRule[];
  /** In the namespace `default`. */
  readonly events: readonly PolicyRule[];
  /** In the managers' own namespace. */
  readonly election: readonly PolicyRule[];
}

/** @param pods the namespace of the pods. */
export async function chartScaleRights(namespace: string, pods: string): Promise<ScaleRights> {
  const values = { manager: { shardConfigs: false }, ksmScale: { enabled: true, namespaces: [pods] } };
  const manifests = await render({ namespace, release: RELEASE, values, hooks: false });
  const name = `${exporterRole(namespace)}-ksmscale`;
  return {
    cluster: rulesOf(manifests, 'ClusterRole', name),
    pods: rulesOf(manifests, 'Role', name),
    events: rulesOf(manifests, 'Role', `${name}-events`),
    election: rulesOf(manifests, 'Role', `${RELEASE}-manager`),
  };
}

/** Name of the ClusterRole with what workers export. */
export const exporterRole = (namespace: string): string => `${namespace}:${RELEASE}`;

function rulesOf(manifests: readonly Manifest[], kind: string, name: string): readonly PolicyRule[] {
  const role = manifests.find((object) => object.kind === kind && object.metadata?.name === name);
  return roleSchema.parse(role).rules;
}
