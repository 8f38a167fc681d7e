/**
 * Drives the state machine: transports, timers, tokens, and the count of the channel's sequence.
 * Hands on what the channel carries as text; what the events mean is others' business.
 */
import { type Effect, INITIAL, type MachineEvent, type State, type Via, backoffMs, step } from "./machine.ts";
import type { Attached, Fetch, First, Resume, Transport } from "./transport/attach.ts";
import { websocket } from "./transport/websocket.ts";
import { type CloseEvent, type Command, type OpenEvent, localProblem, problemOf, sequenceAfter, typeOf } from "./wire.ts";

export type TokenSource = string | (() => string | null | Promise<string | null>);

export interface ConnectionOptions {
  base: string;
  channel: string;
  token: TokenSource;
  fetch: Fetch;
  WebSocket: typeof WebSocket | undefined;
  resources: readonly string[] | undefined;
  /** Limits the transports, for networks whose ways are known and for tests. */
  vias: readonly Via[];
  connectTimeoutMs: number;
  /** Where to resume: the last event applied, and the last cursor of the channel. */
  position: { sequence?: number | undefined; cursor?: string | undefined };
}

export interface ConnectionHears {
  /** Lines of events; `before` is the number of the last counted event before them. */
  lines(text: string, before: number, bytes: number): void;
  local(event: object): void;
  /** What is to go out with the next attempt. */
  first(): readonly First[];
  state(state: State, reason?: string): void;
}

const ACK_EVERY_MS = 5_000;
const UPGRADE_AFTER_MS = 120_000;
/** Most pages never need the others, which therefore come in a file of their own. */
const transportOf = async (via: Via): Promise<Transport> =>
  via === "ws" ? websocket : (await import("./transport/fallback.ts"))[via];

export class Connection {
  state: State = INITIAL;
  #attached: Attached | undefined;
  #token: string | undefined;
  #afterMs: number | undefined;
  #reason: string | undefined;
  #pingMs = 25_000;
  #acked = 0;
  /** The attempt that is under way: what an older one still says is not heard. */
  #attempt = 0;
  #timers = new Map<"wait" | "silence" | "upgrade" | "ack", ReturnType<typeof setTimeout>>();

  constructor(
    private readonly options: ConnectionOptions,
    private readonly hears: ConnectionHears,
  ) {}

  tell(event: MachineEvent): void {
    const [next, effects] = step(this.state, event);
    const changed = next.name !== this.state.name || next.via !== this.state.via;
    this.state = next;
    for (const effect of effects) this.#do(effect);
    if (changed) {
      if (next.name !== "open") this.#clear("upgrade", "ack");
      if (next.name !== "open" && next.name !== "connecting") this.#clear("silence");
      this.hears.state(next, this.#reason);
    }
  }

  send(command: Command): void {
    this.#attached?.send(command);
  }

  /** The last token that the callback gave. */
  async token(fresh = false): Promise<string | null> {
    if (this.#token && !fresh) return this.#token;
    const source = this.options.token;
    const token = typeof source === "function" ? await source() : source;
    this.#token = token ?? undefined;
    return token;
  }

  /** Leaves without waiting for anything. */
  close(): void {
    this.tell("stop");
    this.#clear("wait", "silence", "upgrade", "ack");
  }

  #do(effect: Effect): void {
    switch (effect) {
      case "connect":
        return void this.#connect();
      case "disconnect":
        this.#attempt++;
        this.#attached?.close();
        this.#attached = undefined;
        return;
      case "wait": {
        const ms = this.#afterMs ?? backoffMs(this.state.tries, Math.random());
        this.#afterMs = undefined;
        return this.#later("wait", ms, () => this.tell("retry"));
      }
      case "unwait":
        return this.#clear("wait");
      case "renew":
        return void this.#renew();
      case "auth":
        if (this.#token) this.send({ type: "auth", token: this.#token });
    }
  }

  async #renew(): Promise<void> {
    const before = this.#token;
    try {
      const token = await this.token(true);
      // The same token again is no answer to one that has ended.
      if (token === null || (token === before && this.state.name === "renewing")) this.tell("refused");
      else this.tell("renewed");
    } catch {
      this.#token = before;
      this.tell("unrenewed");
    }
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    this.#attached?.close();
    this.#attached = undefined;
    const { via } = this.state;
    const mine = () => attempt === this.#attempt;
    this.#later("silence", this.options.connectTimeoutMs, () => this.tell("silent"));
    let token: string | null = null;
    let transport: Transport = websocket;
    try {
      [token, transport] = await Promise.all([this.token(), transportOf(via)]);
    } catch {
      // Without a token there is no attempt; the back-off asks again.
    }
    if (!mine()) return;
    // A transport that is switched off fails as one that is blocked.
    if (!this.options.vias.includes(via)) return this.tell("silent");
    if (token === null) return this.tell("failed");
    const { sequence: after, cursor: since } = this.options.position;
    this.#attached = transport(
      {
        ...this.options, token, after, since,
        first: this.hears.first(),
        urlOf: (resume, more) => this.#url(resume, more),
        problemOf: async (answer) => (answer ? problemOf(answer) : localProblem("interrupted", "The connection broke.", true)),
      },
      {
        lines: (text, bytes) => mine() && this.#lines(text, bytes),
        local: (event) => mine() && this.hears.local(event),
        ended: (why, afterMs) => {
          if (!mine()) return;
          this.#attached = undefined;
          this.#afterMs = afterMs;
          this.tell(why === "lost" && this.state.name === "connecting" ? "failed" : why);
        },
      },
    );
  }

