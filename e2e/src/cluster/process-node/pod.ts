import { z } from 'zod';

/** The part of a Pod that a process node acts on. Unknown fields pass; a wrong type in a known one is a problem. */
const labels = z.record(z.string(), z.string());
const port = z.union([z.int(), z.string()]);

const httpGet = z.object({
  path: z.string().optional(),
  port,
  host: z.string().optional(),
  httpHeaders: z.array(z.object({ name: z.string(), value: z.string() })).optional(),
});
const exec = z.object({ command: z.array(z.string()).min(1) });

const probe = z.object({
  httpGet: httpGet.optional(),
  tcpSocket: z.object({ port, host: z.string().optional() }).optional(),
  exec: exec.optional(),
  initialDelaySeconds: z.int().optional(),
  periodSeconds: z.int().optional(),
  timeoutSeconds: z.int().optional(),
  successThreshold: z.int().optional(),
  failureThreshold: z.int().optional(),
  terminationGracePeriodSeconds: z.int().optional(),
});

const hook = z.object({
  exec: exec.optional(),
  httpGet: httpGet.optional(),
  sleep: z.object({ seconds: z.int() }).optional(),
});

const fieldRef = z.object({ fieldPath: z.string() });
const keyRef = z.object({ name: z.string(), key: z.string(), optional: z.boolean().optional() });
const resourceFieldRef = z.object({ resource: z.string(), containerName: z.string().optional() });

const environmentVariable = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .object({
      fieldRef: fieldRef.optional(),
      configMapKeyRef: keyRef.optional(),
      secretKeyRef: keyRef.optional(),
      resourceFieldRef: resourceFieldRef.optional(),
    })
    .optional(),
});

const resources = z.object({ requests: labels.optional(), limits: labels.optional() });

const container = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  workingDir: z.string().optional(),
  env: z.array(environmentVariable).optional(),
  ports: z.array(z.object({ name: z.string().optional(), containerPort: z.int() })).optional(),
  resources: resources.optional(),
  volumeMounts: z
    .array(
      z.object({
        name: z.string(),
        mountPath: z.string(),
        subPath: z.string().optional(),
        readOnly: z.boolean().optional(),
      }),
    )
    .optional(),
  startupProbe: probe.optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  lifecycle: z.object({ postStart: hook.optional(), preStop: hook.optional() }).optional(),
  securityContext: z.looseObject({ runAsUser: z.int().optional() }).optional(),
});

const items = z.array(z.object({ key: z.string(), path: z.string() })).optional();
const objectFiles = { items, optional: z.boolean().optional() };
const downwardItems = z.array(z.object({ path: z.string(), fieldRef: fieldRef.optional() }));

const volumeSource = z.object({
  serviceAccountToken: z
    .object({ path: z.string(), expirationSeconds: z.int().optional(), audience: z.string().optional() })
    .optional(),
  configMap: z.object({ name: z.string(), ...objectFiles }).optional(),
  secret: z.object({ name: z.string(), ...objectFiles }).optional(),
  downwardAPI: z.object({ items: downwardItems.optional() }).optional(),
});

const volume = z.object({
  name: z.string(),
  emptyDir: z.looseObject({}).optional(),
  projected: z.object({ sources: z.array(volumeSource).optional() }).optional(),
  configMap: z.object({ name: z.string(), ...objectFiles }).optional(),
  secret: z.object({ secretName: z.string(), ...objectFiles }).optional(),
  downwardAPI: z.object({ items: downwardItems.optional() }).optional(),
});

const status = z.looseObject({
  phase: z.string().optional(),
  podIP: z.string().optional(),
  conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).optional(),
  containerStatuses: z
    .array(
      z.looseObject({
        name: z.string(),
        ready: z.boolean().optional(),
        started: z.boolean().optional(),
        restartCount: z.int().optional(),
        state: z.looseObject({}).optional(),
        lastState: z.looseObject({}).optional(),
      }),
    )
    .optional(),
});

export const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    labels: labels.optional(),
    annotations: labels.optional(),
    deletionTimestamp: z.string().optional(),
    deletionGracePeriodSeconds: z.int().optional(),
  }),
  spec: z.object({
    nodeName: z.string(),
    hostname: z.string().optional(),
    serviceAccountName: z.string().optional(),
    terminationGracePeriodSeconds: z.int().optional(),
    restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).optional(),
    containers: z.array(container),
    initContainers: z.array(z.looseObject({ name: z.string() })).optional(),
    volumes: z.array(volume).optional(),
    securityContext: z.looseObject({ runAsUser: z.int().optional() }).optional(),
  }),
  status: status.optional(),
});

export type Pod = z.infer<typeof podSchema>;
export type PodStatus = z.infer<typeof status>;
export type Container = z.infer<typeof container>;
export type Probe = z.infer<typeof probe>;
export type HttpGet = z.infer<typeof httpGet>;
export type Hook = z.infer<typeof hook>;
export type Volume = z.infer<typeof volume>;
export type VolumeSource = z.infer<typeof volumeSource>;

/** `namespace/name`, as logs show it. */
export function podKey(pod: Pod): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}

/** A probe's or hook's port: a number, or the name of one of the container's ports. */
export function portNumber(wanted: number | string, target: Container): number | undefined {
  if (typeof wanted === 'number') return wanted;
  const named = target.ports?.find((candidate) => candidate.name === wanted);
  return named?.containerPort ?? (/^\d+$/.test(wanted) ? Number(wanted) : undefined);
}
