/**
 * Addresses of pods: 10.88.1.1 upwards. Never given twice in a run, because neighbours remember the hardware address of
 * the old owner for up to a minute, which would look like a random outage of the new one.
 */
export class PodAddresses {
  #next = 256;

  take(): PodAddress {
    do this.#next += 1;
    while (this.#next % 256 === 0 || this.#next % 256 === 255);
    if (this.#next > 65_000) throw new Error('All 64,000 pod addresses of this run were used: start a new cluster.');
    const [high, low] = [this.#next >> 8, this.#next & 255];
    const hex = (byte: number): string => byte.toString(16).padStart(2, '0');
    return {
      ip: `10.88.${high}.${low}`,
      mac: `02:00:0a:58:${hex(high)}:${hex(low)}`,
      // Interface names end at 15 characters.
      id: `p${high}-${low}`,
    };
  }
}

export interface PodAddress {
  readonly ip: string;
  /** Made from the address, so that it is as unique. */
  readonly mac: string;
  /** Short name for the network namespace and the bridge port. */
  readonly id: string;
}