  #url({ after, since, first }: Resume, more: Record<string, string> = {}): string {
    const { base, channel, resources } = this.options;
    const query = new URLSearchParams(more);
    if (after !== undefined) query.set("after", String(after));
    if (since !== undefined) query.set("since", since);
    if (resources) query.set("resources", resources.join(","));
    if (first?.length) query.set("get", JSON.stringify(first));
    return `${base}/channels/${channel}?${query}`;
  }

  #lines(text: string, bytes: number): void {
    const { position } = this.options;
    const before = position.sequence ?? 0;
    // Only the head of each line is looked at here; whoever applies the events parses them.
    const lines = text.split("\n");
    const counted = sequenceAfter(lines, before);
    position.sequence = counted;
    let close: CloseEvent | undefined;
    let expiring = false;
    for (const line of lines) {
      const type = typeOf(line);
      if (type === "open") this.#opened(JSON.parse(line) as OpenEvent);
      else if (type === "close") close = JSON.parse(line) as CloseEvent;
      else expiring ||= type === "error" && line.includes("token-expiring");
    }
    this.#later("silence", this.#pingMs * 2 + 5_000, () => this.tell("silent"));
    this.hears.lines(text, before, bytes);
    if (expiring) this.tell("expiring");
    if (close) this.#closed(close);
    else if (counted > this.#acked) this.#ackSoon();
  }

  #opened(open: OpenEvent): void {
    if (open.ping_seconds) this.#pingMs = open.ping_seconds * 1000;
    this.#reason = undefined;
    this.tell("opened");
    if (this.state.via !== "ws") {
      this.#later("upgrade", UPGRADE_AFTER_MS, () => this.tell("upgrade"));
    }
  }

  #closed(close: CloseEvent): void {
    this.#reason = close.reason;
    this.#afterMs = close.after_ms;
    if (close.code === 4003) this.tell("expired");
    else if (close.code === 4000 && this.options.position.cursor !== undefined) {
      // What could not be read may be the cursor: without it everything is fetched again.
      this.options.position.cursor = undefined;
      this.hears.local({ type: "reset", reason: "cursor" });
      this.tell("close-now");
    } else if (close.code < 4100) this.tell("close-stop");
    else this.tell(close.code < 4200 ? "close-later" : "close-now");
  }

  #ackSoon(): void {
    if (this.#timers.has("ack")) return;
    this.#later("ack", ACK_EVERY_MS, () => {
      this.#timers.delete("ack");
      this.#acked = this.options.position.sequence ?? 0;
      this.send({ type: "ack", sequence: this.#acked });
    });
  }

  #later(name: "wait" | "silence" | "upgrade" | "ack", ms: number, then: () => void): void {
    clearTimeout(this.#timers.get(name));
    const timer = setTimeout(then, ms);
    this.#timers.set(name, timer);
    // In Node a timer must not keep the process.
    (timer as { unref?: () => void }).unref?.();
  }

  #clear(...names: ("wait" | "silence" | "upgrade" | "ack")[]): void {
    for (const name of names) {
      clearTimeout(this.#timers.get(name));
      this.#timers.delete(name);
    }
  }
}
