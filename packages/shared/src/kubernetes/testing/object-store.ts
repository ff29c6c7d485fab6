import { isRecord } from '../../runtime/is-record.ts';

/** A stored object: raw JSON with the metadata that a server gives. */
export interface StoredObject {
  readonly [field: string]: unknown;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly [field: string]: unknown;
  };
}

export interface StoredEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: StoredObject;
  readonly resourceVersion: number;
}

/** The model behind the fake server: one collection with its history, as etcd keeps it. */
export class ObjectStore {
  readonly #objects = new Map<string, StoredObject>();
  #history: StoredEvent[] = [];
  #compactedAt = 0;
  #nextUid = 1;
  readonly #revision: { value: number };
  readonly #listeners = new Set<(event: StoredEvent) => void>();

  constructor(revision: { value: number }) {
    this.#revision = revision;
  }

  get resourceVersion(): number {
    return this.#revision.value;
  }

  get compactedAt(): number {
    return this.#compactedAt;
  }

  list(): readonly StoredObject[] {
    return [...this.#objects.values()];
  }

  get(name: string): StoredObject | undefined {
    return this.#objects.get(name);
  }

  /** Creates or replaces; the uid of an existing object stays. */
  put(name: string, content: Readonly<Record<string, unknown>> = {}): StoredObject {
    const before = this.#objects.get(name);
    const given = isRecord(content['metadata']) ? content['metadata'] : {};
    const uid = before?.metadata.uid ?? `uid-${this.#nextUid++}`;
    const resourceVersion = String(++this.#revision.value);
    const object: StoredObject = { ...content, metadata: { ...given, name, uid, resourceVersion } };
    this.#objects.set(name, object);
    this.#publish(before === undefined ? 'ADDED' : 'MODIFIED', object);
    return object;
  }

  delete(name: string): StoredObject | undefined {
    const before = this.#objects.get(name);
    if (before === undefined) return undefined;
    this.#objects.delete(name);
    const resourceVersion = String(++this.#revision.value);
    this.#publish('DELETED', { ...before, metadata: { ...before.metadata, resourceVersion } });
    return before;
  }

  /** Forgets history: watches from before answer 410. */
  compact(): void {
    this.#compactedAt = this.#revision.value;
    this.#history = [];
  }

  since(resourceVersion: number): readonly StoredEvent[] {
    return this.#history.filter((event) => event.resourceVersion > resourceVersion);
  }

  subscribe(listener: (event: StoredEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #publish(type: StoredEvent['type'], object: StoredObject): void {
    const event = { type, object, resourceVersion: this.#revision.value };
    this.#history.push(event);
    for (const listener of this.#listeners) listener(event);
  }
}
