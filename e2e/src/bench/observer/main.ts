/** Times changes and scrapes from a process of its own, so that the harness's work does not delay it. Ends with its parent. */
import { KubernetesClient, resourcePath, staticEndpoint } from '@shard-controller/shared/kubernetes';
import { createLogger } from '@shard-controller/shared/observability';
import { countSeries, readText } from '../scrape.ts';
import type { Observations, ObserverResponse, ObserverSettings } from './protocol.ts';

const CHANGE_EVERY_MS = 150;
const SCRAPE_EVERY_MS = 5000;
const UNSEEN_MS = 10_000;
/** Reading without a pause takes a core from the measured programs. */
const LOOK_PAUSE_MS = 10;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type Samples = { -readonly [K in keyof Observations]: Observations[K] extends readonly (infer T)[] ? T[] : number };

/** kube-state-metrics shows only the kinds that a scraper names (its pkg/metricshandler): a few kilobytes here. */
const limitRanges = (url: string): string => `${url}?resources=limitranges`;

function valueOf(exposition: string, name: string): number | undefined {
  for (const line of exposition.split('\n')) {
    if (line.includes(`limitrange="${name}"`) && line.includes('constraint="max"')) {
      return Number(line.slice(line.lastIndexOf(' ') + 1));
    }
  }
  return undefined;
}

class Observer {
  readonly #settings: ObserverSettings;
  readonly #client: KubernetesClient;
  /** Which target shows a stamp. */
  readonly #places = new Map<string, string>();
  #value = 1 + Math.floor(Math.random() * 1e6);
  readonly #samples: Samples = {
    freshness: [],
    unseen: 0,
    plainScrapes: [],
    targetScrapes: [],
    failedScrapes: 0,
    lookMs: [],
  };

  constructor(settings: ObserverSettings) {
    this.#settings = settings;
    const { server, ca, token } = settings;
    this.#client = new KubernetesClient({
      endpoint: staticEndpoint({ server, ca, token }),
      logger: createLogger({ name: 'observer', level: 'error' }),
      userAgent: 'bench-observer',
    });
  }

  async run(): Promise<Observations> {
    await this.#findPlaces();
    const end = performance.now() + this.#settings.seconds * 1000;
    const { plain, targets } = this.#settings;
    const { plainScrapes, targetScrapes } = this.#samples;
    const all = [{ url: plain, into: plainScrapes }, ...targets.map((url) => ({ url, into: targetScrapes }))];
    // Prometheus, too, spreads its targets over the interval.
    const scrapes = all.map(({ url, into }, i) =>
      this.#timeScrapes(url, into, performance.now() + (i * SCRAPE_EVERY_MS) / all.length, end),
    );
    await Promise.all([this.#timeChanges(end), ...scrapes]);
    await this.#client.close();
    return this.#samples;
  }

  async #findPlaces(): Promise<void> {
    for (const url of this.#settings.targets) {
      const exposition = (await readText(limitRanges(url))) ?? '';
      for (const name of this.#settings.stamps.names)
        if (valueOf(exposition, name) !== undefined) this.#places.set(name, url);
    }
    const lost = this.#settings.stamps.names.filter((name) => !this.#places.has(name));
    if (this.#settings.targets.length > 0 && lost.length > 0) throw new Error(`no target shows ${lost.join(', ')}`);
  }

  async #timeChanges(end: number): Promise<void> {
    const { names } = this.#settings.stamps;
    for (let i = 0; performance.now() < end; i++) {
      await this.#timeChange(names[i % names.length] ?? '');
      await pause(CHANGE_EVERY_MS);
    }
  }

  async #timeChange(name: string): Promise<void> {
    const { plain, stamps } = this.#settings;
    const value = ++this.#value;
    const path = resourcePath({ group: '', version: 'v1', resource: 'limitranges', namespace: stamps.namespace, name });
    const spec = { limits: [{ type: 'Container', max: { cpu: String(value) } }] };
    const start = performance.now();
    const place = this.#places.get(name);
    const [plainMs, targetMs] = await Promise.all([
      this.#seen(plain, name, value, start),
      place === undefined ? null : this.#seen(place, name, value, start),
      this.#client.patch(path, { spec }, { contentType: 'application/merge-patch+json' }),
    ]);
    if (plainMs === undefined || targetMs === undefined) this.#samples.unseen++;
    // One that never came is the slowest of all: without it the figures would be those of the others.
    if (plainMs !== undefined)
      this.#samples.freshness.push({ plain: plainMs, target: targetMs === undefined ? UNSEEN_MS : targetMs });
  }

  async #seen(url: string, name: string, value: number, start: number): Promise<number | undefined> {
    let looked = performance.now();
    while (performance.now() - start < UNSEEN_MS) {
      const exposition = await readText(limitRanges(url));
      const now = performance.now();
      if (exposition !== undefined && valueOf(exposition, name) === value) return now - start;
      this.#samples.lookMs.push(now - looked);
      looked = now;
      await pause(LOOK_PAUSE_MS);
    }
    return undefined;
  }

  async #timeScrapes(url: string, into: number[], first: number, end: number): Promise<void> {
    for (let next = first; next < end; next += SCRAPE_EVERY_MS) {
      await pause(Math.max(0, next - performance.now()));
      const scrape = await countSeries(url);
      if (scrape === undefined) this.#samples.failedScrapes++;
      else into.push(scrape.ms);
    }
  }
}

const send = (response: ObserverResponse): void => {
  if (process.connected) process.send?.(response);
};

process.once('message', (settings: ObserverSettings) => {
  new Observer(settings).run().then(
    (observations) => send({ type: 'done', observations }),
    (error: unknown) => send({ type: 'failed', message: error instanceof Error ? error.message : String(error) }),
  );
});

process.once('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole process group; the parent ends this process in its own order.
process.on('SIGINT', () => {});
