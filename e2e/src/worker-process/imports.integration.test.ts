import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { LocalProcess } from './local-process.ts';

const worker = pathToFileURL(join(import.meta.dirname, '../../../packages/worker/src/worker.ts')).href;

/** Imports the worker and prints the URL of every module that was loaded for it. */
const script = `
  import { registerHooks } from 'node:module';
  registerHooks({ load(url, context, next) { console.log(url); return next(url, context); } });
  await import(${JSON.stringify(worker)});
`;

it('a worker loads no general Kubernetes client: that alone would double its memory', async () => {
  const loading = new LocalProcess({
    name: 'imports',
    command: [process.execPath, '--conditions=@shard/source', '--input-type=module', '--eval', script],
  });
  expect(await loading.exit).toBe(0);
  await expect.poll(() => loading.output).toContain('worker-data-plane');
  expect(loading.output).not.toContain('@kubernetes');
});
