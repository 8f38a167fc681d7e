/**
 * What every transport is given and gives back. A transport frames bytes: it holds no state of the
 * channel but its own socket.
 */
import type { Command } from "../wire.ts";

/** The part of fetch that is used. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** Where and how to attach. */
export interface Attach {
  /** The server, without a slash at the end. */
  base: string;
  channel: string;
  token: string;
  /** Resume after this event. */
  after?: number | undefined;
  /** First replay the changes since this state. */
  since?: string | undefined;
  /** Limits changes to these resources. */
  resources?: readonly string[] | undefined;
  fetch: Fetch;
  WebSocket?: typeof WebSocket | undefined;
}

/** Why a transport ended that did not say `close` on the channel. */
export type End = "lost" | "expired" | "close-stop" | "close-later";

/** Whom a transport tells. */
export interface Hears {
  /** Events, one on a line, as the channel carries them, with their size on the wire in bytes. */
  lines(text: string, bytes: number): void;
  /** An event that did not come over the channel, and takes no number. */
  local(event: object): void;
  /** The end, once. */
  ended(why: End, afterMs?: number): void;
}

/** A transport at work. */
export interface Attached {
  send(command: Command): void;
  /** Ends it without a word to [`Hears.ended`]. */
  close(): void;
}

export type Transport = (attach: Attach, hears: Hears) => Attached;

/** The address of the channel with what to resume from. */
export function channelUrl(attach: Attach, more: Record<string, string> = {}): string {
  const query = new URLSearchParams(more);
  if (attach.after !== undefined) query.set("after", String(attach.after));
  if (attach.since !== undefined) query.set("since", attach.since);
  if (attach.resources) query.set("resources", attach.resources.join(","));
  const text = query.toString();
  return `${attach.base}/channels/${encodeURIComponent(attach.channel)}${text && `?${text}`}`;
}

/** What the status of an answer that is no channel means for the connection. */
export function endOf(answer: Response): [End, number?] {
  const seconds = Number(answer.headers.get("retry-after"));
  if (answer.status === 401) return ["expired"];
  if (answer.status === 429 || answer.status >= 500) return ["close-later", seconds * 1000 || undefined];
  return answer.status >= 400 ? ["close-stop"] : ["lost"];
}
