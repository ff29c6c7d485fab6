import type { Container, Pod } from './pod.ts';

const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

/** A Kubernetes quantity in its base unit (bytes, cores); undefined if it is not one. */
export function parseQuantity(text: string): number | undefined {
  const match = /^([0-9.]+)(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.exec(text);
  const factor = FACTORS[match?.[2] ?? ''];
  const value = Number(match?.[1]);
  return match === null || factor === undefined || Number.isNaN(value) ? undefined : value * factor;
}

/** The downward API's `limits.memory` and the like, rounded up as Kubernetes does. */
export function resourceValue(
  pod: Pod,
  container: Container,
  reference: { readonly resource: string; readonly containerName?: string | undefined },
): number | undefined {
  const [list, resource] = reference.resource.split('.');
  const name = reference.containerName ?? container.name;
  const subject = pod.spec.containers.find((candidate) => candidate.name === name);
  const amounts = list === 'limits' ? subject?.resources?.limits : subject?.resources?.requests;
  const value = parseQuantity(amounts?.[resource ?? ''] ?? '');
  return value === undefined ? undefined : Math.ceil(value);
}
