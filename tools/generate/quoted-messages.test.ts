import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { productSources } from './product-sources.ts';
import { codeText, quotedMessages, shareFound } from './quoted-messages.ts';

const root = join(import.meta.dirname, '../..');
const code = codeText(productSources(root).values());
/** Less than that is another message: the rest may be names that the quote gives as an example. */
const MOSTLY = 0.65;

/** What others say, and what is put together from words that stand alone in the code. */
const NOT_IN_THE_CODE = [
  'The test cluster needs',
  '[-]exporter failed:',
  'error while trying to communicate with apiserver',
  'etcdutl snapshot restore',
  'must specify limits.cpu',
  '403 Forbidden … Remedy: grant',
  '… configuration problems:',
  'shard-001: Healthy -> Suspect',
  '… -> Failed (silent',
  'load is above its threshold:',
  'migration … completed …; its source has yet',
  'spec.exporter.customResourceState: is not YAML',
  'spec.loadBalanceStrategy "…" is unknown',
  'warming: kube-state-metrics has not answered yet',
  'standby: replica a of this shard serves',
];

test('every message that troubleshooting quotes is in the code', () => {
  const quotes = quotedMessages(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8'));
  expect(quotes.length).toBeGreaterThan(60);
  const strange = quotes.filter((quote) => !NOT_IN_THE_CODE.some((start) => quote.startsWith(start)));
  expect(strange.filter((quote) => shareFound(quote, code) < MOSTLY)).toEqual([]);
});

test('every exception is still needed', () => {
  const quotes = quotedMessages(readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8'));
  const needed = quotes.filter((quote) => shareFound(quote, code) < MOSTLY);
  expect(NOT_IN_THE_CODE.filter((start) => !needed.some((quote) => quote.startsWith(start)))).toEqual([]);
});

test('a message is found across joints and interpolations, and a changed one is not', () => {
  const source = codeText([
    'throw new E(`slot ${slot} of ${shards.map((s) => `${s}`)} is owned by ` +\n  `nobody: look again`)',
  ]);
  expect(shareFound('slot … of … is owned by nobody: look again', source)).toBe(1);
  expect(shareFound('slot … of … has no owner: try again', source)).toBe(0);
});

test('only code of a few words is a message', () => {
  expect(quotedMessages('`kubectl` says ``a `b` c d`` and `one two three four`\n```sh\nls a b c d\n```')).toEqual([
    'a `b` c d',
    'one two three four',
  ]);
});
