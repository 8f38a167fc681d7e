/**
 * Writes: drawn at once, sent in order, confirmed by the answer or by the change that carries their
 * action id, taken back with the problem, kept while nobody can be reached. Knows no sockets.
 */
import { backoffMs } from "./machine.ts";
import type { KeptAction, Persist } from "./persist.ts";
import { resourcePath } from "./query.ts";
import type { SenderHost } from "./sender.ts";
import type { Store } from "./store.ts";
import { type Key, type Problem, ProblemError, type Row, localProblem, problemOf } from "./wire.ts";

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

export interface WritesHost {
  readonly store: Store;
  readonly persist: Persist;
  /** Resolves when what is kept can be reached. */
  ready(): Promise<void>;
  /** Calls the server with the current token, or a fresh one. */
  call(path: string, init: RequestInit, fresh: boolean): Promise<Response>;
  /** Whether there is any use in trying. */
  isOnline(): boolean;
  /** Runs it while no other tab does. */
  exclusively<T>(run: () => Promise<T>): Promise<T>;
  broadcast(word: WriteWord): void;
  outcome(outcome: Outcome): void;
  pending(count: number): void;
}

/** What tabs tell each other about writes. */
export type WriteWord = { w: "drawn"; action: Action } | { w: "ended"; id: string; problem?: Problem | undefined };

/** A write that waits. */
export interface Pending {
  readonly action: Action;
  /** Its place in the kept queue; nothing where nothing is kept. */
  seq: number | undefined;
  /** It had to wait, so that others may have been faster. */
  waited: boolean;
  resolve?: (row: Row | undefined) => void;
  reject?: (error: Error) => void;
}

export class Writes {
  /** In the order in which they were made, whichever tab made them. */
  #pending = new Map<string, Pending>();
  #draining = false;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #order: Promise<void> = Promise.resolve();

  #sender: SenderHost;

  constructor(private readonly host: WritesHost) {
    const { store, persist } = host;
    this.#sender = {
      store, persist, problemOf,
      pending: this.#pending,
      call: host.call,
      refusal: (problem) => new ProblemError(problem),
      conflict: (action, theirs, base) => new ConflictError(action, { ...base, ...action.values }, theirs, base),
      draw: (action) => this.#draw(action),
      ended: (pending, outcome) => this.#ended(pending, outcome),
    };
  }

  /** Loads what sends, which is in a file of its own: done ahead while there is a network to load it by. */
  preload(): Promise<typeof import("./sender.ts")> {
    return import("./sender.ts");
  }

  /** Whether this tab made the action, and its answer is still to come. */
  awaits(action: string): boolean {
    return this.#pending.get(action)?.resolve !== undefined;
  }

  get pending(): readonly Action[] {
    return [...this.#pending.values()].map((it) => it.action);
  }

  /** Draws what an earlier page left behind. */
  async restore(): Promise<void> {
    for (const { seq, action } of await this.host.persist.actions()) this.#adopt(action as Action, seq);
    this.drain();
  }

  /** Draws it, keeps it, and sends it when its turn has come. */
  async add(action: Action): Promise<Row | undefined> {
    const pending: Pending = { action, seq: undefined, waited: !this.host.isOnline() };
    const outcome = new Promise<Row | undefined>((resolve, reject) => {
      pending.resolve = resolve;
      pending.reject = reject;
    });
    this.#pending.set(action.id, pending);
    this.#draw(action);
    this.host.broadcast({ w: "drawn", action });
    this.host.pending(this.#pending.size);
    // One after the other, so that they are kept in the order in which they were made.
    this.#order = this.#order.then(async () => {
      await this.host.ready();
      pending.seq = await this.host.persist.addAction(action);
    });
    await this.#order;
    this.drain();
    return outcome;
  }

  /** Another tab has something to say. */
  heard(word: WriteWord): void {
    if (word.w === "drawn") this.#adopt(word.action, undefined);
    else this.#drop(word.id, word.problem);
  }

  /** A change came that carries this action: it has been committed. */
  confirmed(id: string): void {
    const pending = this.#pending.get(id);
    // What it drew is in the row now; the answer, which may still come, settles the promise.
    if (pending) this.host.store.undraw(pending.action.resource, pending.action.key, id);
  }

  /** Sends what waits, if it is possible. */
  drain(): void {
    if (this.#draining || this.#pending.size === 0 || !this.host.isOnline()) return;
    this.#draining = true;
    clearTimeout(this.#timer);
    void this.host
      .exclusively(() => this.#drainAll())
      .catch(() => this.#later())
      .finally(() => (this.#draining = false));
  }

  close(): void {
    clearTimeout(this.#timer);
    const error = new ProblemError(localProblem("closed", "The client was closed."));
    for (const { reject } of this.#pending.values()) reject?.(error);
    this.#pending.clear();
  }

  #adopt(action: Action, seq: number | undefined): void {
    const known = this.#pending.get(action.id);
    if (known) {
      known.seq ??= seq;
      return;
    }
    this.#pending.set(action.id, { action, seq, waited: true });
    this.#draw(action);
    this.host.pending(this.#pending.size);
  }

  async #drainAll(): Promise<void> {
    const { send } = await this.preload();
    for (;;) {
      const next = await this.#next();
      if (!next || !this.host.isOnline()) return;
      if (await send(this.#sender, next)) this.#tries = 0;
      else {
        next.waited = true;
        return this.#later();
      }
    }
  }

  /** The oldest, by what is kept: other tabs have a part in that queue. */
  async #next(): Promise<Pending | undefined> {
    if (this.host.persist.isKept) {
      await this.#order;
      const kept: KeptAction[] = await this.host.persist.actions();
      for (const { seq, action } of kept) this.#adopt(action as Action, seq);
      const first = kept[0];
      return first && this.#pending.get((first.action as Action).id);
    }
    for (const pending of this.#pending.values()) if (pending.resolve) return pending;
    return undefined;
  }

  #ended(pending: Pending, outcome: Outcome): void {
    const { error } = outcome;
    const problem =
      error instanceof ProblemError ? error.problem : error && localProblem("conflict", error.message);
    this.host.broadcast({ w: "ended", id: outcome.action.id, problem });
    this.host.pending(this.#pending.size);
    if (error) pending.reject?.(error);
    else pending.resolve?.(outcome.row);
    this.host.outcome(outcome);
  }

  #drop(id: string, problem: Problem | undefined): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    // Another tab has sent what this one made: its answer is the change that follows.
    this.host.store.undraw(pending.action.resource, pending.action.key, id);
    this.#pending.delete(id);
    if (problem) pending.reject?.(new ProblemError(problem));
    else pending.resolve?.(this.host.store.get(pending.action.resource, pending.action.key));
    this.host.pending(this.#pending.size);
  }

  #draw(action: Action): void {
    const { op, values } = action;
    const draw = (row: Row | undefined): Row | undefined => {
      if (op === "remove") return undefined;
      if (op === "update") return row && { ...row, ...values };
      return row ?? { ...action.drawn, ...values };
    };
    this.host.store.draw(action.resource, action.key, { action: action.id, draw });
  }

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.drain(), backoffMs(++this.#tries, Math.random()));
    (this.#timer as { unref?: () => void }).unref?.();
  }
}

/** The path of a row, whose key's parts are comma-joined. */
export function itemPath(resource: string, key: Key): string {
  const parts = Array.isArray(key) ? (key as readonly (string | number | boolean)[]) : [key];
  const item = parts.map((part) => encodeURIComponent(String(part))).join(",");
  return `${resourcePath(resource)}/${item}`;
}
