import type { LeftOut, VerificationResult } from './verification-judge.ts';

/** Kinds that are named before the rest is counted. */
const NAMED = 3;
const MAX_NAME = 60;
const MAX_PROBLEM = 80;
const MAX_TEXT = 500;

/** What came out of a verification, for the event: what was compared, and briefly what was not. */
export function verificationText(result: VerificationResult): string {
  switch (result.kind) {
    case 'verified': {
      const { kinds, objects, leftOut } = result;
      const equal =
        kinds === 0 ? 'no kind was compared' : `${objects} objects of ${kinds} kinds are equal on both sides`;
      return short([equal, ...leftOutTexts(leftOut)].join('; '), MAX_TEXT);
    }
    case 'unasked':
      return short(`nothing was compared: ${result.reason}`, MAX_TEXT);
    case 'different':
    case 'unanswered':
      return short(result.reason, MAX_TEXT);
  }
  return result satisfies never;
}

/** Whether such a text tells of nothing that was left out. */
export function comparedEverything(text: string): boolean {
  return /^\d+ objects of [1-9]\d* kinds are equal on both sides$/.test(text);
}

function leftOutTexts({ sourceOnly, targetOnly, partly, uncounted, sourceUnsettled }: LeftOut): string[] {
  const problems = uncounted.map(({ kind, problem }) => `${short(kind, MAX_NAME)} (${short(problem, MAX_PROBLEM)})`);
  return [
    ...(sourceUnsettled ? ['the source was still opening its watches'] : []),
    ...(problems.length === 0 ? [] : [`not counted: ${listed(problems)}`]),
    ...(sourceOnly.length === 0 ? [] : [`only the source exports ${names(sourceOnly)}`]),
    ...(targetOnly.length === 0 ? [] : [`only the target exports ${names(targetOnly)}`]),
    ...(partly.length === 0 ? [] : [`of the namespaces that both export: ${names(partly)}`]),
  ];
}

const names = (kinds: readonly string[]): string => listed(kinds.map((kind) => short(kind, MAX_NAME)));

function listed(texts: readonly string[]): string {
  const rest = texts.length - NAMED;
  return texts.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

const short = (text: string, limit: number): string => (text.length <= limit ? text : `${text.slice(0, limit - 1)}…`);
