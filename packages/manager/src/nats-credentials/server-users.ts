import { INSPECTION_PREFIX } from '@shard-controller/shared/contracts';

/** Public keys of those whom nats-server knows by itself; workers it asks the managers about. */
export interface ServerUsers {
  readonly account: string;
  /** Account key that signs what managers say about workers. */
  readonly issuer: string;
  readonly manager: string;
  /** For people: reads what the inspection and the log say, and changes nothing. */
  readonly inspector: string;
}

/** The part of nats.conf that says who may connect, with managers asked about everybody else (auth callout). */
export function serverUsers({ account, issuer, manager, inspector }: ServerUsers): string {
  const questions = [`${INSPECTION_PREFIX}.>`, '$SRV.>', '$JS.API.INFO', ...reads('NAMES', 'LIST'), ...reads('INFO.*')];
  return `accounts {
  ${account} {
    jetstream: enabled
    users: [
      { nkey: ${manager} }
      {
        nkey: ${inspector}
        permissions {
          publish: ${JSON.stringify([...questions, '$JS.API.DIRECT.GET.>', '$JS.API.STREAM.MSG.GET.*'])}
          subscribe: ["_INBOX.>", "shard.events.>", "shard.stored.>", "shard.heartbeats.>", "shard.assignments.>"]
        }
      }
    ]
  }
}
authorization {
  timeout: 5
  auth_callout { issuer: ${issuer}, account: ${account}, auth_users: [${manager}, ${inspector}] }
}
`;
}

const reads = (...calls: readonly string[]): readonly string[] => calls.map((call) => `$JS.API.STREAM.${call}`);
