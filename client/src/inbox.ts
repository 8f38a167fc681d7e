/**
 * What the channel says, handed to those whom it concerns: rows and changes to the store, ends to the
 * requests, the cursor to what is kept. Knows no sockets and no tabs.
 */
import type { Figures } from "./options.ts";
import type { Persist } from "./persist.ts";
import type { Queries } from "./queries.ts";
import { type Requests } from "./requests.ts";
import { type Store, keyText } from "./store.ts";
import type { ChangeEvent, OpenEvent, Row, ServerEvent } from "./wire.ts";
import type { Writes } from "./writes.ts";

export interface InboxHost {
  readonly store: Store;
  readonly persist: Persist;
  readonly figures: Figures;
  readonly requests: Requests;
  readonly queries: Queries;
  /** The queue of writes, where there is one. */
  readonly writes: Writes | undefined;
  /** Rows that colleagues will share, by action. */
  readonly shared: ReadonlyMap<string, Promise<Row | undefined>>;
  /** Where the channel is, and whether this tab is the one that has it. */
  readonly link: { isLeader: boolean; readonly position: { sequence?: number | undefined; cursor?: string | undefined } } | undefined;
  /** The channel is there; what was missed is still to come. */
  attached(): void;
  /** Everything up to the cursor has been applied. */
  caughtUp(): void;
  event(event: ServerEvent): void;
}

const KNOWN_MOST = 1_000;
const ROW_OF = '{"type":"row","request_id":"';

export class Inbox {
  /** Resources and actions whose rows are here already, by an answer; the last few. */
  readonly known = new Set<string>();
  #attached = false;
  /** Rows of which only the keys were told. */
  #noticed: ChangeEvent[] = [];
  #fetching = false;
  #told: string | undefined;

  constructor(private readonly host: InboxHost) {}

  /** Lines of events, which are one batch. */
  lines(text: string, bytes: number): void {
    const { figures, link, persist, requests, store } = this.host;
    figures.bytesReceived += bytes;
    persist.arriving(link?.position.sequence ?? 0);
    store.batch(() => {
      for (const line of text.split("\n")) {
        const trimmed = line.trimStart();
        // Rows of other tabs' requests are the leader's to keep, and of no use to the rest.
        const foreign = trimmed.startsWith(ROW_OF) && !trimmed.startsWith(requests.prefix, ROW_OF.length);
        if (trimmed && (link?.isLeader || !foreign)) this.#apply(JSON.parse(trimmed) as ServerEvent, trimmed.length);
      }
    });
  }

  /** An event that did not come over the channel. */
  local(event: ServerEvent | { type: "accepted"; request_id: string }): void {
    if (event.type === "accepted") this.host.requests.accepted(event.request_id);
    else this.host.store.batch(() => this.#apply(event, 0));
  }

  #apply(event: ServerEvent, bytes: number): void {
    const { figures, persist, queries, requests, store } = this.host;
    if ("version" in event) figures.version = Math.max(figures.version, event.version ?? 0);
    switch (event.type) {
      case "open":
        this.#opened(event);
        break;
      case "row":
        figures.rows++;
        if (!event.partial) store.row(event.resource, event.version, event.row, bytes);
        return requests.row(event.request_id, event.resource, event.row, bytes);
      case "done":
        requests.done(event);
        return store.requestEnded(event.request_id);
      case "error":
        if (event.request_id !== undefined) store.requestEnded(event.request_id);
        requests.error(event);
        break;
      case "change":
        this.#change(event, bytes);
        break;
      case "reset":
        // What this tab did itself it knows by the answers.
        if (event.action_ids?.every((action) => this.#knows(action, event.resource))) break;
        figures.resets++;
        persist.reset(event.resource);
        queries.reset(event.resource);
        store.reset(event.resource, event.version);
        break;
      case "ping":
        this.#cursor(event.cursor);
    }
    this.host.event(event);
  }

  #opened({ cursor, resumed }: OpenEvent): void {
    this.host.attached();
    // The transport hands the event on before the state is told.
    setTimeout(() => this.host.requests.channelOpened(resumed, this.host.link?.isLeader), 0);
    // With `since` the first cursor is the one that was brought along, and the replay follows; its end
    // is told by another.
    const replays = cursor === this.host.link?.position.cursor && (!this.#attached || !resumed);
    this.#attached = true;
    if (!replays) this.#cursor(cursor);
  }

  #change(event: ChangeEvent, bytes: number): void {
    const { figures, store, writes } = this.host;
    figures.changes++;
    store.change(event, bytes);
    const { action_id: action = "", op, row } = event;
    if (row || op === "delete" || op === "gone") {
      for (const each of [action, ...(event.action_ids ?? [])]) if (each) writes?.confirmed(each);
    } else if (!this.#knows(action, event.resource)) {
      this.#noticed.push(event);
    }
    this.#cursor(event.cursor);
  }

  /** Remembers an action whose row is here. */
  knows(action: string, resource: string): void {
    if (this.known.size > KNOWN_MOST) this.known.clear();
    this.known.add(resource + action);
  }

  /** Whether what an action did to a resource is here, or comes with its answer. */
  #knows(action: string, resource: string | undefined): boolean | undefined {
    return this.known.has(resource + action) || this.host.writes?.awaits(action, resource);
  }

  /** Everything up to this state has been applied. */
  #cursor(cursor: string | undefined): void {
    const { link, persist } = this.host;
    if (cursor === undefined || !link) return;
    this.#told = cursor;
    // Until the rows are here, the state is the one before: one fetch at a time, of all that has come.
    if (this.#fetching) return;
    if (this.#noticed.length) return void this.#fetch(cursor);
    link.position.cursor = cursor;
    persist.reached(cursor);
    this.host.caughtUp();
  }

  async #fetch(at: string): Promise<void> {
    const { link, queries } = this.host;
    const noticed = this.#noticed;
    this.#noticed = [];
    this.#fetching = true;
    try {
      await (await import("./notices.ts")).fetchNoticed(noticed, this.host, keyText);
    } catch {
      queries.reset(undefined);
    }
    this.#fetching = false;
    if (link) link.position.cursor = at;
    this.#cursor(this.#told);
  }
}
