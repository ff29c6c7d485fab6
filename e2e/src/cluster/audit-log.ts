import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

const CREATED = 201;

const entrySchema = z.looseObject({
  verb: z.string(),
  user: z.looseObject({ username: z.string() }),
  objectRef: z
    .looseObject({
      resource: z.string().optional(),
      subresource: z.string().optional(),
      apiGroup: z.string().default(''),
    })
    .optional(),
  responseStatus: z.looseObject({ code: z.int().optional() }).optional(),
});

/** What an API server was asked for, by whom. */
export class AuditLog {
  readonly #folder = mkdtempSync(join(tmpdir(), 'shard-audit-'));
  readonly #log = join(this.#folder, 'audit.log');

  /** Flags of kube-apiserver. */
  flags(): readonly string[] {
    const policy = join(this.#folder, 'policy.yaml');
    const rules = [{ level: 'Metadata', omitStages: ['RequestReceived'] }];
    writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }));
    return [`--audit-policy-file=${policy}`, `--audit-log-path=${this.#log}`, '--audit-log-mode=blocking'];
  }

  /** `group/resource verb` of everything that a user asked for, sorted. An apply that made the object is a create, too. */
  rightsAsked(user: string): readonly string[] {
    const lines = readFileSync(this.#log, 'utf8').split('\n');
    const asked = lines.flatMap((line) => {
      // The last line may be half written.
      const entry = line.endsWith('}') ? entrySchema.parse(JSON.parse(line)) : undefined;
      const { resource, subresource, apiGroup } = entry?.objectRef ?? {};
      if (entry?.user.username !== user || resource === undefined) return [];
      const what = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
      const isApplied = entry.verb === 'patch' && entry.responseStatus?.code === CREATED;
      return isApplied ? [`${what} patch`, `${what} create`] : [`${what} ${entry.verb}`];
    });
    return [...new Set(asked)].toSorted();
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
