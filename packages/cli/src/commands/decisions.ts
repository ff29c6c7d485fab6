import type { InspectionItem } from '@shard-controller/shared/contracts';
import { stringify } from 'yaml';
import { age, faint, type Output, seconds, table } from '../screen/index.ts';

type DecisionItem = InspectionItem<'events'>;

/** Decisions as a list, newest last. */
export function drawDecisions(output: Output, items: readonly DecisionItem[], now: number): string {
  const lines = items.flatMap(({ sequence, at, says }) =>
    says.map((text, i) => ({ sequence: i === 0 ? String(sequence) : '', age: i === 0 ? age(now - at) : '', text })),
  );
  return table(
    lines,
    [
      { title: 'SEQUENCE', text: (line) => line.sequence },
      { title: 'AGE', text: (line) => line.age },
      { title: 'DECISION', text: (line) => line.text, cut: output.format !== 'wide' },
    ],
    output.width,
  );
}

/** Decisions in full: who decided, on what, what followed. For a migration, with the time since its first step. */
export function drawExplanation(output: Output, items: readonly DecisionItem[]): string {
  const startedAt = items[0]?.at ?? 0;
  return items
    .map(({ sequence, at, manager, command, reason, says, events }) => {
      const after = items.length > 1 ? ` +${seconds(at - startedAt)}` : '';
      const whole = events.filter((event) => typeof event !== 'string');
      return [
        `${sequence}${after}  ${new Date(at).toISOString()}`,
        ...says.map((text) => `  ${text}`),
        faint(output, `  decided by ${manager.identity} (term ${manager.term}) on ${command}: ${reason}`),
        ...(output.format === 'wide' ? [indented(stringify(whole))] : []),
      ].join('\n');
    })
    .join('\n');
}

const indented = (text: string): string => text.trimEnd().replaceAll(/^/gm, '    ');
