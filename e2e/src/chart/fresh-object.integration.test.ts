import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { freePorts } from '../cluster/free-ports.ts';
import { CHART } from './render.ts';

const run = promisify(execFile);
const SCRIPT = join(CHART, 'files', 'fresh-object.mjs');

/** Of another pod whose name begins alike. */
const OTHER = 'kube_pod_info{namespace="monitoring",pod="release-test-2",node="a"} 1\n';
const OWN = 'kube_pod_info{namespace="monitoring",pod="release-test",node="a"} 1\n';

test('the test of a release ends when its own series has arrived, and not before', async () => {
  const answers = [
    [503, 'warming: pods is being listed\n'],
    [200, OTHER],
    [200, OTHER + OWN],
  ] as const;
  let asked = 0;
  const shard = createServer((_, response) => {
    const [status, text] = answers[Math.min(asked, answers.length - 1)] ?? [500, ''];
    asked += 1;
    response.writeHead(status).end(text);
  });
  const [port = 0] = await freePorts(1);
  await new Promise<void>((resolve) => shard.listen(port, '127.0.0.1', resolve));
  try {
    const env = { POD_NAME: 'release-test', POD_NAMESPACE: 'monitoring', SERVICE: '127.0.0.1', PORT: String(port) };
    const { stdout } = await run(process.execPath, [SCRIPT], { env });
    expect(stdout).toContain('pod="release-test",…} arrived at 127.0.0.1');
    expect(asked).toBe(answers.length);
  } finally {
    shard.close();
  }
});
