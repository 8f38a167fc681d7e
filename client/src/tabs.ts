/**
 * One connection for all tabs of a browser that share an identity. Whoever holds the lock leads: it
 * has the connection, and broadcasts what the channel says; the others broadcast what they want to
 * say. The lock falls to the next tab the moment its holder is gone, and since every tab counts the
 * sequence, the next one resumes where the last one was.
 */
import { Connection, type ConnectionHears, type ConnectionOptions } from "./connection.ts";
import { newId } from "./identity.ts";
import type { State } from "./machine.ts";
import { type Command, sequenceAfter, typeOf } from "./wire.ts";

/** What a tab says to the others. */
type Word =
  | { t: "hello" }
  | { t: "lead"; channel: string; sequence: number | undefined; cursor: string | undefined; state: State; open: readonly string[]; caught: boolean }
  | { t: "lines"; text: string; before: number; bytes: number }
  | { t: "local"; event: object }
  | { t: "state"; state: State; reason: string | undefined }
  | { t: "command"; command: Command }
  | { t: "saved"; sequence: number }
  | { t: "bye"; channel: string }
  | { t: "other"; word: unknown };

export interface LinkHears extends ConnectionHears {
  /** This tab has the connection, from now on. Resolves when it may attach. */
  leads(): Promise<void>;
  /** Another tab has it, and is attached; these requests are open. Commands may be lost before. */
  follows(open: readonly string[], caught: boolean): void;
  /** The channel has ended, and every request on it. */
  orphaned(): void;
  /** What other tabs say to each other. */
  word(word: unknown): void;
  /** Everything up to this event is kept by the leader. */
  saved(sequence: number): void;
  /** Which requests are open, and whether the channel's replay is over: what a new tab has to know. */
  open(): { requests: readonly string[]; caught: boolean };
  /** Resolves when everything heard so far is kept. */
  save(): Promise<void>;
}

export class Link {
  state: State = { name: "idle", via: "ws", tries: 0 };
  isLeader = false;
  #connection: Connection | undefined;
  #channel: BroadcastChannel | undefined;
  #release: (() => void) | undefined;
  #closed = false;
  /** Before the leader has told where it is, what it broadcasts means nothing here. */
  #follows = false;

  constructor(
    readonly name: string,
    private readonly options: ConnectionOptions,
    private readonly shared: boolean,
    private readonly hears: LinkHears,
  ) {}

