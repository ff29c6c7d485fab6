import { headers, type MsgHdrs } from '@nats-io/transport-node';

/** Headers that mark an answer as an error, as in ADR-32; `nats req` prints them. */
export function serviceErrorHeaders({ code, message }: { readonly code: string; readonly message: string }): MsgHdrs {
  const marks = headers();
  marks.set('Nats-Service-Error', message.replaceAll(/[\r\n]+/g, ' '));
  marks.set('Nats-Service-Error-Code', code);
  return marks;
}
