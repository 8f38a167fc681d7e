/**
 * Rows by resource and key. Of one row the highest version wins; what the user has drawn and the
 * server has not confirmed lies over it. Knows no queries, only who pins what, and no I/O.
 */
import type { ChangeEvent, Key, Row } from "./wire.ts";

/** The columns of each resource's key; `id` where nothing is said. */
export type Keys = Readonly<Record<string, readonly string[]>>;

/** Something drawn over a row until the server has spoken. */
export interface Overlay {
  readonly action: string;
  /** Draws it: `undefined` is no row. */
  readonly draw: (row: Row | undefined) => Row | undefined;
}

/** What a batch did to one row, as the user sees it. */
export interface Seen {
  readonly before: Row | undefined;
  readonly now: Row | undefined;
}
/** By resource, then by key. */
export type Batch = ReadonlyMap<string, ReadonlyMap<string, Seen>>;

interface Entry {
  version: number;
  /** `undefined`: a tombstone, kept until every request that was open when it came has ended. */
  row: Row | undefined;
  bytes: number;
  /** When it was last written or asked for, by the store's own count. */
  used: number;
  /** When it was last written. */
  stamp: number;
}

interface Table {
  entries: Map<string, Entry>;
  overlays: Map<string, Overlay[]>;
  /** Rows below this version are from before a reset. */
  floor: number;
}

/** A key as a string: what the maps are keyed by. */
export const keyText = (key: Key): string =>
  Array.isArray(key) ? (key.length === 1 ? String(key[0]) : JSON.stringify(key)) : String(key);

const isSame = (a: Row, b: Row): boolean => {
  for (const name in a) if (a[name] !== b[name]) return false;
  return true;
};

export class Store {
  /** Told once per batch, after it. */
  readonly listeners = new Set<(batch: Batch) => void>();
  /** Who needs a row: such rows are not evicted. */
  readonly pins = new Set<(resource: string, key: string) => boolean>();
  /** Told of each state that was accepted, for whoever keeps states beyond this page. */
  onState: ((resource: string, key: string, version: number, row: Row | undefined) => void) | undefined;
  /** What the rows here take, as JSON. */
  bytes = 0;

  #tables = new Map<string, Table>();
  #clock = 0;
  /** Requests that are open, with when they began. */
  #open = new Map<string, number>();
  #graves: { resource: string; key: string; stamp: number }[] = [];
  #depth = 0;
  #before = new Map<string, Map<string, Row | undefined>>();

  constructor(
    private readonly keys: Keys = {},
    private readonly bytesMax = 64 * 1024 * 1024,
  ) {}

  /** The key of a row, or nothing if it lacks a column of it. */
  keyOf(resource: string, row: Row): string | undefined {
    const parts: unknown[] = [];
    for (const column of this.keyColumns(resource)) {
      const part = row[column];
      if (part === undefined || part === null) return undefined;
      parts.push(part);
    }
    return keyText(parts as unknown as Key);
  }

  keyColumns(resource: string): readonly string[] {
    return this.keys[resource] ?? ["id"];
  }

  /** The row as the user sees it. */
  get(resource: string, key: string): Row | undefined {
    const table = this.#tables.get(resource);
    const entry = table?.entries.get(key);
    if (entry) entry.used = ++this.#clock;
    return table && this.#visible(table, key);
  }

  /** The row as the server last told it, with its version. */
  base(resource: string, key: string): { row: Row | undefined; version: number } | undefined {
    return this.#tables.get(resource)?.entries.get(key);
  }

  /** All rows of a resource as the user sees them. */
  *rows(resource: string): Generator<[string, Row]> {
    const table = this.#tables.get(resource);
    if (!table) return;
    for (const key of new Set([...table.entries.keys(), ...table.overlays.keys()])) {
      const row = this.#visible(table, key);
      if (row) yield [key, row];
    }
  }

