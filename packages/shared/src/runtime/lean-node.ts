/**
 * Environment that keeps a Node process that passes on streams of small buffers small.
 *
 * Its garbage dies young, and hangs on buffers outside the heap. With V8's standard young generation (semi-spaces of 16 MiB)
 * tens of MiB of it pile up between two collections; with 2 MiB they do not, at the same CPU per frame, because what is
 * copied at a collection is little either way. glibc keeps a pool of freed memory per thread, of which Node has about
 * ten that all allocate little: one pool saves about 8 MiB (other C libraries ignore the variable).
 * Measured with `e2e/src/worker-load`: `docs/decisions/012-worker-memory.md`.
 */
export const LEAN_NODE_ENVIRONMENT = {
  NODE_OPTIONS: '--max-semi-space-size=2',
  MALLOC_ARENA_MAX: '1',
} as const;
