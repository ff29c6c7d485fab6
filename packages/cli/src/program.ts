import { setTimeout as sleep } from 'node:timers/promises';
import { Command, CommanderError, Option } from 'commander';
import { type Fleet, readFleets } from './cluster.ts';
import {
  countKinds,
  diagnose,
  drawChecks,
  drawCounts,
  drawDecisions,
  drawExplanation,
  drawPlaces,
  drawPlans,
  drawStatus,
  drawTop,
  drawTree,
  findObject,
  isEqual,
  isReady,
  isSortKey,
  type Place,
  placeOf,
  runChecks,
  slotIn,
} from './commands/index.ts';
import { CliError, EXIT, type ExitCode } from './errors.ts';
import { ask } from './inspection-client.ts';
import { type Execute, Kubectl } from './kubectl.ts';
import { type Output, parseFormat, show } from './screen/index.ts';

/** What the commands are run with; everything that a test replaces. */
export interface Shell {
  readonly kubectl: Execute;
  readonly width: number | undefined;
  readonly colour: boolean;
  readonly version: string;
  readonly signal: AbortSignal;
  now(): number;
  write(text: string): void;
  writeError(text: string): void;
}

interface GlobalOptions {
  readonly namespace?: string;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly output: string;
  readonly allNamespaces?: boolean;
}

/** Pause between two looks of `--watch` and `--wait`, ms. */
const LOOK_EVERY_MS = 2_000;
const CLEAR_SCREEN = '\u001b[2J\u001b[H';

