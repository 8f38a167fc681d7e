/**
 * The parts of a client and how they are put together: what each needs of the others, when they begin
 * and end, and what the application hears of it. Knows neither queries nor writes as they are called.
 */
import { ConflictError, type Outcome, draw } from "./actions.ts";
import type { ConnectionOptions } from "./connection.ts";
import { identityOf, newId } from "./identity.ts";
import { Inbox } from "./inbox.ts";
import { type Coverage } from "./live.ts";
import { type State, VIAS, backoffMs } from "./machine.ts";
import type { Figures, Options, Status } from "./options.ts";
import { listenToPage } from "./page.ts";
import { Persist } from "./persist.ts";
import { Queries } from "./queries.ts";
import { type Spec, path } from "./query.ts";
import { type Handler, Requests } from "./requests.ts";
import { Store } from "./store.ts";
import { Link } from "./tabs.ts";
import { ProblemError, type Row, type ServerEvent, localProblem, problemOf } from "./wire.ts";
import type { WriteWord, Writes } from "./writes.ts";

const MEMORY_BYTES = 64 * 1024 * 1024;
const WARM_MOST = 100;
const CONNECT_TIMEOUT_MS = 8_000;
const FIGURES_MOST = 50;
const RECALL_MS = 100;
const LATER_MS = 1_000;
/** As urgent as a read is of which nothing else is said. @internal */
export const PRIORITY = 3;

