/**
 * The shapes that go over the wire: events, commands, problems. Knows no transport and no store.
 */

/** A row as it comes over the wire. */
export type Row = Record<string, unknown>;
/** A row's key: one value, or, for a composite key, an array in key order. */
export type Key = string | number | boolean | readonly (string | number | boolean)[];
/** What a change did. `gone`: the row exists, but this identity may not see it any more. */
export type Op = "insert" | "update" | "delete" | "gone";

/** A problem document (RFC 9457), as answers and `error` events carry it. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  code?: string;
  hint?: string;
  message?: string;
  details?: string;
  request_id?: string;
  retryable?: boolean;
}

export interface OpenEvent {
  type: "open";
  channel_id: string;
  sequence: number;
  resumed: boolean;
  cursor?: string;
  version?: number;
  ping_seconds?: number;
}
export interface RowEvent {
  type: "row";
  request_id: string;
  resource: string;
  version: number;
  partial?: boolean;
  row: Row;
}
export interface DoneEvent {
  type: "done";
  request_id: string;
  rows: number;
  version?: number;
  cursor?: string;
  next?: string;
  count?: number;
}
export interface ErrorEvent {
  type: "error";
  request_id?: string;
  rows?: number;
  problem: Problem;
}
export interface ChangeEvent {
  type: "change";
  op: Op;
  resource: string;
  id: Key;
  version: number;
  action_id?: string;
  action_ids?: string[];
  row?: Row;
  cursor?: string;
}
export interface ResetEvent {
  type: "reset";
  resource?: string;
  reason?: string;
  /** What did all of it, where that is known. */
  action_ids?: string[];
  version?: number;
  cursor?: string;
}
export interface PingEvent {
  type: "ping";
  cursor?: string;
  version?: number;
}
export interface CloseEvent {
  type: "close";
  code: number;
  reason: string;
  reconnect: boolean;
  after_ms?: number;
}
export interface SignalEvent {
  type: "signal";
  topic: string;
  name: string;
  from?: { user: string; channel?: string };
  action_id?: string;
  data?: unknown;
}
export interface VoidEvent {
  type: "void";
  action_id: string;
}
/** Somebody on a topic, with how many channels, and what they say about themselves. */
export interface Person {
  readonly user: string;
  readonly devices: number;
  readonly state?: unknown;
}
export interface PresenceEvent {
  type: "presence";
  topic: string;
  joined?: Person[];
  left?: { user: string }[];
  count?: number;
}
/** The key of a topic's row is another from now on. */
export interface KeyEvent {
  type: "key";
  topic: string;
}

/** What a channel carries. Events of types that are not known here are counted and passed over. */
export type ServerEvent =
  | OpenEvent
  | RowEvent
  | DoneEvent
  | ErrorEvent
  | ChangeEvent
  | ResetEvent
  | PingEvent
  | CloseEvent
  | SignalEvent
  | VoidEvent
  | PresenceEvent
  | KeyEvent;

/** What a client says on its channel. */
export type Command =
  | { type: "get"; request_id: string; path: string; priority?: number }
  | { type: "cancel"; request_id: string }
  | { type: "ack"; sequence: number }
  | { type: "auth"; token: string }
  | { type: "join"; topic: string; state?: unknown }
  | { type: "leave"; topic: string }
  | { type: "signal"; topic: string; name: string; action_id?: string; data?: unknown };

/** The type of the event on a line, read without parsing the rest. */
export const typeOf = (line: string): string | undefined => /^\s*\{"type":"(\w+)"/.exec(line)?.[1];

/** The number of the last event in these lines, where `before` is that of the last one before them. */
export function sequenceAfter(lines: readonly string[], before: number): number {
  for (const line of lines) {
    const type = typeOf(line);
    if (type === "open") before = (JSON.parse(line) as OpenEvent).sequence;
    else if (type && type !== "ping" && type !== "close") before++;
  }
  return before;
}

/** A refusal by the server, or by the client in the server's words. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

/** A problem that arose here and not at the server; its type says so. */
export const localProblem = (type: string, title: string, retryable = false): Problem => ({
  type: `urn:rowcast:client:${type}`,
  title,
  status: 0,
  retryable,
});

/** The problem that an answer carries, or one made from its status where it carries none. */
export async function problemOf(answer: Response): Promise<Problem> {
  try {
    const problem = (await answer.json()) as Problem;
    if (typeof problem.status === "number") return problem;
  } catch {
    // A proxy's page, or nothing at all.
  }
  const status = answer.status;
  return { ...localProblem("answer", `The server answered ${status}.`, status >= 500), status };
}
