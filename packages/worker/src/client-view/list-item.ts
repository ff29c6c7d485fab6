/** The bytes of a list item that are forwarded to the client, or undefined when it is not shown. */
export type ListItemTest = (bytes: Buffer, start: number, end: number, isRow?: boolean) => Buffer | undefined;

/** Takes a list body in pieces and gives what the client gets of it. */
export interface ListFilter {
  push(chunk: Buffer): Buffer[];
  /** What was waiting for the whole. Throws WireFormatError when the list is not complete. */
  end(): Buffer[];
}

export interface ListMetadata {
  resourceVersion: string;
  continueToken: string;
}
