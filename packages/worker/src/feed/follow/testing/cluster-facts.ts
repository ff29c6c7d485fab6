interface Fact {
  readonly version: number;
  readonly uid: string;
  readonly isThere: boolean;
}

/** What really happened in a cluster: which objects there were as of each version. */
export class ClusterFacts {
  readonly #facts: Fact[] = [];

  note(version: number, uid: string, isThere: boolean): void {
    this.#facts.push({ version, uid, isThere });
  }

  thereAt(version: number): Set<string> {
    const there = new Set<string>();
    for (const fact of this.#facts) {
      if (fact.version > version) break;
      if (fact.isThere) there.add(fact.uid);
      else there.delete(fact.uid);
    }
    return there;
  }

  wasDeletedAt(uid: string, version: string): boolean {
    return this.#facts.some((fact) => fact.uid === uid && !fact.isThere && String(fact.version) === version);
  }

  /** Returns the way back to what is known now. */
  backup(): () => void {
    const facts = this.#facts.slice();
    return () => void this.#facts.splice(0, Infinity, ...facts);
  }
}
