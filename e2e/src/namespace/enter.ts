/**
 * Runs a command inside a namespace of its own:
 *
 *     node --conditions=@shard/source e2e/src/namespace/enter.ts -- <command> [args…]
 *
 * Exit code: the command's; 125 if the namespace could not be made, 64 without a command.
 */
import { launch } from './launch.ts';

const separator = process.argv.indexOf('--');
const command = separator < 0 ? process.argv.slice(2) : process.argv.slice(separator + 1);
if (command.length === 0) {
  process.stderr.write('Nothing to run: enter.ts -- <command> [args…]\n');
  process.exitCode = 64;
} else {
  try {
    process.exitCode = await launch(command);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 125;
  }
}
