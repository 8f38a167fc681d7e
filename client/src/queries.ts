/**
 * The live queries of a page: one for each text, kept warm for a while when nobody uses it, and
 * answered from the cache where that is known to be enough. Also who watches single rows.
 */
import { type Coverage, LiveQuery, coverageName, isCovered } from "./live.ts";
import type { Figures } from "./options.ts";
import type { Persist } from "./persist.ts";
import { type Spec, isOf, path } from "./query.ts";
import type { Batch, Store } from "./store.ts";
import type { Row } from "./wire.ts";

export interface QueriesHost {
  readonly store: Store;
  readonly persist: Persist;
  readonly figures: Figures;
  /** Resolves when what is kept can be reached. */
  readonly ready: Promise<void>;
  readonly memoryBytesMax: number;
  readonly warmQueriesMax: number;
  /** Whether what is here equals the database. */
  isCaughtUp(): boolean;
  /** Asks the server; rows that are whole go to the store by themselves. */
  ask(spec: Spec, row: (row: Row, resource: string, bytes: number) => void): Promise<unknown>;
  broadcast(word: object): void;
}

/** The resources whose rows come beside a query's own. */
const related = ({ include }: Spec): string[] => include?.split(",").map((it) => it.split("!")[0] as string) ?? [];

export class Queries {
  /** Resolves when the queries that were opened so far have looked into the cache. */
  recalled: Promise<unknown> = Promise.resolve();
  /** By their text. */
  #live = new Map<string, LiveQuery>();
  /** Those among them that nobody uses, the one used longest ago first. */
  #warm = new Map<string, LiveQuery>();
  #coverages = new Map<string, Coverage>();
  #hydrated = new Map<string, Promise<void>>();
  #watched = new Map<string, Set<() => void>>();

  constructor(private readonly host: QueriesHost) {
    host.store.listeners.add((batch) => this.#apply(batch));
    host.store.pins.add((resource, key) => {
      if (this.isWatched(resource, key)) return true;
      for (const query of this.#live.values()) if (query.holds(resource, key)) return true;
      return false;
    });
  }

  /** The live query of this text, with one user more. */
  open(spec: Spec): LiveQuery {
    const name = path(spec);
    let query = this.#live.get(name);
    if (!query) {
      query = new LiveQuery(spec, {
        store: this.host.store,
        request: async (asked, row) => {
          await this.host.ask(asked, (each, resource, bytes) => {
            if (resource === asked.resource) row(each);
            asked.meter?.(bytes);
          });
        },
        recall: (asked) => {
          const recall = this.#recall(asked);
          this.recalled = Promise.all([this.recalled, recall]);
          return recall;
        },
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

  /** Calls back after each batch that changed the row, which stays in memory for so long. */
  watch(resource: string, key: string, listener: () => void): () => void {
    const name = `${resource}\n${key}`;
    const listeners = this.#watched.get(name) ?? new Set();
    this.#watched.set(name, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (!listeners.size) this.#watched.delete(name);
    };
  }

  isWatched(resource: string, key: string): boolean {
    return this.#watched.has(`${resource}\n${key}`);
  }

  /** Whether anything is known of a resource's rows that another row could change. */
  knows(resource: string): boolean {
    for (const name of this.#coverages.keys()) if (isOf(name, resource)) return true;
    return !this.of(resource).next().done;
  }

  /** Those of a resource, or all. */
  *of(resource: string | undefined): Generator<LiveQuery> {
    for (const query of this.#live.values()) {
      if (resource === undefined || query.spec.resource === resource) yield query;
    }
  }

  /** What is kept of a resource, or of all, is not true any more. */
  reset(resource: string | undefined): void {
    for (const name of this.#coverages.keys()) {
      if (isOf(name, resource) || name.includes("include=")) this.#coverages.delete(name);
    }
    for (const query of this.of(undefined)) {
      const { spec } = query;
      if (!resource || [spec.resource, ...related(spec)].includes(resource)) query.invalidate();
    }
  }

  end(): void {
    for (const query of this.#live.values()) query.end();
    this.#live.clear();
  }

  /** Learns what the cache knows of queries. */
  async restore(): Promise<void> {
    this.#coverages = await this.host.persist.coverages();
  }

  /** Brings what is kept of a resource into the store, once. */
  hydrate(resource: string): Promise<void> {
    let hydrated = this.#hydrated.get(resource);
    if (!hydrated) {
      hydrated = this.#hydrateOnce(resource);
      this.#hydrated.set(resource, hydrated);
    }
    return hydrated;
  }

  async #hydrateOnce(resource: string): Promise<void> {
    const { store, persist, figures } = this.host;
    await this.host.ready;
    // Reading is like a request: what is deleted meanwhile must not come back by it.
    const reading = `hydrate ${resource}`;
    store.requestOpened(reading);
    const rows = await persist.rows(resource);
    const { onState } = store;
    store.onState = undefined;
    store.batch(() => {
      for (const [, , version, row] of rows) {
        const bytes = JSON.stringify(row).length;
        figures.bytesSaved += bytes;
        store.row(resource, version, row, bytes);
      }
    });
    store.onState = onState;
    store.requestEnded(reading);
  }

  #apply(batch: Batch): void {
    for (const query of [...this.#live.values()]) query.apply(batch);
    for (const [resource, seen] of batch) {
      for (const key of seen.keys()) {
        for (const listener of [...(this.#watched.get(`${resource}\n${key}`) ?? [])]) listener();
      }
    }
    this.#cool();
  }

  async #recall(spec: Spec): Promise<{ coverage: Coverage | undefined; current: boolean }> {
    // What comes beside the rows is kept with them.
    await Promise.all([spec.resource, ...related(spec)].map((it) => this.hydrate(it)));
    let coverage = this.#coverages.get(coverageName(spec));
    if (!coverage && !spec.include) {
      const known = [...this.#coverages].filter(([name]) => isOf(name, spec.resource)).map(([, it]) => it);
      for (const query of this.of(spec.resource)) if (query.coverage) known.push(query.coverage);
      if (known.some((it) => isCovered(spec, it))) {
        coverage = { filters: spec.filters, orders: spec.orders, horizon: null, limit: spec.limit ?? null };
      }
    }
    return { coverage, current: this.host.isCaughtUp() };
  }

  #remember(name: string, coverage: Coverage): void {
    const { persist } = this.host;
    if (persist.writes) persist.coverage(name, coverage);
    else this.host.broadcast({ coverage, name });
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
    const { store, memoryBytesMax, warmQueriesMax } = this.host;
    const most = store.bytes > memoryBytesMax * 0.9 ? this.#warm.size >> 1 : warmQueriesMax;
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