const subscribe = <T>(listeners: Set<T>, listener: T) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export class Core {
  /** The rows themselves. @internal */
  readonly store: Store;
  readonly figures: Figures = {
    bytesReceived: 0, bytesSaved: 0, rows: 0, changes: 0, resets: 0, version: 0, requests: [],
  };
  status: Status = {
    state: "idle", via: "ws", isLeader: false, isCaughtUp: false, pending: 0, reason: undefined,
  };

  // The parts, which use each other by the interfaces that each states.
  /** @internal */
  readonly persist: Persist;
  /** @internal */
  readonly requests: Requests;
  /** @internal */
  readonly queries: Queries;
  /** @internal */
  writes: Writes | undefined;
  #writing: Promise<Writes> | undefined;
  /** @internal */
  link: Link | undefined;
  /** Rows that colleagues will share, by action. @internal */
  readonly shared = new Map<string, Promise<Row | undefined>>();
  #inbox: Inbox;

  /** The server, without a slash at the end. @internal */
  readonly server: string;
  /** @internal */
  readonly http: NonNullable<Options["fetch"]>;
  /** Resolves when what is kept can be reached. @internal */
  readonly hasStarted: Promise<void>;
  #statusListeners = new Set<() => void>();
  #eventListeners = new Set<(event: ServerEvent) => void>();
  #outcomeListeners = new Set<(outcome: Outcome) => void>();
  #closed = false;
  #forcedOffline = false;
  #unlisten = () => {};

  constructor(/** @internal */ readonly options: Options) {
    const base = options.url ?? globalThis.location?.origin ?? "";
    this.server = base.replace(/\/$/, "");
    this.http = options.fetch ?? globalThis.fetch.bind(globalThis);
    const { memoryBytesMax = MEMORY_BYTES, warmQueriesMax = WARM_MOST } = options;
    let started = () => {};
    const ready = new Promise<void>((resolve) => (started = resolve));
    this.hasStarted = ready;
    const store = (this.store = new Store(options.keys, memoryBytesMax));
    this.persist = new Persist("", options.persist === false ? undefined : (options.indexedDB ?? globalThis.indexedDB));
    this.requests = new Requests(`${newId(6)}-`, {
      send: (command) => this.link?.send(command),
      isOpen: () => this.status.state === "open",
      opened: (id) => {
        store.requestOpened(id);
        this.link?.broadcast({ request: id });
      },
      ended: (id) => store.requestEnded(id),
      figures: (figures) => {
        if (this.figures.requests.push(figures) > FIGURES_MOST) this.figures.requests.shift();
      },
    });
    this.queries = new Queries({
      store, ready, memoryBytesMax, warmQueriesMax,
      persist: this.persist,
      figures: this.figures,
      isCaughtUp: () => this.status.isCaughtUp,
      ask: (spec, row) => this.askRows(spec, { row }),
      broadcast: (word) => this.link?.broadcast(word),
    });
    this.#inbox = new Inbox(this);
    void this.#start().then(started);
  }

  /** Calls back when [`status`](Client.status) has changed. */
  onStatus(listener: () => void): () => void {
    return subscribe(this.#statusListeners, listener);
  }

  /** Every event of the channel, for what the client itself has no use for: signals, presence. */
  onEvent(listener: (event: ServerEvent) => void): () => void {
    return subscribe(this.#eventListeners, listener);
  }

  /** What became of each write, also of those that an earlier page began. */
  onOutcome(listener: (outcome: Outcome) => void): () => void {
    return subscribe(this.#outcomeListeners, listener);
  }

  /** As if the network were gone, or back. */
  setOnline(online: boolean): void {
    this.#forcedOffline = !online;
    this.link?.tell(online ? "online" : "offline");
    if (online) this.writes?.drain();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unlisten();
    this.queries.end();
    this.requests.fail(new ProblemError(localProblem("closed", "The client was closed.")));
    await this.persist.flush();
    this.writes?.close();
    this.link?.close();
    this.persist.close();
  }

  /** @internal */
  askRows(spec: Spec, handler: Handler): Promise<unknown> {
    return this.requests.ask(path(spec), spec.priority ?? PRIORITY, handler, spec.signal);
  }

  /** Calls the server as the user. @internal */
  async call(route: string, init: RequestInit = {}, fresh = false): Promise<Response> {
    const token = await this.link?.token(fresh);
    return this.http(this.server + route, {
      ...init,
      headers: { ...(init.headers as Record<string, string>), Authorization: `Bearer ${token}` },
    });
  }

  // What the parts tell.

  /** @internal */
  attached(): void {
    this.setStatus({ isCaughtUp: false, reason: undefined });
  }

  /** @internal */
  caughtUp(): void {
    if (this.status.isCaughtUp) return;
    this.setStatus({ isCaughtUp: true });
    for (const query of this.queries.of(undefined)) query.caughtUp();
    this.writes?.drain();
  }

  /** @internal */
  event(event: ServerEvent): void {
    for (const listener of [...this.#eventListeners]) listener(event);
  }

  async #start(): Promise<void> {
    const { options, persist } = this;
    const identity = options.identity ?? (await identityOf(options.token).catch(() => "unknown"));
    const name = `rowcast:${this.server}:${identity}`;
    await persist.open(name);
    if (this.#closed) return persist.close();
    persist.onSaved = (sequence) => this.link?.saved(sequence);
    this.store.onState = (resource, key, version, row) => persist.state(resource, key, version, row);
    await this.queries.restore();
    const connection: ConnectionOptions = {
      base: this.server,
      channel: `tab-${newId(12)}`,
      token: options.token,
      fetch: this.http,
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      resources: options.resources,
      vias: options.transports ?? VIAS,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      position: { cursor: persist.cursor },
    };
    const link = (this.link = new Link(name, connection, options.shareTabs ?? true, {
      lines: (text, _before, bytes) => this.#inbox.lines(text, bytes),
      local: (event) => this.#inbox.local(event as ServerEvent),
      state: (state, reason) => this.#stateChanged(state, reason),
      leads: async () => {
        persist.writes = true;
        this.setStatus({ isLeader: true });
        // What the leader before could not write any more.
        await persist.flush();
        // What the first screen asks for goes out with the opening, once the cache was looked into.
        await Promise.race([this.queries.recalled, new Promise((resolve) => setTimeout(resolve, RECALL_MS))]);
      },
      first: () => this.requests.ride(),
      orphaned: () => this.requests.channelOpened(false),
      follows: (open, caught) => {
        for (const id of open) if (!this.requests.has(id)) this.store.requestOpened(id);
        if (caught) this.caughtUp();
        this.requests.channelOpened(true);
      },
      word: (word) => this.#word(word as Record<string, unknown>),
      saved: (sequence) => persist.saved(sequence),
      open: () => ({ requests: this.store.openRequests, caught: this.status.isCaughtUp }),
      save: () => persist.flush(),
    }));
    this.#unlisten = listenToPage({
      online: () => !this.#forcedOffline && link.tell("online"),
      offline: () => link.tell("offline"),
      hide: (event) => {
        void persist.flush();
        // A page that is kept comes back to its channel.
        if (!(event as PageTransitionEvent).persisted) link.leave();
      },
      freeze: () => link.freeze(),
      thaw: () => link.thaw(),
    });
    link.start();
    if (globalThis.navigator?.onLine === false) link.tell("offline");
    if ((await persist.actions()).length) void this.queue().then((writes) => writes.restore());
  }

  /** The queue of writes, loaded when there is something for it. @internal */
  queue(): Promise<Writes> {
    this.#writing ??= this.loadLater().then(({ Writes }) => {
      const shared = { ProblemError, ConflictError, localProblem, problemOf, backoffMs, draw };
      return (this.writes = new Writes(this, shared));
    });
    return this.#writing;
  }

  /** Whether there is any use in trying. @internal */
  isOnline(): boolean {
    return !this.#closed && !this.#forcedOffline && this.link !== undefined && globalThis.navigator?.onLine !== false;
  }

  /** @internal */
  outcome(outcome: Outcome): void {
    if (!outcome.error) this.#inbox.knows(outcome.action.id, outcome.action.resource);
    for (const listener of [...this.#outcomeListeners]) listener(outcome);
  }

  /** @internal */
  waits(pending: number): void {
    this.setStatus({ pending });
  }

  /** What no first screen needs; without a network it is tried until there is one. @internal */
  async loadLater(): Promise<typeof import("./later.ts")> {
    for (;;) {
      try {
        return await import("./later.ts");
      } catch {
        await new Promise((resolve) => setTimeout(resolve, LATER_MS));
      }
    }
  }

  #word(word: Record<string, unknown>): void {
    if (word.request) this.store.requestOpened(word.request as string);
    else if (word.told) this.event(word.told as ServerEvent);
    else if (word.write) void this.queue().then((writes) => writes.heard(word.write as WriteWord));
    else if (word.logout) void this.close();
    else if (word.coverage) this.persist.coverage(word.name as string, word.coverage as Coverage);
  }

  #stateChanged(state: State, reason?: string): void {
    const open = state.name === "open";
    this.setStatus({
      state: state.name, via: state.via, reason,
      isLeader: this.link?.isLeader ?? false,
      isCaughtUp: open && this.status.isCaughtUp,
    });
    if (!open) return;
    this.requests.pump();
    // While there is a network to load it by.
    void this.loadLater();
  }

  /** @internal */
  setStatus(change: Partial<Status>): void {
    const next = { ...this.status, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.status)) return;
    this.status = next;
    for (const listener of [...this.#statusListeners]) listener();
  }
}
