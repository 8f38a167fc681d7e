/**
 * What outlives the page, in IndexedDB: rows, what is known of queries, the cursor, and writes that
 * were not sent yet. One database per identity. Where storage is refused, nothing is kept.
 */
import type { Coverage } from "./live.ts";
import { isOf, resourcePath } from "./query.ts";
import type { Row } from "./wire.ts";

/** What is kept is discarded when this changes. */
const FORMAT = 1;
/** Beyond so many rows the cache begins anew. */
const ROWS_MAX = 100_000;
const FLUSH_MS = 150;

type Stored = [resource: string, key: string, version: number, row: Row];

/** A write as it is kept until it has run. */
export interface KeptAction {
  seq: number;
  action: unknown;
}

const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
const finished = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });

export class Persist {
  /** The cursor that the cache is true for, once [`open`](Persist.open) has resolved. */
  cursor: string | undefined;
  /** Whether this tab writes states; the others only collect them, in case they have to take over. */
  writes = false;
  /** Told after each flush, with the sequence that it reached. */
  onSaved: ((sequence: number) => void) | undefined;

  #database: IDBDatabase | undefined;
  /** States not yet kept, with the sequence at which they came. */
  #dirty = new Map<string, { resource: string; key: string; version: number; row: Row | undefined; at: number }>();
  #coverages = new Map<string, Coverage | null>();
  #sequence = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #wipe: string[] | "all" | undefined;

  constructor(
    private name: string,
    private readonly factory: IDBFactory | undefined,
  ) {}

  get isKept(): boolean {
    return this.#database !== undefined;
  }

  async open(name = this.name): Promise<void> {
    this.name = name;
    if (!this.factory) return;
    try {
      const request = this.factory.open(this.name, FORMAT);
      request.onupgradeneeded = () => {
        const database = request.result;
        for (const name of [...database.objectStoreNames]) database.deleteObjectStore(name);
        database.createObjectStore("rows");
        database.createObjectStore("queries");
        database.createObjectStore("meta");
        database.createObjectStore("actions", { autoIncrement: true });
      };
      this.#database = await done(request);
      // A newer version of the page wants to upgrade, or a logout to delete.
      this.#database.onversionchange = () => this.close();
      this.#database.onclose = () => (this.#database = undefined);
      const meta = this.#database.transaction(["meta", "rows"]);
      const [cursor, rows] = await Promise.all([
        done(meta.objectStore("meta").get("cursor")),
        done(meta.objectStore("rows").count()),
      ]);
      this.cursor = cursor as string | undefined;
      if (rows > ROWS_MAX) {
        this.cursor = undefined;
        this.reset(undefined);
      }
    } catch {
      this.#database = undefined;
    }
  }

  /** The rows of a resource. */
  async rows(resource: string): Promise<Stored[]> {
    await this.flush();
    const rows = await this.#read("rows", (store) => store.getAll(IDBKeyRange.bound([resource], [resource, []])));
    return (rows as Stored[] | undefined) ?? [];
  }

