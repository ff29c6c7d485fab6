import {
  type Assignment,
  ASSIGNMENT_STREAM,
  assignmentSchema,
  assignmentSubject,
  compareEpoch,
} from '@shard-controller/shared/contracts';
import { LastValueStream, type NatsLink } from '@shard-controller/shared/nats';

/** What became of a publication. `newer`: another writer's newer assignment stands there, ours is obsolete. */
export type Publication = 'published' | 'unchanged' | 'newer' | 'failed';

/** The part of the assignment stream that publishing needs. */
export type AssignmentValues = Pick<LastValueStream<Assignment>, 'get' | 'publish' | 'remove'>;

export const assignmentValues = (link: NatsLink): AssignmentValues =>
  new LastValueStream({ link, stream: ASSIGNMENT_STREAM, schema: assignmentSchema, patienceMs: 2000 });

/**
 * Publishes assignments on NATS, the fast way to the workers. Only newer ones replace what stands there: a deposed
 * leader that wakes up late can therefore not put an old assignment back.
 */
export class AssignmentPublisher {
  readonly #values: AssignmentValues;
  /** Subjects whose value is known to be ours, with its generation and epoch. */
  readonly #known = new Map<string, Pick<Assignment, 'generation' | 'epoch'>>();

  constructor(values: AssignmentValues) {
    this.#values = values;
  }

  /** @throws NatsUnavailableError, StreamMissingError when NATS cannot be asked now */
  async publish(assignment: Assignment): Promise<Publication> {
    const subject = subjectOf(assignment);
    const known = this.#known.get(subject);
    if (known !== undefined && compareEpoch(known, assignment) === 0) return 'unchanged';
    const present = await this.#values.get(subject);
    // Garbage, or a value of an earlier ShardConfig of the same name, is replaced whatever its epoch.
    const comparable = present?.body.ok === true && present.body.value.shardConfig.uid === assignment.shardConfig.uid;
    const order = present?.body.ok === true && comparable ? compareEpoch(present.body.value, assignment) : -1;
    if (order > 0) return 'newer';
    if (order < 0) {
      const result = await this.#values.publish(subject, assignment, present?.sequence ?? 0);
      if (!result.ok) return result.conflict ? 'newer' : 'failed';
    }
    this.#known.set(subject, { generation: assignment.generation, epoch: assignment.epoch });
    return order === 0 ? 'unchanged' : 'published';
  }

  /** Looks at the stream again for every subject: at a resync, or when NATS was away. */
  forget(): void {
    this.#known.clear();
  }

  /** Removes the assignment of a shard, or with `*` of all shards of a ShardConfig. */
  async remove(namespace: string, config: string, shardId: string): Promise<void> {
    const subject =
      shardId === '*'
        ? assignmentSubject({ namespace, config, shardId: 'shard-000' }).replace(/shard-000$/, '*')
        : assignmentSubject({ namespace, config, shardId });
    await this.#values.remove(subject);
    for (const key of this.#known.keys()) {
      if (key === subject || (shardId === '*' && key.startsWith(subject.slice(0, -1)))) this.#known.delete(key);
    }
  }
}

const subjectOf = ({ shardConfig, shardId }: Assignment): string =>
  assignmentSubject({ namespace: shardConfig.namespace, config: shardConfig.name, shardId });
