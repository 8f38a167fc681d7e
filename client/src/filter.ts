/**
 * Conditions and orders as PostgREST's grammar has them: written into a URL, and evaluated on rows
 * that are here. What cannot be evaluated here exactly says so, and is left to the server.
 */
import type { Row } from "./wire.ts";

export type Operator =
  | "eq" | "neq" | "gt" | "gte" | "lt" | "lte" | "in" | "is" | "like" | "ilike"
  | (string & {});
export type Value = string | number | boolean | null | Date;

/** One condition, or several joined. */
export type Filter =
  | { column: string; op: Operator; value: Value | readonly Value[]; not?: boolean }
  | { join: "and" | "or"; filters: readonly Filter[]; not?: boolean };

export interface Order {
  column: string;
  descending: boolean;
  /** Unset: PostgreSQL's own, last ascending and first descending. */
  nulls?: "first" | "last" | undefined;
}

const text = (value: Value): string => (value instanceof Date ? value.toISOString() : String(value));
/** Inside parentheses, what means something there is quoted. */
const quoted = (value: Value): string => {
  const plain = text(value);
  return /[,.:()"\\\s]|^$|^null$/i.test(plain) ? `"${plain.replace(/["\\]/g, "\\$&")}"` : plain;
};

function operand(filter: Extract<Filter, { op: Operator }>, nested: boolean): string {
  const { op, value } = filter;
  if (Array.isArray(value)) return `${op}.(${(value as Value[]).map(quoted).join(",")})`;
  const one = value as Value;
  const pattern = op === "like" || op === "ilike" ? text(one).replaceAll("%", "*") : one;
  return `${op}.${nested && op !== "is" ? quoted(pattern) : text(pattern)}`;
}

/** The condition inside `or=(…)`. */
function nestedText(filter: Filter): string {
  const not = filter.not ? "not." : "";
  if ("join" in filter) return `${not}${filter.join}(${filter.filters.map(nestedText).join(",")})`;
  return `${filter.column}.${not}${operand(filter, true)}`;
}

/** The condition as a query parameter. */
export function parameter(filter: Filter): [string, string] {
  const not = filter.not ? "not." : "";
  if ("join" in filter) {
    return [`${not}${filter.join}`, `(${filter.filters.map(nestedText).join(",")})`];
  }
  return [filter.column, not + operand(filter, false)];
}

export const orderText = (orders: readonly Order[]): string =>
  orders
    .map(({ column, descending, nulls }) => column + (descending ? ".desc" : "") + (nulls ? `.nulls${nulls}` : ""))
    .join(",");

/** Thrown where a condition cannot be evaluated here as PostgreSQL would. */
export class NotLocal extends Error {}

/** The operators that are known here. */
export const LOCAL = new Set(["eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "like", "ilike"]);
/** Whether all operators are known here. */
export const isLocal = (filter: Filter): boolean =>
  "join" in filter ? filter.filters.every(isLocal) : LOCAL.has(filter.op) && !/[-:>()]/.test(filter.column);

/**
 * A moment as PostgreSQL writes it, as a number of milliseconds and the microseconds beyond, which a
 * Date does not hold.
 */
function moment(value: string): [number, number] | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/.exec(value);
  if (!parts) return undefined;
  const fraction = (parts[3] ?? ".").slice(1).padEnd(6, "0");
  const zone = !parts[4] || parts[4] === "Z" ? "Z" : parts[4].length === 3 ? `${parts[4]}:00` : parts[4];
  const ms = Date.parse(`${parts[1]}T${parts[2] ?? "00:00:00"}.${fraction.slice(0, 3)}${zone}`);
  return Number.isNaN(ms) ? undefined : [ms, Number(fraction.slice(3, 6))];
}

/** Code points, as PostgreSQL's collation C has them; UTF-16 units differ beyond the first plane. */
function compareText(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  const x = a.charCodeAt(at), y = b.charCodeAt(at);
  if (Number.isNaN(x) || Number.isNaN(y)) return a.length - b.length;
  const surrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdfff;
  return surrogate(x) !== surrogate(y) ? (surrogate(x) ? 1 : -1) : x - y;
}

/**
 * Orders two values of one column that are not null. Texts are compared by code point (collation C),
 * moments as moments, whatever their zones and fractions are written like.
 */
export function compare(a: unknown, b: unknown): number {
  if (a === b) return 0;
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (typeof a === "string" && typeof b === "string") {
    const x = moment(a), y = x && moment(b);
    return x && y ? x[0] - y[0] || x[1] - y[1] : compareText(a, b);
  }
  // The stand-in for a key that the database will give comes after all that it has given.
  if (typeof a === "number" && typeof b === "string") return -1;
  if (typeof a === "string" && typeof b === "number") return 1;
  throw new NotLocal();
}

/** A condition's value as the column's values are. */
function like(model: unknown, value: Value): unknown {
  const plain = value instanceof Date ? value.toISOString() : value;
  if (typeof model === typeof plain || plain === null) return plain;
  const word = String(plain);
  if (typeof model === "number") {
    const number = Number(word);
    if (word.trim() === "" || Number.isNaN(number)) throw new NotLocal();
    return number;
  }
  if (typeof model === "boolean") {
    if (word === "true" || word === "false") return word === "true";
    throw new NotLocal();
  }
  if (typeof model === "string") return word;
  throw new NotLocal();
}

function pattern(value: Value, flags: string): RegExp {
  const escaped = text(value).replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replace(/[%*]/g, ".*").replaceAll("_", ".")}$`, `su${flags}`);
}

/** True, false, or null, as SQL has it: not null is null. */
function evaluate(filter: Filter, row: Row): boolean | null {
  const result = "join" in filter ? joined(filter, row) : single(filter, row);
  return filter.not && result !== null ? !result : result;
}

function joined(filter: Extract<Filter, { join: string }>, row: Row): boolean | null {
  const decisive = filter.join === "or";
  let result: boolean | null = !decisive;
  for (const each of filter.filters) {
    const one = evaluate(each, row);
    if (one === decisive) return decisive;
    if (one === null) result = null;
  }
  return result;
}

function single(filter: Extract<Filter, { op: Operator }>, row: Row): boolean | null {
  const { op, value } = filter;
  const own = row[filter.column];
  if (own === undefined) throw new NotLocal();
  if (op === "is") {
    const word = text(value as Value).toLowerCase();
    if (word === "null") return own === null;
    if (word === "not_null") return own !== null;
    if (word === "unknown") return own === null;
    return own === (word === "true");
  }
  if (own === null) return null;
  if (op === "in") {
    let result: boolean | null = false;
    for (const each of value as readonly Value[]) {
      if (each === null) result = null;
      else if (compare(own, like(own, each)) === 0) return true;
    }
    return result;
  }
  const one = value as Value;
  if (one === null) return null;
  if (op === "like" || op === "ilike") {
    if (typeof own !== "string" || text(one).includes("\\")) throw new NotLocal();
    return pattern(one, op === "ilike" ? "i" : "").test(own);
  }
  const order = compare(own, like(own, one));
  switch (op) {
    case "eq":
      return order === 0;
    case "neq":
      return order !== 0;
    case "gt":
      return order > 0;
    case "gte":
      return order >= 0;
    case "lt":
      return order < 0;
    case "lte":
      return order <= 0;
  }
  throw new NotLocal();
}

/**
 * Whether a row satisfies all conditions.
 *
 * Throws [`NotLocal`] where only the server can tell.
 */
export const matches = (filters: readonly Filter[], row: Row): boolean =>
  filters.every((filter) => evaluate(filter, row) === true);

/** Orders two rows as `order=` does. */
export function compareRows(orders: readonly Order[], a: Row, b: Row): number {
  for (const { column, descending, nulls } of orders) {
    const x = a[column] ?? null, y = b[column] ?? null;
    if (x === null || y === null) {
      if (x === y) continue;
      const nullsFirst = nulls ? nulls === "first" : descending;
      return (x === null) === nullsFirst ? -1 : 1;
    }
    const order = compare(x, y);
    if (order !== 0) return descending ? -order : order;
  }
  return 0;
}

const same = (a: Value, b: Value): boolean => text(a) === text(b) && (a === null) === (b === null);

/** Whether every row that satisfies `narrow` surely satisfies the condition `wide`. */
export function implies(narrow: readonly Filter[], wide: Filter): boolean {
  const wanted = JSON.stringify(wide);
  return narrow.some((each) => {
    if (JSON.stringify(each) === wanted) return true;
    if ("join" in each || "join" in wide || each.not || wide.not || wide.op !== "in") return false;
    if (each.column !== wide.column) return false;
    const all = wide.value as readonly Value[];
    const some = each.op === "eq" ? [each.value as Value] : each.op === "in" ? (each.value as Value[]) : [];
    return some.length > 0 && some.every((value) => all.some((other) => same(value, other)));
  });
}
