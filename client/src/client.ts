/**
 * The client: puts the parts together, and hands what the channel says to those whom it concerns.
 */
import type { ConnectionOptions } from "./connection.ts";
import { type Coverage, LiveQuery, coverageName, isCovered } from "./live.ts";
import { Loader, Prefetcher } from "./loader.ts";
import { type State, VIAS } from "./machine.ts";
import type { AnyResources, Figures, Name, Options, Resources, Status } from "./options.ts";
import { listenToPage } from "./page.ts";
import { Persist } from "./persist.ts";
import { type Asks, Query, type Spec, isOf, path, resourcePath } from "./query.ts";
import { Requests } from "./requests.ts";
import { Store, keyText } from "./store.ts";
import { Link } from "./tabs.ts";
import {
  type ChangeEvent, type DoneEvent, type ErrorEvent, type Key, type OpenEvent, type ResetEvent, type Row,
  ProblemError, type RowEvent, type ServerEvent, localProblem,
} from "./wire.ts";
import { type Action, type Outcome, type WriteWord, Writes, itemPath } from "./writes.ts";
import { identityOf, newId } from "./identity.ts";

const MEMORY_BYTES = 64 * 1024 * 1024;
const PREFETCH_BYTES = 2 * 1024 * 1024;
const WARM_MOST = 100;
const CONNECT_TIMEOUT_MS = 8_000;
const FIGURES_MOST = 50;
const LOAD_PRIORITY = 1;

const subscribe = <T>(listeners: Set<T>, listener: T) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export function createClient<S extends Resources = AnyResources>(options: Options): Client<S> {
  return new Client<S>(options);
}

export class Client<S extends Resources = AnyResources> implements Asks {
  /** The rows themselves. @internal */
  readonly store: Store;
  readonly figures: Figures = {
    bytesReceived: 0, bytesSaved: 0, rows: 0, changes: 0, resets: 0, version: 0, requests: [],
  };
  status: Status = {
    state: "idle", via: "ws", isLeader: false, isCaughtUp: false, pending: 0, reason: undefined,
  };

  #base: string;
  #tab = newId(6);
  #link: Link | undefined;
  #persist: Persist;
  #requests: Requests;
  #loader: Loader;
  #prefetcher: Prefetcher;
  #writes: Writes;
  #ready: Promise<void>;
  #live = new Map<string, LiveQuery>();
  /** Those among them that nobody uses, the one used longest ago first. */
  #warm = new Map<string, LiveQuery>();
  #coverages = new Map<string, Coverage>();
  #hydrated = new Map<string, Promise<void>>();
  #watched = new Map<string, Set<() => void>>();
  #statusListeners = new Set<() => void>();
  #eventListeners = new Set<(event: ServerEvent) => void>();
  #outcomeListeners = new Set<(outcome: Outcome) => void>();
  #closed = false;
  #unlisten = () => {};

