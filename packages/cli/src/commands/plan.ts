import type { InspectionItem } from '@shard-controller/shared/contracts';
import { count, type Output, seconds, table, yellow } from '../screen/index.ts';

export function drawPlans(output: Output, plans: readonly InspectionItem<'plan'>[]): string {
  return plans.map((plan) => drawPlan(output, plan)).join('\n\n');
}

function drawPlan(output: Output, plan: InspectionItem<'plan'>): string {
  const { namespace, config, from, to, strategy, slots, moved, minimum, objects, moves, lastMovesMs, blocked } = plan;
  const share = slots === 0 ? 0 : Math.round((100 * moved) / slots);
  const facts = [
    `${namespace}/${config}: ${from} -> ${to} shards by ${strategy}`,
    `  ${moved} of ${slots} slots would move (${share}%), the least possible is ${minimum}`,
    ...(objects === undefined ? [] : [`  about ${count(objects)} objects, shown by both sides while they move`]),
    ...(lastMovesMs === undefined
      ? []
      : [
          `  the newest ${lastMovesMs.moves} moves took ${seconds(lastMovesMs.median)} (median), ${seconds(lastMovesMs.longest)} (longest)`,
        ]),
    ...(blocked === undefined ? [] : [`  ${yellow(output, 'not now')}: ${blocked}`]),
    '  nothing was changed',
  ];
  if (moves.length === 0) return facts.join('\n');
  const rows = table(moves, [
    { title: '  FROM', text: ({ source }) => `  ${source ?? '(none)'}` },
    { title: 'TO', text: ({ target }) => target },
    { title: 'SLOTS', text: (move) => String(move.slots) },
  ]);
  return [...facts, '', rows].join('\n');
}
