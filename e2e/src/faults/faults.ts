import type { Random } from '../workload/index.ts';
import { answer, BODIES } from './answers.ts';
import type { Exchange, Fault, FaultyFront } from './faulty-front.ts';
import type { FrontStream } from './front-stream.ts';
import { errorEvent, garble, GARBLES, isPlainBookmark, unknownEvent } from './watch-frames.ts';

/** What a fault may use. */
export interface FaultSetting {
  readonly random: Random;
  /** The worker's ServiceAccount mount. */
  readonly credentials: {
    readonly token: () => string;
    /** Replaces the token file, as kubelet does. */
    rotateToken(): void;
    /** Replaces ca.crt. */
    writeAuthority(pem: string): void;
  };
  /** Share of the requests, streams or frames that it may hit which it does hit; in [0, 1]. */
  readonly share: number;
}

type Make = (setting: FaultSetting) => Omit<Fault, 'name'>;

const isFeedStream = ({ verb, encoding }: FrontStream): boolean => verb === 'watch' && encoding !== undefined;

/** Calls `hit` for the share of the open watches that the fault is to touch. */
function eachWatch(front: FaultyFront, { random, share }: FaultSetting, hit: (stream: FrontStream) => void): void {
  for (const stream of front.streams) if (isFeedStream(stream) && random.next() < share) hit(stream);
}

/** Answers a share of the requests with an error; watches are ended first, so that there are some. */
function answering(
  setting: FaultSetting,
  give: (exchange: Exchange) => void,
  applies: (exchange: Exchange) => boolean = () => true,
): Omit<Fault, 'name'> {
  return {
    begin: (front) => eachWatch(front, setting, (stream) => stream.end()),
    take: (exchange) => {
      if (!applies(exchange) || setting.random.next() >= setting.share) return false;
      give(exchange);
      return true;
    },
  };
}

const withStatus =
  (code: number): Make =>
  (setting) =>
    answering(setting, (exchange) => answer(exchange, code, setting.random.pick(BODIES)));

/** Holds requests without a word; at the end some are answered after all, some are broken. */
function hanging({ random, share }: FaultSetting): Omit<Fault, 'name'> {
  const held: Exchange[] = [];
  return {
    begin: (front) => eachWatch(front, { random, share } as FaultSetting, (stream) => stream.end()),
    take: (exchange) => {
      if (random.next() >= share) return false;
      held.push(exchange);
      return true;
    },
    end: () => {
      for (const exchange of held.splice(0)) {
        if (random.below(2) === 0) exchange.forward();
        else exchange.reset();
      }
    },
  };
}

/** Connections live and say nothing; at the end some resume where they were, some are broken. */
function halfOpen(setting: FaultSetting): Omit<Fault, 'name'> {
  const { random, share } = setting;
  const held: FrontStream[] = [];
  const hold = (stream: FrontStream): void => {
    stream.hold();
    held.push(stream);
  };
  return {
    begin: (front) => eachWatch(front, { ...setting, share: 1 }, (stream) => random.next() < share && hold(stream)),
    opened: (stream) => {
      if (random.next() < share) hold(stream);
    },
    end: () => {
      for (const stream of held.splice(0)) {
        if (random.below(2) === 0) stream.release();
        else stream.reset();
      }
    },
  };
}

function expiredToken({ random, share, credentials }: FaultSetting): Omit<Fault, 'name'> {
  let refused = '';
  return {
    begin: (front) => {
      refused = `Bearer ${credentials.token()}`;
      eachWatch(front, { random, share } as FaultSetting, (stream) => stream.end());
    },
    take: (exchange) => {
      if (exchange.request.headers.authorization !== refused) return false;
      answer(exchange, 401);
      return true;
    },
    end: () => credentials.rotateToken(),
  };
}

const expired = { code: 410, reason: 'Expired', message: 'too old resource version: 1 (2)' } as const;

