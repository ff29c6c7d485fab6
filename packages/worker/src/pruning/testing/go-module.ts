import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Folder with the source of a Go module that one of the pinned tools is built from; fetched when it is not there.
 * @param tool folder in tools/ that pins its version.
 */
export async function goModuleFolder(tool: string, module: string): Promise<string> {
  const cwd = fileURLToPath(new URL(`../../../../../tools/${tool}/`, import.meta.url));
  const find = async (): Promise<string> => {
    const { stdout } = await run('go', ['list', '-m', '-f', '{{.Dir}}', module], { cwd });
    return stdout.trim();
  };
  const found = await find();
  if (found !== '') return found;
  await run('go', ['mod', 'download', module], { cwd });
  return find();
}
