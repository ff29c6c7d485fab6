import type { ReflectorHandler } from '../reflector-options.ts';

interface Thing {
  readonly [field: string]: unknown;
}

/** A handler that keeps what it receives, by uid, and every call by name. */
export class Mirror implements ReflectorHandler<Thing> {
  readonly objects = new Map<string, string>();
  readonly calls: string[] = [];
  /** Names whose callbacks throw. */
  readonly poison = new Set<string>();

  replace(items: readonly Thing[], resourceVersion: string): void {
    this.calls.push(`replace ${items.length} @${resourceVersion}`);
    this.objects.clear();
    for (const item of items) this.objects.set(uidOf(item), JSON.stringify(item));
    if (this.poison.has('replace')) throw new Error('replace is poisoned');
  }

  upsert(object: Thing): void {
    this.calls.push(`upsert ${nameOf(object)}`);
    if (this.poison.has(nameOf(object))) throw new Error(`${nameOf(object)} is poisoned`);
    this.objects.set(uidOf(object), JSON.stringify(object));
  }

  remove(object: Thing): void {
    this.calls.push(`remove ${nameOf(object)}`);
    this.objects.delete(uidOf(object));
  }

  names(): readonly string[] {
    return [...this.objects.values()].map((text) => nameOf(JSON.parse(text) as Thing)).sort();
  }
}

function nameOf(object: Thing): string {
  return field(object, 'name');
}

function uidOf(object: Thing): string {
  return field(object, 'uid');
}

function field(object: Thing, name: string): string {
  const { metadata } = object;
  if (typeof metadata !== 'object' || metadata === null) throw new Error('object without metadata');
  return String(new Map(Object.entries(metadata)).get(name));
}
