/**
 * What is asked: an immutable description of a read, and the URL that it becomes. Asking is done by
 * whoever is given as `asks`.
 */
import { type Filter, LOCAL, type Operator, type Order, type Value, orderText, parameter } from "./filter.ts";
import type { LiveQuery } from "./live.ts";
import type { Row } from "./wire.ts";

/** 0 is the most urgent, 7 the least (RFC 9218). */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

/** A read, as data. */
export interface Spec {
  readonly resource: string;
  readonly columns: string | undefined;
  readonly filters: readonly Filter[];
  readonly orders: readonly Order[];
  readonly limit: number | undefined;
  readonly offset: number | undefined;
  readonly include: string | undefined;
  readonly more: readonly (readonly [string, string])[];
  readonly priority: Priority | undefined;
  readonly signal: AbortSignal | undefined;
  /** Told how many bytes each row took. */
  readonly meter?: (bytes: number) => void;
}

/** Who carries reads out. */
export interface Asks {
  fetchRows(spec: Spec): Promise<Row[]>;
  streamRows(spec: Spec): AsyncIterableIterator<Row>;
  live(spec: Spec): LiveQuery;
}

/** Commas and colons stay readable; the rest is escaped. */
const escape = (word: string): string =>
  encodeURIComponent(word).replace(/%(2C|3A)/g, (code) => decodeURIComponent(code));

/** The path of a resource, which is also what the paths of its reads begin with. */
export const resourcePath = (resource: string): string => `/resources/${encodeURIComponent(resource)}`;

/** Whether a read's path is one of this resource; of any, where none is named. */
export const isOf = (path: string, resource: string | undefined): boolean =>
  resource === undefined || path.split("?")[0] === resourcePath(resource);

/** The path and query string of a read. */
export function path(spec: Spec): string {
  const parameters: [string, string][] = spec.filters.map(parameter);
  if (spec.columns) parameters.push(["select", spec.columns]);
  if (spec.orders.length) parameters.push(["order", orderText(spec.orders)]);
  if (spec.limit !== undefined) parameters.push(["limit", String(spec.limit)]);
  if (spec.offset !== undefined) parameters.push(["offset", String(spec.offset)]);
  if (spec.include) parameters.push(["include", spec.include]);
  for (const [name, value] of spec.more) parameters.push([name, value]);
  const query = parameters.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&");
  return resourcePath(spec.resource) + (query && `?${query}`);
}

type Name<R> = Extract<keyof R, string> | (string & {});
type Condition = readonly [column: string, op: Operator, value: Value | readonly Value[]];

type Compares<R extends object> = (column: Name<R>, value: Exclude<Value, null>) => Query<R>;

/** The operators that have a method of their own. */
export interface Query<R extends object = Row> {
  eq: Compares<R>;
  neq: Compares<R>;
  gt: Compares<R>;
  gte: Compares<R>;
  lt: Compares<R>;
  lte: Compares<R>;
  in(column: Name<R>, values: readonly Exclude<Value, null>[]): Query<R>;
  is(column: Name<R>, value: null | boolean): Query<R>;
  like(column: Name<R>, pattern: string): Query<R>;
  ilike(column: Name<R>, pattern: string): Query<R>;
}

/**
 * A read under construction. Every method gives a new one, so that a base can be shared:
 * `const open = client.from("tickets").eq("status", "open")`.
 *
 * `await` gives all rows, `for await` each row as it arrives, [`live`](Query.live) a result that
 * stays true.
 */
export class Query<R extends object = Row> implements PromiseLike<R[]>, AsyncIterable<R> {
  /** @internal */
  constructor(
    /** @internal */
    readonly spec: Spec,
    private readonly asks: Asks,
  ) {}

  /** @internal */
  static of<R extends object>(resource: string, asks: Asks): Query<R> {
    return new Query<R>(
      {
        resource, columns: undefined, filters: [], orders: [], limit: undefined, offset: undefined,
        include: undefined, more: [], priority: undefined, signal: undefined,
      },
      asks,
    );
  }

  #with(change: Partial<Spec>): Query<R> {
    return new Query<R>({ ...this.spec, ...change }, this.asks);
  }

  #and(filter: Filter): Query<R> {
    return this.#with({ filters: [...this.spec.filters, filter] });
  }

  /** Some columns only, by PostgREST's grammar. Such rows are their request's and enter no store. */
  select(...columns: Name<R>[]): Query<R> {
    const all = columns.join(",");
    return this.#with({ columns: all === "*" || all === "" ? undefined : all });
  }

  /** Any operator of the server's grammar. */
  filter(column: Name<R>, op: Operator, value: Value | readonly Value[]): Query<R> {
    return this.#and({ column, op, value });
  }

  not(column: Name<R>, op: Operator, value: Value | readonly Value[]): Query<R> {
    return this.#and({ column, op, value, not: true });
  }
  /** At least one of these conditions: `.or(["status", "eq", "open"], ["priority", "eq", "urgent"])`. */
  or(...conditions: Condition[]): Query<R> {
    const filters = conditions.map(([column, op, value]) => ({ column, op, value }));
    return this.#and({ join: "or", filters });
  }

  order(column: Name<R>, how: { descending?: boolean; nulls?: "first" | "last" } = {}): Query<R> {
    const order: Order = { column, descending: how.descending ?? false, nulls: how.nulls };
    return this.#with({ orders: [...this.spec.orders, order] });
  }
  limit(rows: number): Query<R> {
    return this.#with({ limit: rows });
  }
  offset(rows: number): Query<R> {
    return this.#with({ offset: rows });
  }
  /** Related rows, flat, each once, into the store. */
  include(...relations: string[]): Query<R> {
    return this.#with({ include: relations.join(",") });
  }
  /** Only what changed since a cursor or a time. */
  modifiedSince(state: string | Date): Query<R> {
    const value = state instanceof Date ? state.toISOString() : state;
    return this.#with({ more: [...this.spec.more, ["modified_since", value]] });
  }
  priority(priority: Priority): Query<R> {
    return this.#with({ priority });
  }
  /** Cancels the request, in PostgreSQL too, when it aborts. */
  signal(signal: AbortSignal): Query<R> {
    return this.#with({ signal });
  }

  then<A = R[], B = never>(
    resolve?: ((rows: R[]) => A | PromiseLike<A>) | null,
    reject?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.asks.fetchRows(this.spec) as Promise<R[]>).then(resolve, reject);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<R> {
    return this.asks.streamRows(this.spec) as AsyncIterableIterator<R>;
  }

  /** A result that stays equal to what the server would answer. Close it when it is not used any more. */
  live(): LiveQuery<R> {
    return this.asks.live(this.spec) as unknown as LiveQuery<R>;
  }

  /** Two queries of one text are the same. */
  toString(): string {
    return path(this.spec);
  }
}

for (const op of LOCAL) {
  Object.defineProperty(Query.prototype, op, {
    value(this: Query, column: string, value: Value | readonly Value[]) {
      return this.filter(column, op, value);
    },
  });
}
