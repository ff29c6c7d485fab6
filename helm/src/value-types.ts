import { z } from 'zod';

/** Building blocks of the chart's values. Each value has a default and a sentence that the README's table shows. */

export const text = (initial: string, description: string) => z.string().default(initial).describe(description);

export const flag = (initial: boolean, description: string) => z.boolean().default(initial).describe(description);

export const count = (min: number, max: number, initial: number, description: string) =>
  z.int().min(min).max(max).default(initial).describe(description);

export const oneOf = <const T extends readonly [string, ...string[]]>(
  names: T,
  initial: T[number],
  description: string,
) => z.enum(names).default(initial).describe(description);

/** A group of values; unknown names in it are refused. */
export const group = <T extends z.ZodRawShape>(shape: T, description: string) =>
  z.strictObject(shape).optional().describe(description);

/** Like `2s`, `500ms` or `1m30s`. */
export const duration = (initial: string, description: string) =>
  z
    .string()
    .regex(/^([0-9]+(ms|s|m|h))*$/)
    .default(initial)
    .describe(description);

/** Values of text by name. */
export const texts = (description: string) => z.record(z.string(), z.string()).default({}).describe(description);

/** An object of the Kubernetes API, passed on as it is. */
const passedOn = (description: string, initial: Readonly<Record<string, unknown>> = {}) =>
  z
    .looseObject({})
    .default({ ...initial })
    .describe(description);

/** A list of objects of the Kubernetes API, passed on as they are. */
export const passedOnList = (description: string) => z.array(z.looseObject({})).default([]).describe(description);

export const names = (description: string) => z.array(z.string().min(1)).default([]).describe(description);

export const pullSecrets = (description: string) =>
  z
    .array(z.strictObject({ name: z.string().min(1) }))
    .default([])
    .describe(description);

interface Image {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
}

const imageShape = ({ registry, repository, tag }: Image) => ({
  registry: text(registry, 'Registry; `global.imageRegistry` wins.'),
  repository: text(repository, 'Repository.'),
  tag: text(tag, tag === '' ? "Tag; the chart's appVersion when empty." : 'Tag.'),
  digest: z
    .string()
    .regex(/^(sha256:[0-9a-f]{64})?$/)
    .default('')
    .describe('Digest, like `sha256:…`: then the tag decides nothing.'),
});

/** An image whose pods the manager makes, with the pull policy that Kubernetes has for its tag. */
export const image = (of: Image, description: string) => group(imageShape(of), description);

export const pulledImage = (of: Image, description: string) =>
  group(
    {
      ...imageShape(of),
      pullPolicy: oneOf(['Always', 'IfNotPresent', 'Never'], 'IfNotPresent', 'When kubelet pulls it.'),
    },
    description,
  );

export const resources = (initial: Readonly<Record<string, unknown>>) =>
  passedOn('Compute resources of the container.', initial);

/** What users usually set on a pod and its controller. */
export const podValues = (what: string) => ({
  annotations: texts(`Annotations of the ${what} itself.`),
  podAnnotations: texts('Annotations of its pods, as service meshes want them.'),
  podLabels: texts('Further labels of its pods.'),
  nodeSelector: texts('Labels a node must have, besides `kubernetes.io/os: linux`.'),
  tolerations: passedOnList('Tolerations of its pods.'),
  affinity: passedOn('Affinity of its pods; by default they prefer different nodes.'),
  topologySpreadConstraints: passedOnList('Spread of its pods; by default over zones, as a preference.'),
  priorityClassName: text('', 'PriorityClass of its pods.'),
  extraEnv: passedOnList('Further variables of the container, `name` with `value` or `valueFrom`.'),
  extraVolumes: passedOnList('Further volumes of its pods.'),
  extraVolumeMounts: passedOnList('Where the container mounts them.'),
});

export const disruptionBudget = () =>
  group(
    {
      enabled: flag(true, 'Whether there is one.'),
      maxUnavailable: count(
        1,
        10,
        1,
        'Most pods that an eviction may take at once. Pods that are not ready never block one.',
      ),
    },
    'PodDisruptionBudget.',
  );

export const serviceAccount = (name: string) =>
  group(
    {
      create: flag(true, 'Whether the chart makes the ServiceAccount.'),
      name: text('', `Its name; \`<fullname>-${name}\` when empty.`),
      annotations: texts('Its annotations.'),
    },
    'Account of its pods. Their tokens are projected and expire within the hour.',
  );

/** Labels, intervals and relabelings of a ServiceMonitor or PodMonitor. */
export const monitor = () => ({
  namespace: text('', "Namespace of the object; the release's when empty."),
  labels: texts('Labels by which your Prometheus selects it, like `release: kube-prometheus-stack`.'),
  annotations: texts('Annotations of the object.'),
  interval: duration('', "Time between two scrapes; Prometheus' own default when empty."),
  scrapeTimeout: duration('', "Longest scrape; Prometheus' own default when empty."),
  relabelings: passedOnList('Further relabelings of the targets.'),
  metricRelabelings: passedOnList('Relabelings of the series.'),
});
