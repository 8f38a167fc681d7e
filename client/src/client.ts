/** The client: what an application calls. */
import { type Action, draw, itemPath } from "./actions.ts";
import { Core, PRIORITY } from "./core.ts";
import { newId } from "./identity.ts";
import { type LiveQuery } from "./live.ts";
import { Loader } from "./loader.ts";
import type { AnyResources, Name, Options, Resources } from "./options.ts";
import type { Prefetcher } from "./prefetcher.ts";
import { type Asks, Query, type Spec, path, resourcePath } from "./query.ts";
import { keyText } from "./store.ts";
import { Topic, type TopicOptions } from "./topic.ts";
import type { Key, Row } from "./wire.ts";

const LOAD_PRIORITY = 1;

export function createClient<S extends Resources = AnyResources>(options: Options): Client<S> {
  return new Client<S>(options);
}

export class Client<S extends Resources = AnyResources> extends Core implements Asks {
  #loader: Loader;
  #prefetcher: Promise<Prefetcher> | undefined;

  constructor(options: Options) {
    super(options);
    const { store } = this;
    this.#loader = new Loader({
      present: (resource, key) => store.get(resource, key),
      hydrate: (resource) => this.queries.hydrate(resource),
      fetch: async (resource, ids) => {
        const column = store.keyColumns(resource)[0] ?? "id";
        // What a row on the screen refers to comes before the rows below it.
        await this.from(resource as Name<S>).in(column, ids).priority(LOAD_PRIORITY);
      },
    });
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
    return this.queries.watch(resource, keyText(key), listener);
  }

  /**
   * Loads what the user will need next, when its turn comes, and keeps it true and warm. Resolves
   * with whether it was loaded: not on a scarce link, nor beyond the budget.
   */
  async prefetch<R extends object>(query: Query<R>): Promise<boolean> {
    this.#prefetcher ??= this.loadLater().then(({ Prefetcher }) => new Prefetcher(this.options.prefetchBytesMax));
    return (await this.#prefetcher).load(query.spec, (spec) => this.live(spec));
  }

  /**
   * Draws a row at once and sends it. Until the answer is there, its key is a stand-in, which other
   * writes may refer to: it is replaced before they are sent.
   */
  // A stand-in may stand where a number is wanted, too.
  insert<N extends Name<S>>(
    resource: N, values: S[N]["Insert"], how: { action?: string } = {},
  ): Promise<S[N]["Row"]> & { key: any } {
    const id = how.action ?? newId(12);
    const row = values as Row;
    const key = this.store.keyOf(resource, row) ?? `~${id}`;
    const columns = this.store.keyColumns(resource);
    const action: Action = {
      id, op: "insert", resource, key, values: row, path: resourcePath(resource),
    };
    // The stand-in is drawn as the key, so that what refers to the row can do so already.
    const drawn = key.startsWith("~") && columns.length === 1;
    const done = this.#write(drawn ? { ...action, drawn: { ...row, [columns[0] as string]: key } } : action);
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
    return this.#write({
      id: newId(12), op: "update", resource, key: text, values: values as Row,
      path: itemPath(resource, key), base: this.store.get(resource, text), conflict: how.conflict,
    }) as Promise<S[N]["Row"] | undefined>;
  }

  remove<N extends Name<S>>(resource: N, key: Key): Promise<S[N]["Row"] | undefined> {
    return this.#write({
      id: newId(12), op: "remove", resource, key: keyText(key), values: {}, path: itemPath(resource, key),
    }) as Promise<S[N]["Row"] | undefined>;
  }

  /** Takes part in a topic: `organization`, or a row's, such as `tickets/42`. */
  topic(name: string, options: TopicOptions = {}): Topic {
    return new Topic(this, name, options);
  }

  /** Writes that are not confirmed yet. */
  get pending(): readonly Action[] {
    return this.writes?.pending ?? [];
  }

  /** Ends, and deletes what is kept of this identity, also in the other tabs. */
  async logout(): Promise<void> {
    await this.hasStarted;
    this.link?.broadcast({ logout: true });
    this.link?.close();
    await this.persist.clear();
    await this.close();
    this.store.reset(undefined);
  }

  // What queries ask for.

  /** @internal */
  async fetchRows(spec: Spec): Promise<Row[]> {
    let rows: Row[] = [];
    await this.askRows(spec, {
      row: (row, resource) => void (resource === spec.resource && rows.push(row)),
      restart: () => (rows = []),
    });
    return rows;
  }

  /** @internal */
  streamRows(spec: Spec): AsyncGenerator<Row> {
    return this.requests.stream(path(spec), spec.priority ?? PRIORITY, spec.resource, spec.signal);
  }

  /** @internal */
  live(spec: Spec): LiveQuery {
    return this.queries.open(spec);
  }

  /** Draws it, and hands it to the queue. */
  async #write(action: Action): Promise<Row | undefined> {
    draw(this.store, action);
    this.setStatus({ pending: this.status.pending + 1 });
    return (await this.queue()).add(action);
  }
}
