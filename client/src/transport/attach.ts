/**
 * What every transport is given and gives back. A transport frames bytes: it holds no state of the
 * channel but its own socket.
 */
import type { Command, Problem } from "../wire.ts";

/** The part of fetch that is used. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** Where to go on. */
export interface Resume {
  /** Resume after this event. */
  after?: number | undefined;
  /** First replay the changes since this state. */
  since?: string | undefined;
  /** Requests that go out with the attaching itself, which saves their round trip. */
  first?: readonly First[] | undefined;
}

/** A request that goes out with the attaching. */
export interface First {
  request_id: string;
  path: string;
  priority: number;
}

/** Where and how to attach. What transports share is given along, so that they can be loaded apart. */
export interface Attach extends Resume {
  /** The server, without a slash at the end. */
  base: string;
  channel: string;
  token: string;
  fetch: Fetch;
  /** The address of the channel with what to resume from and other parameters. */
  urlOf(resume: Resume, more?: Record<string, string>): string;
  /** The problem that an answer carries; without one, that the connection broke. */
  problemOf(answer?: Response): Promise<Problem>;
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