  start(): void {
    const locks = globalThis.navigator?.locks;
    if (!this.shared || !locks || typeof BroadcastChannel === "undefined") return this.#lead();
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.onmessage = (message) => this.#heard(message.data as Word);
    (this.#channel as unknown as { unref?: () => void }).unref?.();
    this.#say({ t: "hello" });
    this.#compete(locks);
  }

  get position(): ConnectionOptions["position"] {
    return this.options.position;
  }

  get channel(): string {
    return this.options.channel;
  }

  send(command: Command): void {
    if (this.isLeader) this.#connection?.send(command);
    else this.#say({ t: "command", command });
  }

  /** To the other tabs. */
  broadcast(word: unknown): void {
    this.#say({ t: "other", word });
  }

  saved(sequence: number): void {
    if (this.isLeader) this.#say({ t: "saved", sequence });
  }

  tell(event: "online" | "offline"): void {
    this.#connection?.tell(event);
  }

  /** A frozen page cannot lead: another tab takes over, or nobody, until it thaws. */
  freeze(): void {
    void this.hears.save();
    this.#connection?.tell("freeze");
    this.#release?.();
  }

  thaw(): void {
    if (this.#closed) return;
    if (!this.#channel) return this.#connection?.tell("thaw");
    if (this.isLeader) return;
    this.#say({ t: "hello" });
    const locks = globalThis.navigator?.locks;
    if (locks) this.#compete(locks);
  }

  token(fresh = false): Promise<string | null> {
    this.#connection ??= this.#connect();
    return this.#connection.token(fresh);
  }

  /**
   * The page goes. Its channel goes with it, or it would count on the server for a while; the next
   * leader opens one of its own, since it cannot know which of the two comes first.
   */
  leave(): void {
    if (!this.isLeader) return;
    const { channel, base, fetch } = this.options;
    this.#say({ t: "bye", channel: `tab-${newId(12)}` });
    void this.#connection?.token().then((token) => {
      const headers = { Authorization: `Bearer ${token}` };
      return fetch(`${base}/channels/${channel}`, { method: "DELETE", keepalive: true, headers });
    }).catch(() => {});
    this.#connection?.close();
  }

  close(): void {
    this.#closed = true;
    this.leave();
    this.#connection?.close();
    this.#release?.();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #compete(locks: LockManager): void {
    void locks
      .request(this.name, () => {
        if (this.#closed) return undefined;
        return new Promise<void>((release) => {
          this.#release = () => {
            this.isLeader = false;
            this.#follows = false;
            this.#connection?.close();
            this.#release = undefined;
            release();
          };
          this.#lead();
        });
      })
      .catch(() => undefined);
  }

  #lead(): void {
    this.isLeader = true;
    void this.hears.leads().then(() => {
      if (this.#closed || !this.isLeader) return;
      this.#connection ??= this.#connect();
      this.#connection.tell("start");
      this.#announce();
    });
  }

  #connect(): Connection {
    return new Connection(this.options, {
      lines: (text, before, bytes) => {
        this.#say({ t: "lines", text, before, bytes });
        this.hears.lines(text, before, bytes);
      },
      local: (event) => {
        this.#say({ t: "local", event });
        this.hears.local(event);
      },
      first: () => this.hears.first(),
      state: (state, reason) => {
        this.state = state;
        this.#say({ t: "state", state, reason });
        this.hears.state(state, reason);
      },
    });
  }

  #announce(): void {
    const { channel, position } = this.options;
    const { sequence, cursor } = position;
    const { requests: open, caught } = this.hears.open();
    this.#say({ t: "lead", channel, sequence, cursor, state: this.state, open, caught });
  }

  #say(word: Word): void {
    this.#channel?.postMessage(word);
  }

  #heard(word: Word): void {
    if (word.t === "other") return this.hears.word(word.word);
    if (this.isLeader) {
      if (word.t === "command") this.#connection?.send(word.command);
      // A new tab reads the cache first, which therefore has to hold all that was heard.
      if (word.t === "hello") void this.hears.save().then(() => this.isLeader && this.#announce());
      return;
    }
    switch (word.t) {
      case "lead":
        this.options.channel = word.channel;
        this.options.position.sequence = word.sequence;
        this.options.position.cursor = word.cursor;
        this.#follows = true;
        this.#changed(word.state);
        return this.hears.follows(word.open, word.caught);
      case "state":
        if (this.#follows) this.#changed(word.state, word.reason);
        return;
      case "saved":
        return this.hears.saved(word.sequence);
      case "bye":
        this.options.channel = word.channel;
        this.options.position.sequence = undefined;
        return this.hears.orphaned();
      case "local":
        if (this.#follows) this.hears.local(word.event);
        return;
      case "lines":
        if (this.#follows) this.#lines(word);
    }
  }

  #changed(state: State, reason?: string): void {
    this.state = state;
    this.hears.state(state, reason);
  }

  #lines(word: Extract<Word, { t: "lines" }>): void {
    const { position } = this.options;
    const lines = word.text.split("\n");
    const opens = lines.some((line) => typeOf(line) === "open");
    if (!opens && position.sequence !== undefined && word.before !== position.sequence) {
      // Something was missed: nothing here can be trusted.
      this.hears.local({ type: "reset", reason: "missed" });
    }
    position.sequence = sequenceAfter(lines, word.before);
    this.hears.lines(word.text, word.before, word.bytes);
  }
}