/** By the name under which a schedule has them. */
const FAULTS = {
  reset: (setting) => ({
    begin: (front) => eachWatch(front, setting, (stream) => stream.reset()),
    take: (exchange) => {
      if (setting.random.next() >= setting.share) return false;
      exchange.reset();
      return true;
    },
  }),
  /** Watches end in order; connections are closed without an answer. */
  'end-at-once': (setting) =>
    answering(setting, ({ verb, request, response }) => {
      if (verb !== 'watch') request.socket.end();
      else response.writeHead(200, { 'content-type': 'application/json' }).end();
    }),
  /** The clean end of an answer in the middle of an event. */
  'end-in-frame': ({ random, share }) => ({
    frame: (frame, stream) => {
      if (random.next() >= share) return undefined;
      stream.end(frame.subarray(0, Math.max(1, Math.floor(frame.length / 2))));
      return [];
    },
  }),
  'no-answer': hanging,
  refused: () => ({ begin: (front) => front.shut(), end: (front) => front.listen() }),
  'throttled-seconds': (setting) =>
    answering(setting, (exchange) => answer(exchange, 429, 'status', { 'retry-after': '1' })),
  'throttled-date': (setting) =>
    answering(setting, (exchange) =>
      answer(exchange, 429, 'status', { 'retry-after': new Date(Date.now() + 2_000).toUTCString() }),
    ),
  'error-500': withStatus(500),
  'error-502': withStatus(502),
  'error-503': withStatus(503),
  'error-504': withStatus(504),
  'expired-answer': (setting) =>
    answering(
      setting,
      (exchange) => answer(exchange, 410),
      ({ verb }) => verb === 'watch',
    ),
  'expired-event': (setting) => ({
    begin: (front) =>
      eachWatch(front, setting, (stream) => stream.insert(errorEvent(stream.encoding ?? 'json', expired))),
  }),
  'error-event': (setting) => ({
    begin: (front) =>
      eachWatch(front, setting, (stream) => {
        const code = setting.random.pick([500, 504, 429]) ?? 500;
        stream.insert(
          errorEvent(stream.encoding ?? 'json', { code, reason: 'InternalError', message: 'etcd is slow' }),
        );
      }),
  }),
  /** Lists come in small pages whose continue tokens expire. */
  'expired-continue': (setting) => ({
    begin: (front) =>
      eachWatch(front, setting, (stream) => stream.insert(errorEvent(stream.encoding ?? 'json', expired))),
    take: (exchange) => {
      const { url, verb } = exchange;
      if (verb === 'watchList') answer(exchange, 422);
      else if (url.searchParams.has('continue') && setting.random.next() < setting.share) answer(exchange, 410);
      else {
        if (url.searchParams.get('limit') === '500') url.searchParams.set('limit', '20');
        return false;
      }
      return true;
    },
  }),
  'no-watch-list': (setting) => ({
    take: (exchange) => {
      if (exchange.verb !== 'watchList') return false;
      answer(exchange, setting.random.pick([400, 422]) ?? 422);
      return true;
    },
  }),
  'truncated-frame': ({ random, share }) => ({
    frame: (frame) => (random.next() < share ? [frame.subarray(0, frame.length - 1 - random.below(9))] : undefined),
  }),
  'garbled-frame': ({ random, share }) => ({
    frame: (frame, { encoding = 'json' }) =>
      random.next() < share ? [garble(frame, encoding, random.pick(GARBLES) ?? 'cut')] : undefined,
  }),
  'unknown-event': (setting) => ({
    begin: (front) => eachWatch(front, setting, (stream) => stream.insert(unknownEvent(stream.encoding ?? 'json'))),
    frame: (frame, { encoding = 'json' }) =>
      setting.random.next() < setting.share / 4 ? [unknownEvent(encoding), frame] : undefined,
  }),
  trickle: () => ({
    begin: (front) => {
      for (const stream of front.streams) stream.trickle(true);
    },
    opened: (stream) => stream.trickle(true),
    end: (front) => {
      for (const stream of front.streams) stream.trickle(false);
    },
  }),
  'half-open': halfOpen,
  'token-expired': expiredToken,
  'authority-rotated': ({ credentials }) => ({
    begin: (front) => front.rotateAuthority(),
    end: (front) => credentials.writeAuthority(front.authority),
  }),
  duplicates: ({ random, share }) => ({
    frame: (frame) => (random.next() < share ? [frame, frame] : undefined),
  }),
  'no-bookmarks': () => ({ frame: (frame) => (isPlainBookmark(frame) ? [] : undefined) }),
} as const satisfies Readonly<Record<string, Make>>;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];

export function makeFault(name: FaultName, setting: FaultSetting): Fault {
  return { name, ...FAULTS[name](setting) };
}
