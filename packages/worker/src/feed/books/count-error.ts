/**
 * The objects of a feed cannot be counted at the position that the manager asked for.
 * @remedy none: the manager asks again. If a move waits for it, `kubectl shard explain` names the kind and its problem.
 */
export class CountError extends Error {
  override readonly name = 'CountError';
  readonly code = 'SC_COUNT';
}
