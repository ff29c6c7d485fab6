import type { CustomResourceKind } from './data-plane.ts';
import type { FeedSlots } from './feed.ts';

const QUIET = 0;
const SHOWN = 1;

/**
 * CustomResourceDefinitions are not sharded but quieted: kube-state-metrics drops and rebuilds every store on any event
 * of any of them, so only those whose group its custom-resource-state config names are shown to change. The rest appear
 * in its first list and stay as they were.
 */
export function definitionSlots(customResources: readonly CustomResourceKind[]): FeedSlots {
  const groups = new Set(customResources.map(({ group }) => group));
  return {
    slotCount: 2,
    quietSlot: QUIET,
    unsharded: true,
    slotHash: (view) => {
      // The name of a definition is <plural>.<group>.
      const name = view.name();
      return groups.has(name.slice(name.indexOf('.') + 1)) ? SHOWN : QUIET;
    },
  };
}
