import { z } from 'zod';

/** One line of JSON each way, on a unix socket in the folder that inside and outside share. */
export const CONTROL_SOCKET = 'control';

const listenRequest = z.object({
  /** Unix socket that the asking side listens on. */
  socket: z.string().min(1).max(107),
  /** Wanted port on the user's 127.0.0.1; any free one if absent. */
  port: z.int().min(1).max(65_535).optional(),
});
const listenAnswer = z.union([z.object({ port: z.int() }), z.object({ error: z.string() })]);

type ListenRequest = z.infer<typeof listenRequest>;
export type ListenAnswer = z.infer<typeof listenAnswer>;

export function parseListenRequest(line: string): ListenRequest | undefined {
  return listenRequest.safeParse(json(line)).data;
}

export function parseListenAnswer(line: string): ListenAnswer | undefined {
  return listenAnswer.safeParse(json(line)).data;
}

function json(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
