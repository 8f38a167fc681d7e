/**
 * Live queries: a result over the store that each batch of changes updates in place, and, for what
 * only the server can evaluate, one that is asked for again. Knows the store and whom to ask.
 */
import { type Filter, NotLocal, type Order, compareRows, implies, isLocal, matches } from "./filter.ts";
import { type Spec, path } from "./query.ts";
import type { Batch, Store } from "./store.ts";
import { type ProblemError, type Row } from "./wire.ts";

/**
 * `loading`: the first answer is on its way, rows appear as they come. `cached`: as it was when the
 * page was last open. `ready`: equal to the database. `stale`: was ready, and is being fetched again.
 */
export type LiveState = "loading" | "cached" | "ready" | "stale" | "error";

/** What is known of a query's answer, so that it need not be asked again. */
export interface Coverage {
  readonly filters: readonly Filter[];
  readonly orders: readonly Order[];
  /** With a limit: the last row that the answer had, beyond which nothing is known. */
  readonly horizon: Row | null;
  readonly limit: number | null;
}

/** What a live query needs of the client. */
export interface LiveHost {
  readonly store: Store;
  /** Sends a request; rows that are whole go to the store by themselves. */
  request(spec: Spec, row: (row: Row) => void): Promise<void>;
  /** Brings what the cache holds of the resource into the store, and tells what is known of the query. */
  recall(spec: Spec): Promise<{ coverage: Coverage | undefined; current: boolean }>;
  remember(spec: Spec, coverage: Coverage): void;
  forget(query: LiveQuery): void;
}

interface Place {
  readonly key: string;
  readonly row: Row;
}

const RETRY_MS = 1_000;
const REFETCH_MS = 50;

export class LiveQuery<R extends object = Row> {
  /** The result. A new array whenever it changed, and only then. */
  rows: readonly R[] = [];
  state: LiveState = "loading";
  /** What went wrong, in state `error`. */
  error: ProblemError | Error | undefined;
  /** Resolves when the result is first complete, from the server or the cache. */
  readonly ready: Promise<void>;
  /** Users; without any, a query is kept warm for a while. */
  users = 0;

  #listeners = new Set<() => void>();
  #sorted: Place[] = [];
  #index = new Map<string, Row>();
  /** `undefined`: everything that matches is known. */
  #horizon: Row | undefined;
  #local: boolean;
  #orders: readonly Order[];
  #fetching: Promise<void> | undefined;
  /** The answer that is on its way is void. */
  #again = false;
  /** It counts, but may not be enough. */
  #more = false;
  /** How many answers in a row left fewer rows than the limit. */
  #gaps = 0;
  #closed = false;
  #complete = false;
  #resolve!: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unfiltered: Row[] = [];

