import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type KubernetesClient, resourcePath } from '@shard-controller/shared/kubernetes';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { untilWell } from '@shard-controller/shared/testing';
import { MANAGER_ACCOUNT, managerDeployment, type ManagerOptions, WORKER_ACCOUNT } from './manager.ts';
import { clusterRights, type Manifest, namespaceObject, namespaceRights, serviceAccount } from './objects.ts';
import { REFERENCE_ACCOUNT } from './reference-exporter.ts';
import { exportedKindsRules, managerRules, type ResourceGroup, workerRules } from './rights.ts';

const FIELD_MANAGER = 'shard-controller-install';
const CRDS = join(import.meta.dirname, '..', '..', '..', 'crds');

export interface InstallOptions extends ManagerOptions {
  /** Kinds that the fleet exports besides kube-state-metrics' defaults. */
  readonly customResources?: readonly ResourceGroup[];
  /** Without it, everything but the managers themselves. Default true. */
  readonly manager?: boolean;
}

/** All objects of an installation except the CustomResourceDefinitions, in the order in which they can be applied. */
function installation(options: InstallOptions): readonly Manifest[] {
  const { namespace } = options;
  const exported = exportedKindsRules(options.customResources);
  return [
    namespaceObject(namespace),
    serviceAccount(namespace, MANAGER_ACCOUNT),
    ...namespaceRights(namespace, MANAGER_ACCOUNT, managerRules),
    serviceAccount(namespace, WORKER_ACCOUNT),
    ...namespaceRights(namespace, WORKER_ACCOUNT, workerRules),
    ...clusterRights(namespace, WORKER_ACCOUNT, exported),
    serviceAccount(namespace, REFERENCE_ACCOUNT),
    ...clusterRights(namespace, REFERENCE_ACCOUNT, exported),
    ...(options.manager === false ? [] : [managerDeployment(options)]),
  ];
}

/** Lets the workers read what is exported, less the resource `taken`. */
export async function grantKinds(
  client: KubernetesClient,
  { namespace, customResources }: Pick<InstallOptions, 'namespace' | 'customResources'>,
  taken?: string,
): Promise<void> {
  for (const object of clusterRights(namespace, WORKER_ACCOUNT, exportedKindsRules(customResources, taken))) {
    await client.apply({ object, fieldManager: FIELD_MANAGER, force: true });
  }
}

/**
 * Applies everything that a fleet needs: definitions, namespace, accounts with the rights that they need and no others,
 * and the managers. Idempotent. Does not wait for the managers.
 */
export async function install(client: KubernetesClient, options: InstallOptions): Promise<void> {
  await installDefinitions(client);
  for (const object of installation(options)) {
    await client.apply({ object, fieldManager: FIELD_MANAGER, force: true });
  }
}

/** Applies `crds/*.yaml` and waits until the API server serves the kinds. */
export async function installDefinitions(client: KubernetesClient): Promise<void> {
  const definitions = readDefinitions();
  await Promise.all(definitions.map((object) => client.apply({ object, fieldManager: FIELD_MANAGER, force: true })));
  await Promise.all(definitions.map(({ metadata }) => established(client, metadata.name)));
}

const definitionSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.literal('CustomResourceDefinition'),
  metadata: z.looseObject({ name: z.string() }),
  status: z
    .looseObject({
      conditions: z
        .array(z.looseObject({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .nullish(),
    })
    .optional(),
});

function readDefinitions(): readonly z.infer<typeof definitionSchema>[] {
  return readdirSync(CRDS)
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => parseAllDocuments(readFileSync(join(CRDS, name), 'utf8')))
    .map((document) => definitionSchema.parse(document.toJS()));
}

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
