/**
 * The requests that are open on the channel: sent when the channel is, sent again where nobody knows
 * whether they arrived, ended exactly once. Knows no rows' meaning.
 */
import type { First } from "./transport/attach.ts";
import { type Command, type DoneEvent, type ErrorEvent, ProblemError, type Row, localProblem } from "./wire.ts";

/** Figures of one request, for those who want to see how fast it was. Times are milliseconds since it was made. */
export interface RequestFigures {
  readonly path: string;
  acceptedMs?: number;
  firstRowMs?: number;
  doneMs?: number;
  rows: number;
  bytes: number;
}

export interface Handler {
  row(row: Row, resource: string, bytes: number): void;
  /** The rows so far are void: the request runs anew. Without it, an interrupted request fails. */
  restart?(): void;
}

interface Open {
  readonly id: string;
  readonly path: string;
  readonly priority: number;
  readonly handler: Handler;
  readonly resolve: (done: DoneEvent) => void;
  readonly reject: (error: Error) => void;
  readonly started: number;
  readonly figures: RequestFigures;
  /** `riding`: it goes out with the opening of the channel. */
  state: "queued" | "riding" | "sent" | "heard";
}

/** Below the server's limit for an identity, which other tabs share. */
const SENT_MOST = 24;
/** What fits into a URL beside the rest, as it is escaped there. */
const RIDING_CHARS_MAX = 6_000;
const BUSY_MS = 500;

export interface RequestsHost {
  send(command: Command): void;
  isOpen(): boolean;
  opened(id: string): void;
  ended(id: string): void;
  figures(figures: RequestFigures): void;
}

export class Requests {
  #open = new Map<string, Open>();
  #count = 0;

  constructor(
    /** What the ids of its requests begin with. */
    readonly prefix: string,
    private readonly host: RequestsHost,
  ) {}

  /** Whether this tab asked for it. */
  has(id: string): boolean {
    return this.#open.has(id);
  }

  /** Asks, and resolves at the end. An abort rejects at once and cancels at the server. */
  ask(path: string, priority: number, handler: Handler, signal?: AbortSignal): Promise<DoneEvent> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const request: Open = {
        id: `${this.prefix}${++this.#count}`,
        path, priority, handler, resolve, reject,
        started: performance.now(),
        figures: { path, rows: 0, bytes: 0 },
        state: "queued",
      };
      this.#open.set(request.id, request);
      signal?.addEventListener("abort", () => {
        const state = request.state;
        if (!this.#open.delete(request.id)) return;
        if (state === "queued") this.host.ended(request.id);
        else this.host.send({ type: "cancel", request_id: request.id });
        reject(signal.reason as Error);
      });
      this.pump();
    });
  }

  /** Asks, and gives the resource's rows as they come. Whoever leaves early does not want the rest. */
  async *stream(path: string, priority: number, resource: string, signal?: AbortSignal): AsyncGenerator<Row> {
    const queue: Row[] = [];
    let wake = () => {};
    let ended = false;
    let failure: unknown;
    const stop = new AbortController();
    const row = (each: Row, of: string) => {
      if (of === resource) queue.push(each);
      wake();
    };
    this.ask(path, priority, { row }, signal ? AbortSignal.any([signal, stop.signal]) : stop.signal)
      .catch((error: unknown) => (failure = error ?? new Error("cancelled")))
      .finally(() => ((ended = true), wake()));
    try {
      for (;;) {
        const next = queue.shift();
        if (next) yield next;
        else if (failure) throw failure;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      if (!ended) stop.abort();
    }
  }

  /** Sends what waits, the most urgent first. */
  pump(): void {
    if (this.host.isOpen()) for (const request of this.#waiting("queued")) this.#send(request);
  }

  /** What waits while there is no channel goes out with its opening. */
  ride(): First[] {
    const first: First[] = [];
    for (const request of this.#waiting("queued", "riding")) {
      const { id: request_id, path, priority } = request;
      const each = { request_id, path, priority };
      if (encodeURIComponent(JSON.stringify([...first, each])).length > RIDING_CHARS_MAX) break;
      first.push(each);
      request.state = "riding";
      this.host.opened(request_id);
    }
    return first;
  }

  /** As many as may be sent now, the most urgent first. */
  #waiting(...states: Open["state"][]): Open[] {
    const all = [...this.#open.values()];
    const waiting = all.filter(({ state }) => states.includes(state)).sort((a, b) => a.priority - b.priority);
    return waiting.slice(0, Math.max(0, SENT_MOST - all.length + waiting.length));
  }

  /**
   * The channel is there again; with `resumed` false, without what was open on it. What rode is on its
   * way if it was this tab that opened it.
   */
  channelOpened(resumed: boolean, opened = false): void {
    for (const request of [...this.#open.values()]) {
      if (request.state === "queued") continue;
      if (request.state === "riding") {
        if (opened) request.state = "sent";
        else this.#send(request);
      } else if (resumed) {
        // It may never have arrived. If it did, the server says that the id is in use.
        if (request.state === "sent") this.#send(request);
      } else if (request.state === "sent" || request.handler.restart) {
        request.handler.restart?.();
        this.host.ended(request.id);
        this.#open.delete(request.id);
        const again: Open = { ...request, id: `${this.prefix}${++this.#count}`, state: "queued" };
        this.#open.set(again.id, again);
      } else {
        this.#end(request.id)?.reject(
          new ProblemError(localProblem("interrupted", "The connection broke.", true)),
        );
      }
    }
    this.pump();
  }

  accepted(id: string): void {
    const request = this.#open.get(id);
    if (request) request.figures.acceptedMs = performance.now() - request.started;
  }

  row(id: string, resource: string, row: Row, bytes: number): void {
    const request = this.#open.get(id);
    if (!request) return;
    request.state = "heard";
    const { figures } = request;
    figures.firstRowMs ??= performance.now() - request.started;
    figures.rows++;
    figures.bytes += bytes;
    request.handler.row(row, resource, bytes);
  }

  done(event: DoneEvent): void {
    this.#end(event.request_id)?.resolve(event);
  }

  error(event: ErrorEvent): void {
    const { problem, request_id } = event;
    if (request_id !== undefined) {
      this.#end(request_id)?.reject(new ProblemError(problem));
    } else if (problem.status === 429 && problem.request_id !== undefined) {
      const request = this.#open.get(problem.request_id);
      if (!request) return;
      request.state = "queued";
      setTimeout(() => this.pump(), BUSY_MS);
    }
  }

  /** Nobody will answer any more. */
  fail(error: Error): void {
    for (const id of [...this.#open.keys()]) this.#end(id)?.reject(error);
  }

  #send(request: Open): void {
    request.state = "sent";
    this.host.opened(request.id);
    this.host.send({ type: "get", request_id: request.id, path: request.path, priority: request.priority });
  }

  #end(id: string): Open | undefined {
    const request = this.#open.get(id);
    this.#open.delete(id);
    this.host.ended(id);
    if (request) {
      request.figures.doneMs = performance.now() - request.started;
      this.host.figures(request.figures);
    }
    this.pump();
    return request;
  }
}
