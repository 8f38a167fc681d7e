/**
 * The queue of writes: sent in order, confirmed by the answer or by the change that carries their
 * action id, taken back with the problem, kept while nobody can be reached. Knows no sockets. Comes in
 * a file of its own, so that what it shares with the core is given to it.
 */
import type { Action, ConflictError, Outcome, draw } from "./actions.ts";
import type { backoffMs } from "./machine.ts";
import type { KeptAction, Persist } from "./persist.ts";
import { type SenderHost, send } from "./sender.ts";
import type { Link } from "./tabs.ts";
import type { Store } from "./store.ts";
import type { Problem, ProblemError, Row, VoidEvent, localProblem, problemOf } from "./wire.ts";

/** What the core has already. */
export interface Shared {
  readonly ProblemError: typeof ProblemError;
  readonly ConflictError: typeof ConflictError;
  readonly localProblem: typeof localProblem;
  readonly problemOf: typeof problemOf;
  readonly backoffMs: typeof backoffMs;
  readonly draw: typeof draw;
}

/** The client, as far as the queue needs it. */
export interface WritesHost {
  readonly store: Store;
  readonly persist: Persist;
  readonly link: Link | undefined;
  /** Calls the server with the current token, or a fresh one. */
  call(route: string, init: RequestInit, fresh: boolean): Promise<Response>;
  /** Resolves when what is kept can be reached. */
  readonly hasStarted: Promise<void>;
  /** Whether there is any use in trying. */
  isOnline(): boolean;
  outcome(outcome: Outcome): void;
  /** What the server does not tell this tab, since the one that made the write shares its channel. */
  event(event: VoidEvent): void;
  /** How many writes wait. */
  waits(count: number): void;
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
  /** Something was made since the last look at what waits. */
  #again = false;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #order: Promise<void> = Promise.resolve();

  #sender: SenderHost;

  constructor(
    private readonly host: WritesHost,
    private readonly shared: Shared,
  ) {
    const { store, persist } = host;
    this.#sender = {
      store, persist, shared,
      call: (route, init, fresh) => host.call(route, init, fresh),
      pending: this.#pending,
      ended: (pending, outcome) => this.#ended(pending, outcome),
    };
  }

  /** Whether this tab made the action, of a row of this resource if one is named, and its answer is still to come. */
  awaits(action: string, resource?: string): boolean {
    const pending = this.#pending.get(action);
    return pending?.resolve !== undefined && (resource ?? pending.action.resource) === pending.action.resource;
  }

  get pending(): readonly Action[] {
    return [...this.#pending.values()].map((it) => it.action);
  }

  /** Draws what an earlier page left behind. */
  async restore(): Promise<void> {
    for (const { seq, action } of await this.host.persist.actions()) this.#adopt(action as Action, seq);
    this.drain();
  }

  /** Keeps it, and sends it when its turn has come. Its maker has drawn it. */
  async add(action: Action): Promise<Row | undefined> {
    const pending: Pending = { action, seq: undefined, waited: !this.host.isOnline() };
    const outcome = new Promise<Row | undefined>((resolve, reject) => {
      pending.resolve = resolve;
      pending.reject = reject;
    });
    this.#pending.set(action.id, pending);
    this.#broadcast({ w: "drawn", action });
    this.host.waits(this.#pending.size);
    // One after the other, so that they are kept in the order in which they were made.
    this.#order = this.#order.then(async () => {
      await this.host.hasStarted;
      pending.seq = await this.host.persist.addAction(action);
    });
    await this.#order;
    this.drain();
    return outcome;
  }

  /** Another tab has something to say. */
  heard(word: WriteWord): void {
    if (word.w === "drawn") this.#adopt(word.action, undefined);
    else {
      const { id, problem } = word;
      if (problem && !this.awaits(id)) this.host.event({ type: "void", action_id: id });
      this.#drop(id, problem);
    }
  }

  /** A change came that carries this action: it has been committed. */
  confirmed(id: string): void {
    const pending = this.#pending.get(id);
    // What it drew is in the row now; the answer, which may still come, settles the promise.
    if (pending) this.host.store.undraw(pending.action.resource, pending.action.key, id);
  }

  /** Sends what waits, if it is possible. */
  drain(): void {
    this.#again = true;
    if (this.#draining || this.#pending.size === 0 || !this.host.isOnline()) return;
    this.#draining = true;
    this.#again = false;
    clearTimeout(this.#timer);
    void this.#exclusively(() => this.#drainAll())
      .catch(() => this.#later())
      .finally(() => {
        this.#draining = false;
        if (this.#again) this.drain();
      });
  }

  close(): void {
    clearTimeout(this.#timer);
    const { ProblemError, localProblem } = this.shared;
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
    this.shared.draw(this.host.store, action);
    this.host.waits(this.#pending.size);
  }

  async #drainAll(): Promise<void> {
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
    const { ProblemError, localProblem } = this.shared;
    const problem =
      error instanceof ProblemError ? error.problem : error && localProblem("conflict", error.message);
    this.#broadcast({ w: "ended", id: outcome.action.id, problem });
    this.host.waits(this.#pending.size);
    if (error && !pending.resolve) this.host.event({ type: "void", action_id: outcome.action.id });
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
    if (problem) pending.reject?.(new this.shared.ProblemError(problem));
    else pending.resolve?.(this.host.store.get(pending.action.resource, pending.action.key));
    this.host.waits(this.#pending.size);
  }

  /** Runs it while no other tab does. */
  async #exclusively(run: () => Promise<void>): Promise<void> {
    const locks = globalThis.navigator?.locks;
    if (this.host.persist.isKept && locks) await locks.request(`${this.host.link?.name}:writes`, run);
    else await run();
  }

  #broadcast(write: WriteWord): void {
    this.host.link?.broadcast({ write });
  }

  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.drain(), this.shared.backoffMs(++this.#tries, Math.random()));
    (this.#timer as { unref?: () => void }).unref?.();
  }
}
