import type { V1EnvVar, V1Volume, V1VolumeMount, V1VolumeProjection } from '@kubernetes/client-node';
import type { WorkerNats } from '../config/index.ts';

const FOLDER = '/var/run/secrets/nats';
const VOLUME = 'nats-access';
/** Lifetime of the token that a worker shows to NATS, s. */
const TOKEN_SECONDS = 3600;

/** Keys of the Secret with the workers' credentials, by the kind of credentials. */
const SECRET_FILES: Readonly<Record<Exclude<WorkerNats['auth'], 'none' | 'service-account'>, Files>> = {
  credentials: { NATS_CREDENTIALS_FILE: 'nats.creds' },
  nkey: { NATS_NKEY_FILE: 'nats.nk' },
  token: { NATS_TOKEN_FILE: 'token' },
  password: { NATS_USER_FILE: 'username', NATS_PASSWORD_FILE: 'password' },
};

/** Variables of the worker that name a file, and the file's name in its folder. */
type Files = Readonly<Record<string, string>>;

interface Part {
  readonly source: V1VolumeProjection;
  readonly files: Files;
}

/** What a worker's container needs for NATS: files in one folder of their own, and variables that name them. */
export function workerNats({ url, ...access }: WorkerNats): {
  readonly env: readonly V1EnvVar[];
  readonly volumes: readonly V1Volume[];
  readonly mounts: readonly V1VolumeMount[];
} {
  const parts = [...credentials(access), ...certificates(access)];
  const files = parts.flatMap((part) => Object.entries(part.files));
  const env = [
    { name: 'NATS_URL', value: url },
    ...files.map(([name, file]) => ({ name, value: `${FOLDER}/${file}` })),
  ];
  if (parts.length === 0) return { env, volumes: [], mounts: [] };
  return {
    env,
    volumes: [{ name: VOLUME, projected: { defaultMode: 0o440, sources: parts.map(({ source }) => source) } }],
    mounts: [{ name: VOLUME, mountPath: FOLDER, readOnly: true }],
  };
}

function credentials({ auth, audience, secret }: Omit<WorkerNats, 'url'>): readonly Part[] {
  if (auth === 'none') return [];
  if (auth === 'service-account') {
    const serviceAccountToken = { path: 'token', audience, expirationSeconds: TOKEN_SECONDS };
    return [{ source: { serviceAccountToken }, files: { NATS_TOKEN_FILE: 'token' } }];
  }
  return [fromSecret(secret ?? '', SECRET_FILES[auth])];
}

function certificates({ caSecret, certSecret }: Omit<WorkerNats, 'url'>): readonly Part[] {
  return [
    ...(caSecret === undefined ? [] : [fromSecret(caSecret, { NATS_CA_FILE: 'ca.crt' })]),
    ...(certSecret === undefined
      ? []
      : [fromSecret(certSecret, { NATS_CERT_FILE: 'tls.crt', NATS_KEY_FILE: 'tls.key' })]),
  ];
}

/** Named keys: kubelet starts the container only when all of them are there. */
const fromSecret = (name: string, files: Files): Part => ({
  source: { secret: { name, items: Object.values(files).map((key) => ({ key, path: key })) } },
  files,
});
