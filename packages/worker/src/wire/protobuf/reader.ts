/**
 * Reads the protobuf wire format in place: no objects, no copies. One reader is reused for all frames of a feed.
 * https://protobuf.dev/programming-guides/encoding/
 */
export class ProtobufReader {
  #bytes: Uint8Array = new Uint8Array(0);
  /** Next byte to read. */
  position = 0;
  end = 0;
  /** Field number and wire type of the tag read last. */
  field = 0;
  wireType = 0;

  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.position = start;
    this.end = end;
  }

  /** Reads the next tag; false at the end. Throws WireFormatError on malformed bytes. */
  next(): boolean {
    if (this.position >= this.end) return false;
    const tag = this.varint();
    // No such field exists, and client-go refuses a message that has one.
    if (tag < 8) throw new WireFormatError('a field has number 0');
    this.field = Math.floor(tag / 8);
    this.wireType = tag & 7;
    return true;
  }

  /** An unsigned varint of at most 53 bits; longer ones lose their high bits, which no field we read has. */
  varint(): number {
    const bytes = this.#bytes;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.position >= this.end) throw new WireFormatError('a varint ends early');
      const byte = bytes[this.position++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new WireFormatError('a varint is longer than 10 bytes');
  }

  /** Reads the length of a length-delimited field and returns where the field ends; `position` is where it starts. */
  block(): number {
    if (this.wireType !== 2) throw new WireFormatError(`field ${this.field} has wire type ${this.wireType}, not 2`);
    const stop = this.varint() + this.position;
    if (stop > this.end) throw new WireFormatError(`field ${this.field} is longer than its message`);
    return stop;
  }

  skip(): void {
    switch (this.wireType) {
      case 0:
        this.varint();
        return;
      case 1:
        this.position += 8;
        break;
      case 2:
        this.position = this.block();
        return;
      case 5:
        this.position += 4;
        break;
      default:
        throw new WireFormatError(`wire type ${this.wireType} is not used by Kubernetes`);
    }
    if (this.position > this.end) throw new WireFormatError(`field ${this.field} is longer than its message`);
  }
}

/**
 * Bytes from the API server that are not what their content type promises.
 * @remedy check what stands between the worker and the API server.
 */
export class WireFormatError extends Error {
  override readonly name = 'WireFormatError';
  readonly code = 'SC_WIRE_FORMAT';

  constructor(problem: string) {
    super(`the API server sent bytes that cannot be decoded: ${problem}; reopening the stream`);
  }
}
