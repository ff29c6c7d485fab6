/** The verifier as a process of its own, so that its work and the harness's do not delay each other. Ends with its parent. */
import { ServiceTargets } from './endpoints.ts';
import type { VerifierRequest, VerifierResponse, VerifierResult } from './protocol.ts';
import { Verifier } from './verifier.ts';

const ending = new AbortController();
let verifier: Verifier | undefined;

const send = (response: VerifierResponse): void => {
  // A parent that has just gone gets no further message; `disconnect` follows.
  if (process.connected) process.send?.(response, undefined, undefined, () => undefined);
};

async function perform(request: Exclude<VerifierRequest, { type: 'start' }>): Promise<VerifierResult> {
  if (verifier === undefined) throw new Error('the verifier was not started');
  if (request.type === 'endPhase') return verifier.endPhase();
  if (request.type === 'compare') return verifier.compare(request.withinMs);
  await verifier.startPhase(request.name, request.expectation);
  return null;
}

process.on('message', (request: VerifierRequest) => {
  if (request.type === 'start') {
    const targets = new ServiceTargets(request.settings);
    verifier = new Verifier({
      reference: { name: 'reference', url: request.settings.referenceUrl },
      targets: () => targets.current(),
      cores: request.settings.cores,
      scrapeTimeoutMs: request.settings.scrapeTimeoutMs,
      onTick: (live) => send({ type: 'tick', live }),
    });
    void targets.run(ending.signal);
    void verifier.run(ending.signal);
    return;
  }
  perform(request).then(
    (result) => send({ type: 'done', id: request.id, result }),
    (error: unknown) => send({ type: 'failed', id: request.id, message: String(error) }),
  );
});

process.once('disconnect', () => process.exit(0));
// Ctrl-C reaches the whole process group; the parent ends this process in its own order.
process.on('SIGINT', () => {});
