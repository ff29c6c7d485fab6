import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import { untilWell } from '@shard-controller/shared/testing';
import { z } from 'zod';
import { type Manifest, render } from '../chart/render.ts';
import type { ClusterNats } from '../cluster/index.ts';
import { chartValues, NATS_CA_SECRET, NATS_MANAGER_SECRET, RELEASE } from './chart-values.ts';
import { referenceAccount } from './reference-exporter.ts';
import { chartRights, exporterRole, type ResourceGroup } from './rights.ts';

const FIELD_MANAGER = 'shard-controller-install';
const RBAC = 'rbac.authorization.k8s.io';

export interface InstallOptions {
  readonly namespace: string;
  readonly nats: ClusterNats;
  /** Kinds that the fleet exports besides kube-state-metrics' defaults. */
  readonly customResources?: readonly ResourceGroup[];
  /** Whether managers run KSMScales, too. */
  readonly ksmScale?: boolean;
}

/** Lets the workers read what is exported, less the resource `taken`. */
export async function grantKinds(
  client: KubernetesClient,
  { namespace, customResources }: Pick<InstallOptions, 'namespace' | 'customResources'>,
  taken?: string,
): Promise<void> {
  const { exported: rules } = await chartRights(namespace, customResources, taken);
  const role = { group: RBAC, version: 'v1', resource: 'clusterroles', name: exporterRole(namespace) };
  await client.patch(resourcePath(role), { rules });
}

/**
 * Applies what the chart renders for a cluster of process nodes, into a namespace that takes only pods of the restricted
 * profile, and the account of the reference exporter. Idempotent. Does not wait for the managers.
 */
export async function install(client: KubernetesClient, options: InstallOptions): Promise<void> {
  const { namespace } = options;
  const apply = (object: Manifest): Promise<unknown> =>
    client.apply({ object, fieldManager: FIELD_MANAGER, force: true });
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } });
  await apply(secretObject(namespace, NATS_MANAGER_SECRET, options.nats.credentials.manager));
  await apply(secretObject(namespace, NATS_CA_SECRET, options.nats.credentials.ca));
  const manifests = await rendered({ ...options, natsUrl: options.nats.url });
  await define(client, manifests);
  const others = manifests.filter((object) => !isDefinition(object));
  const { exported } = await chartRights(namespace, options.customResources);
  for (const object of [...others, ...referenceAccount(namespace, exported)]) await apply(object);
}

/** Applies the definitions of the chart alone. */
export async function installDefinitions(client: KubernetesClient): Promise<void> {
  await define(client, await rendered({ namespace: 'default', natsUrl: 'nats://nats:4222' }));
}

const rendered = (
  options: { readonly namespace: string } & Parameters<typeof chartValues>[0],
): Promise<readonly Manifest[]> =>
  render({ namespace: options.namespace, release: RELEASE, values: chartValues(options), hooks: false });

const secretObject = (namespace: string, name: string, stringData: Readonly<Record<string, string>>): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace },
  stringData,
});

const isDefinition = ({ kind }: Manifest): boolean => kind === 'CustomResourceDefinition';

/** Applies definitions and waits until the API server serves their kinds. */
async function define(client: KubernetesClient, manifests: readonly Manifest[]): Promise<void> {
  const definitions = manifests.filter(isDefinition);
  await Promise.all(definitions.map((object) => client.apply({ object, fieldManager: FIELD_MANAGER, force: true })));
  await Promise.all(definitions.map(({ metadata }) => established(client, metadata?.name ?? '')));
}

const definitionSchema = z.looseObject({
  status: z
    .looseObject({
      conditions: z
        .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .nullish(),
    })
    .optional(),
});

/** Waits until the API server serves the kind. */
async function established(client: KubernetesClient, name: string): Promise<void> {
  const path = resourcePath({
    group: 'apiextensions.k8s.io',
    version: 'v1',
    resource: 'customresourcedefinitions',
    name,
  });
  await untilWell(async () => {
    const { status } = definitionSchema.parse(await client.get(path));
    const conditions = status?.conditions ?? [];
    if (conditions.some(({ type, status: value }) => type === 'Established' && value === 'True')) return undefined;
    const reason = conditions.map(({ type, message }) => `${type}: ${message}`).join('; ');
    return `CustomResourceDefinition ${name} is not established (${reason})`;
  });
}
