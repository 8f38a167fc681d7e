/**
 * What the user did, as data, and what it looks like until the server has spoken. How it gets there is
 * the business of the queue of writes, which is loaded after the first screen.
 */
import { resourcePath } from "./query.ts";
import type { Store } from "./store.ts";
import type { Key, Row } from "./wire.ts";

/** One thing that the user did. */
export interface Action {
  readonly id: string;
  readonly op: "insert" | "update" | "remove";
  readonly resource: string;
  /** For an insert the key under which it is drawn. */
  key: string;
  path: string;
  values: Row;
  /** What an insert looks like while its key is a stand-in. */
  readonly drawn?: Row;
  /** The row as it was when this was drawn. */
  readonly base?: Row | undefined;
  readonly conflict?: "mine" | "theirs" | undefined;
}

/** Somebody else has changed the same columns while this write waited. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
  constructor(
    readonly action: Action,
    /** The row as this client wanted it. */
    readonly mine: Row,
    /** The row as it is. */
    readonly theirs: Row | undefined,
    /** The row as both found it. */
    readonly base: Row,
  ) {
    super("Somebody else changed the row meanwhile.");
  }
}

/** What became of an action, also of one that an earlier page began. */
export interface Outcome {
  readonly action: Action;
  readonly row?: Row | undefined;
  readonly error?: Error;
}

/** Draws an action over the rows. */
export function draw(store: Store, { id, op, resource, key, values, drawn }: Action): void {
  store.draw(resource, key, {
    action: id,
    draw: (row) => {
      if (op === "remove") return undefined;
      if (op === "update") return row && { ...row, ...values };
      return row ?? { ...drawn, ...values };
    },
  });
}

/** The path of a row, whose key's parts are comma-joined. */
export function itemPath(resource: string, key: Key): string {
  const parts = Array.isArray(key) ? (key as readonly (string | number | boolean)[]) : [key];
  const item = parts.map((part) => encodeURIComponent(String(part))).join(",");
  return `${resourcePath(resource)}/${item}`;
}
