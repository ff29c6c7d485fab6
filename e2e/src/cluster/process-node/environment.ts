import { resourceValue } from './quantity.ts';
import type { Container, Pod } from './pod.ts';

/** What the downward API knows that is not in the object. */
export interface PodPlace {
  readonly podIp: string;
  readonly nodeName: string;
  readonly hostIp: string;
}

/** Reads one key of a ConfigMap or Secret; undefined if the object or the key is absent. */
export type KeyReader = (kind: 'configmaps' | 'secrets', name: string, key: string) => Promise<string | undefined>;

/** The container's spec cannot be turned into a process. */
export class ContainerConfigError extends Error {
  readonly code = 'SC_CONTAINER_CONFIG';

  constructor(message: string) {
    super(message);
    this.name = 'ContainerConfigError';
  }
}

/**
 * `$(NAME)` is replaced where NAME is known and left as it is otherwise; `$$` is a literal dollar.
 * As in Kubernetes' third_party/forked/golang/expansion.
 */
export function expand(text: string, known: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^()]*)\))/g, (whole, rest: string, name: string | undefined) => {
    if (rest === '$') return '$';
    return known[name ?? ''] ?? whole;
  });
}

/**
 * A container's variables in order: a value may refer to those before it.
 *
 * @throws ContainerConfigError for a reference that cannot be resolved
 */
export async function containerEnvironment(
  pod: Pod,
  container: Container,
  place: PodPlace,
  readKey: KeyReader,
): Promise<Readonly<Record<string, string>>> {
  const known: Record<string, string> = {};
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) {
      known[name] = expand(value ?? '', known);
    } else if (valueFrom.fieldRef !== undefined) {
      known[name] = field(pod, place, valueFrom.fieldRef.fieldPath);
    } else if (valueFrom.resourceFieldRef !== undefined) {
      known[name] = String(resourceValue(pod, container, valueFrom.resourceFieldRef) ?? 0);
    } else {
      const kind = valueFrom.configMapKeyRef === undefined ? 'secrets' : 'configmaps';
      const reference = valueFrom.configMapKeyRef ?? valueFrom.secretKeyRef;
      if (reference === undefined) throw new ContainerConfigError(`env ${name} has a valueFrom without a known source`);
      const found = await readKey(kind, reference.name, reference.key);
      if (found !== undefined) known[name] = found;
      else if (reference.optional !== true) {
        throw new ContainerConfigError(`env ${name}: no key ${reference.key} in ${kind} ${reference.name}`);
      }
    }
  }
  return known;
}

/** @throws ContainerConfigError for a path that this node does not know */
export function field(pod: Pod, place: PodPlace, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed !== null) {
    const map = keyed[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[keyed[2] ?? ''] ?? '';
  }
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace;
    case 'metadata.uid':
      return pod.metadata.uid;
    case 'metadata.labels':
      return keyValues(pod.metadata.labels);
    case 'metadata.annotations':
      return keyValues(pod.metadata.annotations);
    case 'spec.nodeName':
      return place.nodeName;
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default';
    case 'status.podIP':
    case 'status.podIPs':
      return place.podIp;
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.hostIp;
    default:
      throw new ContainerConfigError(`the downward API field ${path} is not known`);
  }
}

function keyValues(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .toSorted()
    .join('\n');
}