  async coverages(): Promise<Map<string, Coverage>> {
    return new Map((await this.#all("queries")) as [string, Coverage][]);
  }

  /** A state of a row that came; `undefined` is its absence. */
  state(resource: string, key: string, version: number, row: Row | undefined): void {
    if (!this.#database) return;
    this.#dirty.set(`${resource}\n${key}`, { resource, key, version, row, at: this.#sequence });
    this.#soon();
  }

  coverage(name: string, coverage: Coverage | null): void {
    if (!this.#database) return;
    this.#coverages.set(name, coverage);
    this.#soon();
  }

  /** States that come from now on belong to events up to this one. */
  arriving(sequence: number): void {
    this.#sequence = sequence;
  }

  /** Everything up to this state has come. */
  reached(cursor: string): void {
    this.cursor = cursor;
    this.#soon();
  }

  /** What is kept of a resource, or of all, is not true any more. */
  reset(resource: string | undefined): void {
    if (!this.#database) return;
    if (resource === undefined || this.#wipe === "all") this.#wipe = "all";
    else this.#wipe = [...(this.#wipe ?? []), resource];
    for (const [name, state] of this.#dirty) {
      if (resource === undefined || state.resource === resource) this.#dirty.delete(name);
    }
    for (const name of this.#coverages.keys()) {
      if (isOf(name, resource)) this.#coverages.delete(name);
    }
    this.#soon();
  }

  /** Another tab has kept everything up to this event. */
  saved(sequence: number): void {
    for (const [name, state] of this.#dirty) if (state.at <= sequence) this.#dirty.delete(name);
  }

  /** Writes what has come in, rows and cursor in one transaction, so that they always agree. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flushing.then(() => this.#flushNow()).catch(() => this.#failed());
    return this.#flushing;
  }

  async actions(): Promise<KeptAction[]> {
    return (await this.#all("actions")).map(([seq, action]) => ({ seq: seq as number, action }));
  }

  async addAction(action: unknown): Promise<number | undefined> {
    return (await this.#write("actions", (store) => store.add(action))) as number | undefined;
  }

  async putAction(seq: number, action: unknown): Promise<void> {
    await this.#write("actions", (store) => store.put(action, seq));
  }

  async removeAction(seq: number): Promise<void> {
    await this.#write("actions", (store) => store.delete(seq));
  }

  /** Deletes everything of this identity. */
  async clear(): Promise<void> {
    clearTimeout(this.#timer);
    this.#dirty.clear();
    this.#coverages.clear();
    await this.#flushing;
    this.close();
    await (await import("./later.ts")).deleteDatabase(this.factory, this.name);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#database?.close();
    this.#database = undefined;
  }

  #soon(): void {
    if (!this.writes || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => void this.flush(), FLUSH_MS);
  }

  /** What could not be written is missing from the cache, which therefore begins anew, or ends. */
  #failed(): void {
    if (this.#failures++ > 0) this.close();
    else this.reset(undefined);
  }
  #failures = 0;

  async #flushNow(): Promise<void> {
    if (!this.#database || !this.writes) return;
    const dirty = [...this.#dirty.values()];
    const coverages = [...this.#coverages];
    const wipe = this.#wipe;
    const { cursor } = this;
    const sequence = this.#sequence;
    this.#dirty.clear();
    this.#coverages.clear();
    this.#wipe = undefined;
    const transaction = this.#database.transaction(["rows", "queries", "meta"], "readwrite");
    const rows = transaction.objectStore("rows");
    const queries = transaction.objectStore("queries");
    if (wipe === "all") {
      rows.clear();
      queries.clear();
    } else if (wipe) {
      for (const resource of wipe) {
        rows.delete(IDBKeyRange.bound([resource], [resource, []]));
        // A read's path goes on with a question mark, which comes before the at sign.
        queries.delete(IDBKeyRange.bound(resourcePath(resource), `${resourcePath(resource)}@`));
      }
    }
    for (const { resource, key, version, row } of dirty) {
      if (row) rows.put([resource, key, version, row] satisfies Stored, [resource, key]);
      else rows.delete([resource, key]);
    }
    for (const [name, coverage] of coverages) {
      if (coverage) queries.put(coverage, name);
      else queries.delete(name);
    }
    if (cursor !== undefined) transaction.objectStore("meta").put(cursor, "cursor");
    await finished(transaction);
    this.onSaved?.(sequence);
  }

  /** All of a store, each with its key. */
  async #all(name: string): Promise<[unknown, unknown][]> {
    const keys = await this.#read(name, (store) => store.getAllKeys());
    const values = await this.#read(name, (store) => store.getAll());
    return (keys ?? []).map((key, at) => [key, values?.[at]]);
  }

  async #read<T>(store: string, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
    try {
      return this.#database && (await done(ask(this.#database.transaction(store).objectStore(store))));
    } catch {
      return undefined;
    }
  }

  async #write<T>(name: string, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
    try {
      if (!this.#database) return undefined;
      const transaction = this.#database.transaction(name, "readwrite");
      const request = ask(transaction.objectStore(name));
      await finished(transaction);
      return request.result;
    } catch {
      return undefined;
    }
  }
}