/** Runs one command line; never rejects. */
export async function run(args: readonly string[], shell: Shell): Promise<ExitCode> {
  let exit: ExitCode = EXIT.ok;
  const program = commands(shell, (code) => {
    exit = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exit;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const known = error instanceof CliError;
    shell.writeError(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return known ? error.exitCode : EXIT.unreachable;
  }
}

function commands(shell: Shell, ends: (code: ExitCode) => void): Command {
  const program = new Command('kubectl shard')
    .description('Looks into shard-controller: who exports what, why, and what would change.')
    .version(shell.version, '-V, --version')
    .option('-n, --namespace <name>', 'namespace of the ShardConfigs and their manager')
    .option('-A, --all-namespaces', 'all namespaces (status, get, top)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig to use')
    .option('-o, --output <format>', 'table, wide, json or yaml', 'table')
    .showHelpAfterError('(kubectl shard --help lists the commands)')
    .configureOutput({ writeOut: (text) => shell.write(text), writeErr: (text) => shell.writeError(text) })
    .exitOverride();
  const globals = (): GlobalOptions => program.opts();
  const kubectl = (over: { readonly namespace?: string | undefined } = {}): Kubectl =>
    new Kubectl({ ...globals(), ...over }, shell.kubectl);
  const output = (): Output => ({
    format: parseFormat(globals().output),
    width: shell.width,
    colour: shell.colour,
    write: (text) => shell.write(text),
  });
  const fleets = (name?: string): Promise<readonly Fleet[]> =>
    readFleets(kubectl(), { name, allNamespaces: globals().allNamespaces });
  const repeat = async (isWatch: boolean | undefined, look: () => Promise<void>): Promise<void> => {
    const isLive = isWatch === true;
    for (;;) {
      if (isLive && shell.width !== undefined) shell.write(CLEAR_SCREEN);
      await look();
      if (!isLive) return;
      await pause(shell);
      if (shell.signal.aborted) return;
    }
  };

  program
    .command('status [name]')
    .description('one line per ShardConfig, and what is wrong; exit code 1 when one is not Ready')
    .option('-w, --watch', 'look again every 2 s')
    .option('--wait', 'wait until it is Ready')
    .option('--timeout <seconds>', 'with --wait', '300')
    .action(async (name: string | undefined, options: { watch?: boolean; wait?: boolean; timeout: string }) => {
      const draw = (found: readonly Fleet[]): string => drawStatus(output(), found, shell.now());
      if (options.wait === true) {
        ends(await waitUntilReady(shell, () => fleets(name), options.timeout, draw));
        return;
      }
      await repeat(options.watch, async () => {
        const found = await fleets(name);
        show(output(), found, draw);
        ends(found.every(({ config }) => isReady(config)) ? EXIT.ok : EXIT.no);
      });
    });

  program
    .command('get [name]')
    .description('a tree: ShardConfig, shards, workers, with load, objects and slots')
    .option('-w, --watch', 'look again every 2 s')
    .action((name: string | undefined, { watch }: { watch?: boolean }) =>
      repeat(watch, async () => show(output(), await fleets(name), (found) => drawTree(output(), found))),
    );

  program
    .command('top [name]')
    .description('all shards, the largest first')
    .option('-w, --watch', 'look again every 2 s')
    .option('--sort <key>', 'load, objects, slots or name', 'load')
    .action((name: string | undefined, { watch, sort }: { watch?: boolean; sort: string }) => {
      if (!isSortKey(sort)) throw new CliError(EXIT.usage, `--sort ${sort}: use load, objects, slots or name`);
      return repeat(watch, async () => show(output(), await fleets(name), (found) => drawTop(output(), found, sort)));
    });

  program
    .command('where <object>')
    .description('which shard exports an object (pod/web-1, node/n1, slot:17), since when, and why')
    .option('--object-namespace <name>', 'namespace of the object; --namespace is that of the ShardConfig')
    .action(async (reference: string, options: { objectNamespace?: string }) => {
      const places = await placesOf(
        kubectl(),
        kubectl({ namespace: options.objectNamespace ?? globals().namespace }),
        reference,
      );
      show(output(), places, (found) => drawPlaces(output(), found, shell.now()));
      if (places.every(({ shard }) => shard === null)) ends(EXIT.no);
    });

  program
    .command('plan [name]')
    .description('what would move with another number of shards or another strategy; changes nothing')
    .option('--shards <n>', 'number of shards')
    .option('--strategy <name>', 'consistent-hash, round-robin or least-loaded')
    .action(async (name: string | undefined, { shards, strategy }: { shards?: string; strategy?: string }) => {
      const wanted = shards === undefined ? undefined : wholeNumber('--shards', shards);
      const { items } = await ask(kubectl(), 'plan', { config: name, shards: wanted, strategy });
      show(output(), items, (plans) => drawPlans(output(), plans));
    });

  program
    .command('events [name]')
    .description('the newest decisions')
    .option('--limit <n>', 'how many', '20')
    .option('--from <sequence>', 'from this one on')
    .action(async (name: string | undefined, { limit, from }: { limit: string; from?: string }) => {
      const query = {
        config: name,
        limit: wholeNumber('--limit', limit),
        from: from === undefined ? undefined : wholeNumber('--from', from),
      };
      const { items } = await ask(kubectl(), 'events', query);
      show(output(), items, (found) => drawDecisions(output(), found, shell.now()));
    });

  program
    .command('explain <name> <what>')
    .description('one decision (its sequence) or the whole story of a migration (its id, like g1-m12)')
    .action(async (name: string, what: string) => {
      const query = /^[0-9]+$/.test(what) ? { sequence: Number(what) } : { migration: what };
      const { items } = await ask(kubectl(), 'explain', { config: name, ...query });
      show(output(), items, (found) => drawExplanation(output(), found));
    });

  program
    .command('drain <shard> [name]')
    .description('ends the worker of a shard: its slots move away first, then it is re-created')
    .option('--dry-run', 'only say what would be done')
    .option('--yes', 'do it without a question')
    .action(async (shard: string, name: string | undefined, options: { dryRun?: boolean; yes?: boolean }) => {
      shell.write(await drain(kubectl(), await fleets(name), shard, options));
    });

  program
    .command('verify [name]')
    .description(
      'compares, kind by kind, what all shards show with what the API server has; exit code 1 when they differ',
    )
    .action(async (name: string | undefined) => {
      const counts = (await Promise.all((await fleets(name)).map((fleet) => countKinds(kubectl(), fleet)))).flat();
      show(output(), counts, (each) => drawCounts(output(), each));
      ends(counts.every(isEqual) ? EXIT.ok : EXIT.no);
    });

  program
    .command('check')
    .description('checks that everything is installed and runs; exit code 1 when something does not')
    .action(async () => {
      const checks = await runChecks(kubectl());
      show(output(), checks, (all) => drawChecks(output(), all));
      ends(checks.every(({ ok }) => ok) ? EXIT.ok : EXIT.no);
    });

  program
    .command('diagnose')
    .description('gathers objects, events, logs and decisions for a bug report, without secrets')
    .addOption(new Option('-f, --file <path>', 'archive to write').default('shard-diagnose.tgz'))
    .action(async ({ file }: { file: string }) => {
      const missing = await diagnose(kubectl(), file);
      shell.write(`${file} is written; check its content before you share it\n`);
      for (const problem of missing) shell.writeError(`not gathered: ${problem}\n`);
    });

  program
    .command('completion')
    .description('a script for bash: source <(kubectl shard completion)')
    .action(() => shell.write(completionOf(program.commands.map((command) => command.name()))));
  return program;
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new CliError(EXIT.usage, `${option} ${text}: expected a whole number of at least 1`);
}

const pause = (shell: Shell): Promise<void> =>
  sleep(LOOK_EVERY_MS, undefined, { signal: shell.signal }).catch(() => undefined);

async function waitUntilReady(
  shell: Shell,
  look: () => Promise<readonly Fleet[]>,
  timeout: string,
  draw: (found: readonly Fleet[]) => string,
): Promise<ExitCode> {
  const until = shell.now() + wholeNumber('--timeout', timeout) * 1000;
  for (;;) {
    const found = await look();
    const isDone = found.every(({ config }) => isReady(config));
    if (isDone || shell.now() >= until || shell.signal.aborted) {
      shell.write(`${draw(found)}\n`);
      return isDone ? EXIT.ok : EXIT.no;
    }
    await pause(shell);
  }
}

/** `slot:17`, or an object; with a manager's word on since when and why where one can be asked. */
async function placesOf(fleetsAt: Kubectl, objectsAt: Kubectl, reference: string): Promise<readonly Place[]> {
  const given = /^slot:([0-9]+)$/.exec(reference)?.[1];
  const [fleets, object] = await Promise.all([
    readFleets(fleetsAt, {}),
    given === undefined ? findObject(objectsAt, reference) : undefined,
  ]);
  return Promise.all(
    fleets.map(async (fleet): Promise<Place> => {
      const slot = object === undefined ? Number(given) : slotIn(fleet, object);
      const place = placeOf(fleet, object?.name ?? reference, slot);
      const answer = await ask(fleetsAt, 'where', { config: fleet.config.metadata.name, slot }).catch(
        (error: unknown) => {
          if (error instanceof CliError && error.exitCode === EXIT.unreachable) return undefined;
          throw error;
        },
      );
      const item = answer?.items[0];
      if (item === undefined) return place;
      const { since, why, migration } = item;
      return { ...place, shard: item.shard, pod: item.pod ?? place.pod, since, why, movesTo: migration?.target };
    }),
  );
}

async function drain(
  kubectl: Kubectl,
  fleets: readonly Fleet[],
  shardId: string,
  { dryRun, yes }: { readonly dryRun?: boolean; readonly yes?: boolean },
): Promise<string> {
  const matches = fleets.flatMap(({ config, shards }) =>
    shards.filter((shard) => shard.shardId === shardId).map((shard) => ({ config: config.metadata.name, shard })),
  );
  const [match] = matches;
  if (match === undefined || matches.length > 1) {
    throw new CliError(
      EXIT.usage,
      match === undefined
        ? `there is no ${shardId}`
        : `${shardId} is in ${matches.map(({ config }) => config).join(', ')}: name one`,
    );
  }
  const { shard } = match;
  const pod = shard.replicas.find(({ replica }) => replica === shard.active)?.pod ?? '';
  if (pod === '') throw new CliError(EXIT.no, `${shardId} has no worker that has reported its pod yet`);
  const what = `pod ${pod} is deleted: its ${shard.slots.length} slots move to other shards before it ends, and it is re-created`;
  if (dryRun === true) return `would be done: ${what}\n`;
  if (yes !== true) throw new CliError(EXIT.usage, `${what}; say --yes to do it, or --dry-run`);
  await kubectl.run(['delete', 'pod', pod, '--wait=false']);
  return `${what}; kubectl shard get -w shows it\n`;
}

const completionOf = (names: readonly string[]): string => `_kubectl_shard() {
  local word=\${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${names.join(' ')}" -- "$word")); fi
}
complete -F _kubectl_shard kubectl-shard
`;