  /** @internal */
  constructor(
    /** @internal */
    readonly spec: Spec,
    private readonly host: LiveHost,
  ) {
    this.ready = new Promise((resolve) => (this.#resolve = resolve));
    const key = host.store.keyColumns(spec.resource);
    const named = new Set(spec.orders.map((order) => order.column));
    // Ties would be in any order, and the limit would cut through them anyhow.
    const ties = key.filter((column) => !named.has(column));
    this.#orders = [...spec.orders, ...ties.map((column) => ({ column, descending: false }))];
    const plain = !spec.columns || /^[\w,]+$/.test(spec.columns);
    const simple = spec.offset === undefined && spec.more.length === 0;
    this.#local = plain && simple && spec.filters.every(isLocal) && spec.orders.every((order) => /^\w+$/.test(order.column));
  }

  /** Whether changes are applied here, or the server is asked again after each. */
  get isLocal(): boolean {
    return this.#local;
  }

  /** Calls back once after each batch that changed the result or its state. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says that one user less needs it. */
  close(): void {
    if (--this.users <= 0) this.host.forget(this as unknown as LiveQuery);
  }

  async start(): Promise<void> {
    if (this.#local) {
      const { coverage, current } = await this.host.recall(this.spec);
      if (this.#closed) return;
      if (coverage) {
        this.#horizon = coverage.horizon ?? undefined;
        this.#guarded(() => {
          this.#rebuild();
          this.#finish(current ? "ready" : "cached");
        });
        return;
      }
      this.#guarded(() => {
        this.#rebuild();
        this.#show();
      });
    }
    await this.#fetch();
  }

  /** Whether a row of the store is part of the result, or just beyond its end. */
  holds(resource: string, key: string): boolean {
    return resource === this.spec.resource && this.#index.has(key);
  }

  /** What is known here that another query could be answered from. */
  get coverage(): Coverage | undefined {
    if (!this.#local || !this.#complete || this.spec.columns || this.#fetching) return undefined;
    const { filters, limit } = this.spec;
    return { filters, orders: this.#orders, horizon: this.#horizon ?? null, limit: limit ?? null };
  }

  /** A batch was applied to the store. */
  apply(batch: Batch): void {
    const seen = batch.get(this.spec.resource);
    if (!seen || this.#closed || this.state === "stale") return;
    if (!this.#local) {
      if (!this.#fetching) this.refetchSoon();
      return;
    }
    this.#guarded(() => {
      for (const [key, { now }] of seen) this.#move(key, now);
      this.#show();
      const { limit } = this.spec;
      if (limit === undefined || !this.#horizon || this.#sorted.length >= limit) return;
      // A fetch that is under way may be too old to bring what fills the gap.
      if (this.#fetching) this.#more = true;
      else void this.#fetch();
    });
  }

  /** The cache has caught up with the database. */
  caughtUp(): void {
    if (this.state === "cached") this.#finish("ready");
  }

  /** What was shown may be wrong: it stays until the server has answered anew. */
  invalidate(): void {
    if (this.#closed) return;
    this.#complete = false;
    if (this.state !== "loading" && this.state !== "error") this.state = "stale";
    this.#again = true;
    void this.#fetch();
  }

  refetchSoon(ms = REFETCH_MS): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#fetch();
    }, ms);
  }

  end(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchOnce().finally(() => {
      this.#fetching = undefined;
      if ((this.#again || this.#more) && !this.#closed) void this.#fetch();
      else if (this.#complete && this.coverage) this.host.remember(this.spec, this.coverage);
    });
    return this.#fetching;
  }

  async #fetchOnce(): Promise<void> {
    this.#again = this.#more = false;
    const { limit } = this.spec;
    const rows: Row[] = [];
    const spec: Spec = this.#local
      ? { ...this.spec, columns: undefined, orders: limit === undefined ? this.spec.orders : this.#orders }
      : this.spec;
    try {
      await this.host.request(spec, (row) => rows.push(row));
    } catch (error) {
      if (this.#closed) return;
      const { retryable = false } = (error as Partial<ProblemError>).problem ?? {};
      this.error = error as Error;
      if (retryable) {
        this.#again = true;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      } else {
        this.state = "error";
        this.#tell();
      }
      return;
    }
    if (this.#closed || this.#again) return;
    if (this.#local) {
      this.#horizon = limit !== undefined && rows.length >= limit ? rows.at(-1) : undefined;
      if (!this.#guarded(() => this.#rebuild())) return;
      if (limit === undefined || !this.#horizon || this.#sorted.length >= limit) this.#gaps = 0;
      // Rows left while the answer was on its way, or something drawn hides them: the latter may
      // take a while, so that only the first repetition is at once.
      else if (this.#gaps++ === 0) this.#more = true;
      else this.refetchSoon(REFETCH_MS * 2 ** Math.min(this.#gaps, 7));
    } else {
      this.#unfiltered = rows;
    }
    this.#finish("ready");
  }

  /** When a value comes that is not compared here as PostgreSQL does, the server is asked from then on. */
  #guarded(evaluate: () => void): boolean {
    try {
      evaluate();
      return true;
    } catch (error) {
      if (!(error instanceof NotLocal)) throw error;
      this.#local = false;
      this.#sorted = [];
      this.#index.clear();
      this.invalidate();
      return false;
    }
  }

  #finish(state: LiveState): void {
    const changed = this.state !== state;
    this.state = state;
    this.error = undefined;
    this.#complete = true;
    if (!this.#show() && changed) this.#tell();
    this.#resolve();
  }

  #rebuild(): void {
    this.#sorted = [];
    this.#index.clear();
    for (const [key, row] of this.host.store.rows(this.spec.resource)) {
      if (!this.#belongs(key, row)) continue;
      this.#sorted.push({ key, row });
      this.#index.set(key, row);
    }
    this.#sorted.sort((a, b) => this.#compare(a.row, b.row));
  }

  #compare(a: Row, b: Row): number {
    return compareRows(this.#orders, a, b);
  }

  #belongs(key: string, row: Row): boolean {
    try {
      return matches(this.spec.filters, row) && (!this.#horizon || this.#compare(row, this.#horizon) <= 0);
    } catch (error) {
      // What is drawn here need not have all columns; the row that replaces it will.
      if (this.host.store.base(this.spec.resource, key)?.row !== row) return false;
      throw error;
    }
  }

  /** Takes a row from its place and puts it where it belongs now. */
  #move(key: string, now: Row | undefined): void {
    const before = this.#index.get(key);
    if (before) {
      let at = this.#find(before);
      while (at < this.#sorted.length && this.#sorted[at]?.key !== key) at++;
      if (at === this.#sorted.length) at = this.#sorted.findIndex((place) => place.key === key);
      this.#sorted.splice(at, 1);
      this.#index.delete(key);
    }
    if (!now || !this.#belongs(key, now)) return;
    this.#sorted.splice(this.#find(now), 0, { key, row: now });
    this.#index.set(key, now);
    this.#shorten();
  }

  /** The first place whose row does not come before this one. */
  #find(row: Row): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare((this.#sorted[middle] as Place).row, row) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What lies far beyond the limit is not followed. */
  #shorten(): void {
    const { limit } = this.spec;
    if (limit === undefined || !this.#complete || this.#sorted.length <= limit * 4 + 100) return;
    for (const { key } of this.#sorted.splice(limit * 2 + 50)) this.#index.delete(key);
    this.#horizon = this.#sorted.at(-1)?.row;
  }

  /** Makes the result anew if it changed, and says whether it did. */
  #show(): boolean {
    const { limit, columns } = this.spec;
    const places = limit === undefined ? this.#sorted : this.#sorted.slice(0, limit);
    let rows: Row[] = this.#local ? places.map((place) => place.row) : this.#unfiltered;
    const old = this.#shown;
    if (rows.length === old.length && rows.every((row, at) => row === old[at])) return false;
    this.#shown = rows;
    if (this.#local && columns) {
      const names = columns.split(",");
      rows = rows.map((row) => Object.fromEntries(names.map((name) => [name, row[name]])));
    }
    this.rows = rows as R[];
    this.#tell();
    return true;
  }
  #shown: readonly Row[] = [];

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Whether a query is answered by what is known of another. */
export function isCovered(spec: Spec, by: Coverage): boolean {
  return by.limit === null && by.filters.every((filter) => implies(spec.filters, filter));
}

/** What names a query's coverage. */
export const coverageName = (spec: Spec): string => path({ ...spec, columns: undefined });