  constructor(private readonly options: Options) {
    const base = options.url ?? globalThis.location?.origin ?? "";
    this.#base = base.replace(/\/$/, "");
    this.store = new Store(options.keys, options.memoryBytesMax ?? MEMORY_BYTES);
    this.#persist = new Persist("", undefined);
    this.#requests = new Requests(`${this.#tab}-`, {
      send: (command) => this.#link?.send(command),
      isOpen: () => this.status.state === "open",
      opened: (id) => {
        this.store.requestOpened(id);
        this.#link?.broadcast({ request: id });
      },
      ended: (id) => this.store.requestEnded(id),
      figures: (figures) => {
        this.figures.requests.push(figures);
        if (this.figures.requests.length > FIGURES_MOST) this.figures.requests.shift();
      },
    });
    this.#loader = new Loader({
      present: (resource, key) => this.store.get(resource, key),
      hydrate: (resource) => this.#hydrate(resource),
      fetch: async (resource, ids) => {
        const column = this.store.keyColumns(resource)[0] ?? "id";
        // What a row on the screen refers to comes before the rows below it.
        await this.from(resource as Name<S>).in(column, ids).priority(LOAD_PRIORITY);
      },
    });
    this.#prefetcher = new Prefetcher(options.prefetchBytesMax ?? PREFETCH_BYTES);
    this.#writes = this.#makeWrites();
    this.store.listeners.add((batch) => {
      for (const query of [...this.#live.values()]) query.apply(batch);
      for (const [resource, seen] of batch) {
        for (const key of seen.keys()) {
          for (const listener of [...(this.#watched.get(`${resource}\n${key}`) ?? [])]) listener();
        }
      }
      this.#cool();
    });
    this.store.pins.add((resource, key) => {
      if (this.#watched.has(`${resource}\n${key}`)) return true;
      for (const query of this.#live.values()) if (query.holds(resource, key)) return true;
      return false;
    });
    this.#ready = this.#start();
  }

  /** A read: `await` it, iterate it, or keep it [`live`](Query.live). */
  from<N extends Name<S>>(resource: N): Query<S[N]["Row"]> {
    return Query.of<S[N]["Row"]>(resource, this);
  }

  /** The row, from the store if it is there, else by a request that it shares with others. */
  load<N extends Name<S>>(resource: N, id: string | number): Promise<S[N]["Row"] | undefined> {
    return this.#loader.load(resource, id) as Promise<S[N]["Row"] | undefined>;
  }

  /** Collects what is loaded until the stream ends, ten ids to a request. */
  during<T>(stream: PromiseLike<T>): Promise<T> {
    return this.#loader.during(stream);
  }

  /** The row, if it is here. */
  get<N extends Name<S>>(resource: N, key: Key): S[N]["Row"] | undefined {
    return this.store.get(resource, keyText(key)) as S[N]["Row"] | undefined;
  }

  /** Calls back after each batch that changed the row, which stays in memory for so long. */
  watch(resource: Name<S>, key: Key, listener: () => void): () => void {
    const name = `${resource}\n${keyText(key)}`;
    const listeners = this.#watched.get(name) ?? new Set();
    this.#watched.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (!listeners.size) this.#watched.delete(name);
    };
  }

  /**
   * Loads what the user will need next, when its turn comes, and keeps it true and warm. Resolves
   * with whether it was loaded: not on a scarce link, nor beyond the budget.
   */
  prefetch<R extends object>(query: Query<R>): Promise<boolean> {
    return this.#prefetcher.add(async (budget) => {
      const stop = new AbortController();
      let bytes = 0;
      const meter = (more: number) => {
        if ((bytes += more) > budget) stop.abort();
      };
      const live = this.live({ ...query.spec, priority: 7, signal: stop.signal, meter });
      await Promise.race([live.ready, new Promise((resolve) => stop.signal.addEventListener("abort", resolve))]);
      live.close();
      return bytes;
    });
  }

  /**
   * Draws a row at once and sends it. Until the answer is there, its key is a stand-in, which other
   * writes may refer to: it is replaced before they are sent.
   */
  // A stand-in may stand where a number is wanted, too.
  insert<N extends Name<S>>(resource: N, values: S[N]["Insert"]): Promise<S[N]["Row"]> & { key: any } {
    const id = newId(12);
    const row = values as Row;
    const key = this.store.keyOf(resource, row) ?? `~${id}`;
    const columns = this.store.keyColumns(resource);
    const action: Action = {
      id, op: "insert", resource, key, values: row, path: resourcePath(resource),
    };
    // The stand-in is drawn as the key, so that what refers to the row can do so already.
    const drawn = key.startsWith("~") && columns.length === 1;
    const done = this.#writes.add(drawn ? { ...action, drawn: { ...row, [columns[0] as string]: key } } : action);
    return Object.assign(done as Promise<S[N]["Row"]>, { key });
  }

  /**
   * Draws the new values at once and sends them. If somebody else changed the same columns while
   * this waited, it fails with a [`ConflictError`], unless `conflict` is `mine`.
   */
  update<N extends Name<S>>(
    resource: N, key: Key, values: S[N]["Update"], how: { conflict?: "mine" | "theirs" } = {},
  ): Promise<S[N]["Row"] | undefined> {
    const text = keyText(key);
    return this.#writes.add({
      id: newId(12), op: "update", resource, key: text, values: values as Row,
      path: itemPath(resource, key), base: this.store.get(resource, text), conflict: how.conflict,
    }) as Promise<S[N]["Row"] | undefined>;
  }

  remove<N extends Name<S>>(resource: N, key: Key): Promise<S[N]["Row"] | undefined> {
    return this.#writes.add({
      id: newId(12), op: "remove", resource, key: keyText(key), values: {}, path: itemPath(resource, key),
    }) as Promise<S[N]["Row"] | undefined>;
  }

  /** Writes that are not confirmed yet. */
  get pending(): readonly Action[] {
    return this.#writes.pending;
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
    this.#link?.tell(online ? "online" : "offline");
    if (online) this.#writes.drain();
  }
  #forcedOffline = false;

  async close(): Promise<void> {
    this.#closed = true;
    this.#unlisten();
    for (const query of this.#live.values()) query.end();
    this.#live.clear();
    this.#requests.fail(new ProblemError(localProblem("closed", "The client was closed.")));
    await this.#persist.flush();
    this.#writes.close();
    this.#link?.close();
    this.#persist.close();
  }

  /** Ends, and deletes what is kept of this identity, also in the other tabs. */
  async logout(): Promise<void> {
    await this.#ready;
    this.#link?.broadcast({ logout: true });
    this.#link?.close();
    await this.#persist.clear();
    await this.close();
    this.store.reset(undefined);
  }

  // What queries ask for.

  /** @internal */
  async fetchRows(spec: Spec): Promise<Row[]> {
    let rows: Row[] = [];
    await this.#requests.ask(path(spec), spec.priority ?? 3, {
      row: (row, resource) => void (resource === spec.resource && rows.push(row)),
      restart: () => (rows = []),
    }, spec.signal);
    return rows;
  }

  /** @internal */
  streamRows(spec: Spec): AsyncGenerator<Row> {
    return this.#requests.stream(path(spec), spec.priority ?? 3, spec.resource, spec.signal);
  }

  /** @internal */
  live(spec: Spec): LiveQuery {
    const name = path(spec);
    let query = this.#live.get(name);
    if (!query) {
      query = new LiveQuery(spec, {
        store: this.store,
        request: async (asked, row) => {
          await this.#requests.ask(path(asked), asked.priority ?? 3, {
            row: (each, resource, bytes) => {
              if (resource === asked.resource) row(each);
              asked.meter?.(bytes);
            },
          }, asked.signal);
        },
        recall: (asked) => this.#recall(asked),
        remember: (asked, coverage) => this.#remember(coverageName(asked), coverage),
        forget: (unused) => this.#cooling(name, unused),
      });
      this.#live.set(name, query);
      void query.start();
    }
    this.#warm.delete(name);
    query.users++;
    return query;
  }

  // The parts.

  async #start(): Promise<void> {
    const { options } = this;
    const identity = options.identity ?? (await identityOf(options.token).catch(() => "unknown"));
    const name = `rowcast:${this.#base}:${identity}`;
    const factory = options.indexedDB ?? globalThis.indexedDB;
    this.#persist = new Persist(name, options.persist === false ? undefined : factory);
    await this.#persist.open();
    if (this.#closed) return this.#persist.close();
    this.#persist.onSaved = (sequence) => this.#link?.saved(sequence);
    this.store.onState = (resource, key, version, row) => this.#persist.state(resource, key, version, row);
    this.#coverages = await this.#persist.coverages();
    const connection: ConnectionOptions = {
      base: this.#base,
      channel: `tab-${newId(12)}`,
      token: options.token,
      fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      resources: options.resources,
      vias: options.transports ?? VIAS,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      position: { cursor: this.#persist.cursor },
    };
    this.#link = new Link(name, connection, options.shareTabs ?? true, {
      lines: (text, _before, bytes) => this.#lines(text, bytes),
      local: (event) => this.#local(event as ServerEvent),
      state: (state, reason) => this.#stateChanged(state, reason),
      leads: async () => {
        this.#persist.writes = true;
        this.#setStatus({ isLeader: true });
        // What the leader before could not write any more.
        await this.#persist.flush();
      },
      follows: (open, caught) => {
        for (const id of open) if (!this.#requests.has(id)) this.store.requestOpened(id);
        if (caught) this.#caughtUp();
        this.#requests.channelOpened(true);
      },
      word: (word) => this.#word(word as Record<string, unknown>),
      saved: (sequence) => this.#persist.saved(sequence),
      open: () => ({ requests: this.store.openRequests, caught: this.status.isCaughtUp }),
      save: () => this.#persist.flush(),
    });
    this.#listen();
    this.#link.start();
    if (globalThis.navigator?.onLine === false) this.#link.tell("offline");
    void this.#writes.restore();
  }

  #makeWrites(): Writes {
    const client = this;
    return new Writes({
      store: this.store,
      get persist() {
        return client.#persist;
      },
      ready: () => this.#ready,
      call: async (route, init, fresh) => {
        const token = await this.#link?.token(fresh);
        const headers = { ...(init.headers as Record<string, string>), Authorization: `Bearer ${token}` };
        return (this.options.fetch ?? fetch)(this.#base + route, { ...init, headers });
      },
      isOnline: () =>
        !this.#closed && !this.#forcedOffline && this.#link !== undefined && globalThis.navigator?.onLine !== false,
      exclusively: (run) => {
        const locks = globalThis.navigator?.locks;
        const kept = this.#persist.isKept && locks;
        return kept ? locks.request(`${this.#link?.name}:writes`, run) as Promise<never> : run();
      },
      broadcast: (word) => this.#link?.broadcast({ write: word }),
      outcome: (outcome) => {
        for (const listener of [...this.#outcomeListeners]) listener(outcome);
      },
      pending: (count) => this.#setStatus({ pending: count }),
    });
  }

  #listen(): void {
    this.#unlisten = listenToPage({
      online: () => !this.#forcedOffline && this.#link?.tell("online"),
      offline: () => this.#link?.tell("offline"),
      hide: () => void this.#persist.flush(),
      freeze: () => this.#link?.freeze(),
      thaw: () => this.#link?.thaw(),
    });
  }

  #word(word: Record<string, unknown>): void {
    if (word.request) this.store.requestOpened(word.request as string);
    else if (word.write) this.#writes.heard(word.write as WriteWord);
    else if (word.logout) void this.close();
    else if (word.coverage) this.#persist.coverage(word.name as string, word.coverage as Coverage);
  }

  // What the channel says.

  #lines(text: string, bytes: number): void {
    this.figures.bytesReceived += bytes;
    const { position, isLeader } = this.#link as Link;
    this.#persist.arriving(position.sequence ?? 0);
    const rowOf = '{"type":"row","request_id":"';
    this.store.batch(() => {
      for (const line of text.split("\n")) {
        const trimmed = line.trimStart();
        // Rows of other tabs' requests are the leader's to keep, and of no use to the rest.
        const foreign = trimmed.startsWith(rowOf) && !trimmed.startsWith(this.#tab, rowOf.length);
        if (trimmed && (isLeader || !foreign)) this.#apply(JSON.parse(trimmed) as ServerEvent, trimmed.length);
      }
    });
  }

  #local(event: ServerEvent | { type: "accepted"; request_id: string }): void {
    if (event.type === "accepted") this.#requests.accepted(event.request_id);
    else this.store.batch(() => this.#apply(event, 0));
  }

  #apply(event: ServerEvent, bytes: number): void {
    switch (event.type) {
      case "open":
        this.#opened(event);
        break;
      case "row":
        return this.#row(event, bytes);
      case "done":
        return this.#done(event);
      case "error":
        if (event.request_id !== undefined) this.store.requestEnded(event.request_id);
        this.#requests.error(event satisfies ErrorEvent);
        break;
      case "change":
        this.#change(event, bytes);
        break;
      case "reset":
        this.#reset(event);
        break;
      case "ping":
        this.#at(event.version);
        this.#cursor(event.cursor);
    }
    for (const listener of [...this.#eventListeners]) listener(event);
  }

  #opened(event: OpenEvent): void {
    this.#at(event.version);
    this.#setStatus({ isCaughtUp: false, reason: undefined });
    // The transport hands the event on before the state is told.
    setTimeout(() => this.#requests.channelOpened(event.resumed), 0);
    // With `since` the first cursor is the one that was brought along, and the replay follows; its end
    // is told by another.
    const replays = event.cursor === this.#link?.position.cursor && (!this.#attached || !event.resumed);
    this.#attached = true;
    if (!replays) this.#cursor(event.cursor);
  }
  #attached = false;

  #row(event: RowEvent, bytes: number): void {
    this.figures.rows++;
    if (!event.partial) this.store.row(event.resource, event.version, event.row, bytes);
    this.#requests.row(event.request_id, event.resource, event.row, bytes);
  }

  #done(event: DoneEvent): void {
    this.#at(event.version);
    this.#requests.done(event);
    this.store.requestEnded(event.request_id);
  }

  #change(event: ChangeEvent, bytes: number): void {
    this.figures.changes++;
    this.#at(event.version);
    this.store.change(event, bytes);
    for (const id of [event.action_id, ...(event.action_ids ?? [])]) if (id) this.#writes.confirmed(id);
    if (!event.row && event.op !== "delete" && event.op !== "gone") this.#announced(event);
    this.#cursor(event.cursor);
  }

  /** Only the key was announced: what is shown of it is fetched again. */
  #announced({ resource, id }: ChangeEvent): void {
    for (const query of this.#live.values()) {
      if (query.spec.resource === resource) query.refetchSoon();
    }
    if (!this.#watched.has(`${resource}\n${keyText(id)}`)) return;
    this.#requests.ask(itemPath(resource, id), LOAD_PRIORITY, { row() {} }).catch(() => {});
  }

  #reset(event: ResetEvent): void {
    this.figures.resets++;
    const { resource } = event;
    for (const name of [...this.#coverages.keys()]) if (isOf(name, resource)) this.#coverages.delete(name);
    this.#persist.reset(resource);
    for (const query of this.#live.values()) {
      if (resource === undefined || query.spec.resource === resource) query.invalidate();
    }
    this.store.reset(resource, event.version);
  }

  #at(version: number | undefined): void {
    if (version !== undefined) this.figures.version = Math.max(this.figures.version, version);
  }

  /** Everything up to this state has been applied. */
  #cursor(cursor: string | undefined): void {
    if (cursor === undefined) return;
    (this.#link as Link).position.cursor = cursor;
    this.#persist.reached(cursor);
    this.#caughtUp();
  }

  #caughtUp(): void {
    if (this.status.isCaughtUp) return;
    this.#setStatus({ isCaughtUp: true });
    for (const query of this.#live.values()) query.caughtUp();
    this.#writes.drain();
  }

  #stateChanged(state: State, reason?: string): void {
    const open = state.name === "open";
    this.#setStatus({ state: state.name, via: state.via, reason, isLeader: this.#link?.isLeader ?? false });
    if (!open) this.#setStatus({ isCaughtUp: false });
    else this.#requests.pump();
  }

  #setStatus(change: Partial<Status>): void {
    const next = { ...this.status, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.status)) return;
    this.status = next;
    for (const listener of [...this.#statusListeners]) listener();
  }

  // The cache.

  /** Brings what is kept of a resource into the store, once. */
  #hydrate(resource: string): Promise<void> {
    let hydrated = this.#hydrated.get(resource);
    if (!hydrated) {
      hydrated = this.#ready.then(async () => {
        // Reading is like a request: what is deleted meanwhile must not come back by it.
        const reading = `hydrate ${resource}`;
        this.store.requestOpened(reading);
        const rows = await this.#persist.rows(resource);
        const { onState } = this.store;
        this.store.onState = undefined;
        this.store.batch(() => {
          for (const [, , version, row] of rows) {
            const bytes = JSON.stringify(row).length;
            this.figures.bytesSaved += bytes;
            this.store.row(resource, version, row, bytes);
          }
        });
        this.store.onState = onState;
        this.store.requestEnded(reading);
      });
      this.#hydrated.set(resource, hydrated);
    }
    return hydrated;
  }

  async #recall(spec: Spec): Promise<{ coverage: Coverage | undefined; current: boolean }> {
    await this.#hydrate(spec.resource);
    let coverage = this.#coverages.get(coverageName(spec));
    if (!coverage) {
      const known = [...this.#coverages].filter(([name]) => isOf(name, spec.resource)).map(([, it]) => it);
      for (const query of this.#live.values()) {
        if (query.spec.resource === spec.resource && query.coverage) known.push(query.coverage);
      }
      const wide = known.find((it) => isCovered(spec, it));
      if (wide) coverage = { filters: spec.filters, orders: spec.orders, horizon: null, limit: spec.limit ?? null };
    }
    return { coverage, current: this.status.isCaughtUp };
  }

  #remember(name: string, coverage: Coverage): void {
    if (this.#persist.writes) this.#persist.coverage(name, coverage);
    else this.#link?.broadcast({ coverage, name });
  }

  #cooling(name: string, query: LiveQuery): void {
    if (this.#live.get(name) !== query) return;
    // Asking the server again for what nobody looks at would be waste.
    if (!query.isLocal || query.state === "error") return this.#drop(name, query);
    this.#warm.delete(name);
    this.#warm.set(name, query);
    this.#cool();
  }

  /** Lets go of warm queries beyond their number, and of half of them when memory is short. */
  #cool(): void {
    const short = this.store.bytes > (this.options.memoryBytesMax ?? MEMORY_BYTES) * 0.9;
    const most = short ? this.#warm.size >> 1 : (this.options.warmQueriesMax ?? WARM_MOST);
    for (const [name, query] of this.#warm) {
      if (this.#warm.size <= most) return;
      this.#drop(name, query);
    }
  }

  #drop(name: string, query: LiveQuery): void {
    this.#warm.delete(name);
    this.#live.delete(name);
    query.end();
  }
}