  /** How many rows are here. */
  get size(): number {
    let size = 0;
    for (const table of this.#tables.values()) size += table.entries.size;
    return size - this.#graves.length;
  }

  /** Applies several things, and tells the listeners once. */
  batch<T>(apply: () => T): T {
    this.#depth++;
    try {
      return apply();
    } finally {
      if (--this.#depth === 0) this.#commit();
    }
  }

  /** A whole row at a version, as `row` events, answers and the cache bring it. */
  row(resource: string, version: number, row: Row, bytes = 256): void {
    const key = this.keyOf(resource, row);
    if (key !== undefined) this.#put(resource, key, version, row, bytes);
  }

  change(change: ChangeEvent, bytes = 256): void {
    const key = keyText(change.id);
    const absent = change.op === "delete" || change.op === "gone";
    // A change that tells its key only says that what is here is out of date; its row is not known.
    if (!absent && !change.row) return;
    this.#put(change.resource, key, change.version, absent ? undefined : change.row, bytes);
  }

  /** Discards what is older than `version`, of one resource or of all. */
  reset(resource: string | undefined, version = 0): void {
    const names = resource === undefined ? [...this.#tables.keys()] : [resource];
    this.batch(() => {
      for (const name of names) {
        const table = this.#table(name);
        table.floor = Math.max(table.floor, version);
        for (const [key, entry] of table.entries) {
          // Without a version nothing here is known to be newer.
          if (version !== 0 && entry.version >= version) {
            this.onState?.(name, key, entry.version, entry.row);
            continue;
          }
          this.#touch(name, table, key);
          this.#forget(table, key, entry);
        }
      }
      this.#graves = this.#graves.filter(({ resource: of, key }) => this.#tables.get(of)?.entries.has(key));
    });
  }

  /** From here on, until it ends, a request may bring states that are older than what is deleted. */
  requestOpened(id: string): void {
    this.#open.set(id, ++this.#clock);
  }

  requestEnded(id: string): void {
    if (this.#open.delete(id)) this.#bury();
  }

  get openRequests(): readonly string[] {
    return [...this.#open.keys()];
  }

  draw(resource: string, key: string, overlay: Overlay): void {
    this.batch(() => {
      const table = this.#table(resource);
      this.#touch(resource, table, key);
      table.overlays.set(key, [...(table.overlays.get(key) ?? []), overlay]);
    });
  }

  /** Takes back what an action drew. */
  undraw(resource: string, key: string, action: string): void {
    const table = this.#tables.get(resource);
    const overlays = table?.overlays.get(key);
    if (!table || !overlays) return;
    this.batch(() => {
      this.#touch(resource, table, key);
      const rest = overlays.filter((overlay) => overlay.action !== action);
      if (rest.length) table.overlays.set(key, rest);
      else table.overlays.delete(key);
    });
  }

  #table(resource: string): Table {
    let table = this.#tables.get(resource);
    if (!table) {
      table = { entries: new Map(), overlays: new Map(), floor: 0 };
      this.#tables.set(resource, table);
    }
    return table;
  }

  #visible(table: Table, key: string): Row | undefined {
    const row = table.entries.get(key)?.row;
    const overlays = table.overlays.get(key);
    return overlays ? overlays.reduce<Row | undefined>((under, { draw }) => draw(under), row) : row;
  }

  #put(resource: string, key: string, version: number, row: Row | undefined, bytes: number): void {
    const table = this.#table(resource);
    const entry = table.entries.get(key);
    // Of equal versions, either: they are one state.
    if (version < table.floor || (entry && entry.version >= version)) return;
    // An answer and its change tell the same; whoever shows the row need not draw it again.
    if (row && entry?.row && isSame(row, entry.row)) row = entry.row;
    this.batch(() => {
      this.#touch(resource, table, key);
      const stamp = ++this.#clock;
      const size = row ? bytes : 0;
      this.bytes += size - (entry?.bytes ?? 0);
      if (entry && !entry.row) this.#graves = this.#graves.filter((it) => it.resource !== resource || it.key !== key);
      table.entries.set(key, { version, row, bytes: size, used: stamp, stamp });
      if (!row) this.#graves.push({ resource, key, stamp });
      this.onState?.(resource, key, version, row);
    });
  }

  #touch(resource: string, table: Table, key: string): void {
    let keys = this.#before.get(resource);
    if (!keys) this.#before.set(resource, (keys = new Map()));
    if (!keys.has(key)) keys.set(key, this.#visible(table, key));
  }

  #commit(): void {
    if (this.#before.size === 0) return;
    const batch = new Map<string, Map<string, Seen>>();
    for (const [resource, keys] of this.#before) {
      const table = this.#table(resource);
      const seen = new Map<string, Seen>();
      for (const [key, before] of keys) {
        const now = this.#visible(table, key);
        if (now !== before) seen.set(key, { before, now });
      }
      if (seen.size) batch.set(resource, seen);
    }
    this.#before.clear();
    if (batch.size) for (const listener of [...this.listeners]) listener(batch);
    this.#bury();
    if (this.bytes > this.bytesMax) this.#evict();
  }

  /** When the oldest request that is still open began. */
  #oldest(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const since of this.#open.values()) oldest = Math.min(oldest, since);
    return oldest;
  }

  /** Drops the tombstones that no open request can contradict any more. */
  #bury(): void {
    const oldest = this.#oldest();
    let done = 0;
    for (const { resource, key, stamp } of this.#graves) {
      if (stamp > oldest) break;
      this.#table(resource).entries.delete(key);
      done++;
    }
    if (done) this.#graves = this.#graves.slice(done);
  }

  #forget(table: Table, key: string, entry: Entry): void {
    this.bytes -= entry.bytes;
    table.entries.delete(key);
  }

  /**
   * Drops what was used least lately and nobody pins, down to four fifths of the budget. What came
   * after the oldest open request began stays, since that request may bring an older state of it.
   */
  #evict(): void {
    const oldest = this.#oldest();
    const loose: { table: Table; key: string; entry: Entry }[] = [];
    for (const [resource, table] of this.#tables) {
      for (const [key, entry] of table.entries) {
        if (!entry.row || entry.stamp > oldest || table.overlays.has(key)) continue;
        let pinned = false;
        for (const pins of this.pins) pinned ||= pins(resource, key);
        if (!pinned) loose.push({ table, key, entry });
      }
    }
    loose.sort((a, b) => a.entry.used - b.entry.used);
    for (const { table, key, entry } of loose) {
      if (this.bytes <= this.bytesMax * 0.8) return;
      this.#forget(table, key, entry);
    }
  }
}
