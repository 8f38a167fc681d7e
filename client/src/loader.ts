/** Rows by their keys, collected into few requests. */
import type { Row } from "./wire.ts";

export interface LoaderHost {
  /** The row, if it is here. */
  present(resource: string, key: string): Row | undefined;
  /** Brings what the cache holds of the resource into the store. */
  hydrate(resource: string): Promise<void>;
  /** Asks for these rows, which go to the store by themselves. */
  fetch(resource: string, ids: readonly (string | number)[]): Promise<void>;
}

interface Waiting {
  readonly promise: Promise<Row | undefined>;
  readonly resolve: (row: Row | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** So many ids make a request, without waiting for more. */
const IDS_MOST = 10;

export class Loader {
  /** Ids that were asked for and are not here yet, by resource. */
  #waiting = new Map<string, Map<string, Waiting>>();
  /** Those among them that no request carries yet. */
  #collected = new Map<string, Map<string, string | number>>();
  #feeding = 0;
  #ticking = false;

  constructor(private readonly host: LoaderHost) {}

  /**
   * The row of this id, or nothing if there is none. What is present is not asked for, nor what was
   * asked for already; the rest waits for nine others, the end of the stream that feeds it, or, if
   * there is none, the next tick.
   */
  load(resource: string, id: string | number): Promise<Row | undefined> {
    const key = String(id);
    const present = this.host.present(resource, key);
    if (present) return Promise.resolve(present);
    let waiting = this.#waiting.get(resource);
    if (!waiting) this.#waiting.set(resource, (waiting = new Map()));
    const before = waiting.get(key);
    if (before) return before.promise;
    let resolve!: Waiting["resolve"];
    let reject!: Waiting["reject"];
    const promise = new Promise<Row | undefined>((yes, no) => ((resolve = yes), (reject = no)));
    waiting.set(key, { promise, resolve, reject });
    void this.host.hydrate(resource).then(() => this.#collect(resource, key, id));
    return promise;
  }

  /** Until the stream has ended, ids are collected: it will bring more of them. */
  async during<T>(stream: PromiseLike<T>): Promise<T> {
    this.#feeding++;
    try {
      return await stream;
    } finally {
      if (--this.#feeding === 0) this.#flushSoon();
    }
  }

  #collect(resource: string, key: string, id: string | number): void {
    const row = this.host.present(resource, key);
    if (row) return this.#settle(resource, key, (waiting) => waiting.resolve(row));
    let ids = this.#collected.get(resource);
    if (!ids) this.#collected.set(resource, (ids = new Map()));
    ids.set(key, id);
    if (ids.size >= IDS_MOST) this.#flush(resource);
    else if (this.#feeding === 0) this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    setTimeout(() => {
      this.#ticking = false;
      if (this.#feeding === 0) for (const resource of [...this.#collected.keys()]) this.#flush(resource);
    }, 0);
  }

  #flush(resource: string): void {
    const ids = this.#collected.get(resource);
    this.#collected.delete(resource);
    if (!ids?.size) return;
    const keys = [...ids.keys()];
    this.host.fetch(resource, [...ids.values()]).then(
      () => {
        for (const key of keys) {
          this.#settle(resource, key, (it) => it.resolve(this.host.present(resource, key)));
        }
      },
      (error: unknown) => {
        for (const key of keys) this.#settle(resource, key, (it) => it.reject(error));
      },
    );
  }

  #settle(resource: string, key: string, how: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(resource)?.get(key);
    this.#waiting.get(resource)?.delete(key);
    if (waiting) how(waiting);
  }
}
