import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';
import { freePorts } from '../cluster/free-ports.ts';
import type { NatsServer } from './nats-server.ts';

const IMAGE = process.env['SHARD_CONTROLLER_NATS_IMAGE'] ?? 'nats:2.12-alpine';

const noBackups = async (): Promise<void> => {
  throw new Error('backups are for NATS server processes: run this test with NATS_SERVER_BIN');
};

/** Starts the NATS image in the Docker engine that testcontainers finds. @throws when there is no engine or no image */
export async function startNatsContainer(more: string): Promise<NatsServer> {
  const runtime = await getContainerRuntimeClient();
  // A fixed one, so that clients find it again after a restart.
  const [port = 0] = await freePorts(1);
  const config = ['jetstream { store_dir: "/data", sync_interval: always }', more, ''].join('\n');
  const started = await new GenericContainer(IMAGE)
    .withExposedPorts({ container: 4222, host: port })
    .withCopyContentToContainer([{ content: config, target: '/etc/nats/test.conf' }])
    .withCommand(['-c', '/etc/nats/test.conf', '-p', '4222'])
    .withWaitStrategy(Wait.forLogMessage(/Server is ready/))
    .start();
  const container = runtime.container.getById(started.getId());
  return {
    url: `nats://${started.getHost()}:${port}`,
    breakable: true,
    stop: async () => void (await container.stop()),
    kill: async () => void (await container.kill()),
    restart: async () => void (await container.start()),
    pause: async () => void (await container.pause()),
    resume: async () => void (await container.unpause()),
    backUp: noBackups,
    restoreBackup: noBackups,
    dispose: async () => void (await started.stop({ remove: true, removeVolumes: true })),
  };
}
