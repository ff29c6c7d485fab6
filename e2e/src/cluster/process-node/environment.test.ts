import { describe, expect, it } from 'vitest';
import { containerEnvironment, ContainerConfigError, expand } from './environment.ts';
import { type Container, type Pod, podSchema } from './pod.ts';
import { parseQuantity } from './quantity.ts';

const place = { podIp: '10.88.1.1', nodeName: 'n1', hostIp: '10.88.0.1' };

function podWith(env: Container['env']): { pod: Pod; container: Container } {
  const container: Container = {
    name: 'c',
    image: 'i',
    env,
    resources: { limits: { memory: '512Mi', cpu: '500m' } },
  };
  const pod = podSchema.parse({
    metadata: { name: 'p', namespace: 'ns', uid: 'u', resourceVersion: '1', labels: { 'shard.io/revision': 'r1' } },
    spec: { nodeName: 'n1', containers: [container] },
  });
  return { pod, container };
}

async function environment(env: Container['env'], keys: Record<string, string> = {}): Promise<Record<string, string>> {
  const { pod, container } = podWith(env);
  return containerEnvironment(pod, container, place, (kind, name, key) =>
    Promise.resolve(keys[`${kind}/${name}/${key}`]),
  );
}

describe('expansion', () => {
  it.for([
    ['$(A)', 'a'],
    ['x$(A)y$(A)', 'xaya'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$a'],
    ['$(B)', '$(B)'],
    ['$A', '$A'],
    ['$(A', '$(A'],
    ['$', '$'],
  ] as const)('of %s is %s', ([text, expected]) => {
    expect(expand(text, { A: 'a' })).toBe(expected);
  });
});

describe('the environment of a container', () => {
  it('refers to what stands before it, not after it', async () => {
    const env = [
      { name: 'A', value: '1' },
      { name: 'B', value: '$(A)$(C)' },
      { name: 'C', value: '3' },
    ];
    expect(await environment(env)).toEqual({ A: '1', B: '1$(C)', C: '3' });
  });

  it('has the fields of the downward API', async () => {
    const fields = {
      NAME: 'metadata.name',
      UID: 'metadata.uid',
      REVISION: "metadata.labels['shard.io/revision']",
      ABSENT: "metadata.annotations['no']",
      IP: 'status.podIP',
      NODE: 'spec.nodeName',
    };
    const env = Object.entries(fields).map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { fieldPath } } }));
    const expected = { NAME: 'p', UID: 'u', REVISION: 'r1', ABSENT: '', IP: '10.88.1.1', NODE: 'n1' };
    expect(await environment(env)).toEqual(expected);
  });

  it('has the limits, in bytes and in whole cores', async () => {
    const env = ['limits.memory', 'limits.cpu'].map((resource) => ({
      name: resource,
      valueFrom: { resourceFieldRef: { resource } },
    }));
    expect(await environment(env)).toEqual({ 'limits.memory': '536870912', 'limits.cpu': '1' });
  });

  it('has keys of ConfigMaps and Secrets, and says which one is missing', async () => {
    const from = (optional: boolean) => [
      { name: 'A', valueFrom: { configMapKeyRef: { name: 'm', key: 'k', optional } } },
      { name: 'B', valueFrom: { secretKeyRef: { name: 's', key: 'k', optional } } },
    ];
    const present = { 'configmaps/m/k': 'x', 'secrets/s/k': 'y' };
    expect(await environment(from(false), present)).toEqual({ A: 'x', B: 'y' });
    expect(await environment(from(true))).toEqual({});
    await expect(environment(from(false))).rejects.toThrow('env A: no key k in configmaps m');
  });

  it('refuses a field that it does not know', async () => {
    const env = [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.qosClass' } } }];
    await expect(environment(env)).rejects.toThrow(ContainerConfigError);
  });
});

describe('a quantity', () => {
  it.for([
    ['500m', 0.5],
    ['2', 2],
    ['1Ki', 1024],
    ['1.5Gi', 1.5 * 1024 ** 3],
    ['3M', 3e6],
    ['abc', undefined],
    ['', undefined],
  ] as const)('%s is %s', ([text, expected]) => {
    expect(parseQuantity(text)).toBe(expected);
  });
});
