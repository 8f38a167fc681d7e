/**
 * What a topic does: takes part, tells and hears, keeps who is there, and draws what was announced
 * until the change confirms it or a `void` takes it back. Loaded with the first topic.
 */
import type { Secrets } from "./secrets.ts";
import type { Store } from "./store.ts";
import type { Heard, Topic } from "./topic.ts";
import type { Command, Key, Person, Row, ServerEvent, SignalEvent } from "./wire.ts";

/** What a room needs of the client. */
export interface RoomHost {
  readonly store: Store;
  readonly status: { readonly state: string };
  readonly link: {
    send(command: Command): void;
    /** To the other tabs that share the connection. */
    broadcast(word: { told: SignalEvent }): void;
    token(): Promise<string | null>;
    readonly channel: string;
  } | undefined;
  /** Rows that colleagues will share, by the action that makes them. */
  readonly shared: Map<string, Promise<Row | undefined>>;
  onEvent(listener: (event: ServerEvent) => void): () => void;
  /** Calls the server as the user. */
  call(path: string): Promise<Response>;
  /** The user, as signals name the sender, if the application says so. */
  readonly options: { readonly user?: string };
  insert(resource: string, values: object, how: { action: string }): Promise<object>;
}

/** Signals of our own, beside those of the application. */
const DRAW = "rowcast.draw";
const ROW = "rowcast.row";
/** Longer than a server waits for a commit before it says `void`. */
const DRAWN_MS = 15_000;
const DONE_MOST = 1_000;
/** How long a change waits for a row that somebody said to share. */
const SHARED_MS = 400;

interface Drawn {
  readonly resource: string;
  readonly key: string;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class Room {
  #people = new Map<string, Person>();
  #drawn = new Map<string, Drawn>();
  /** Actions whose changes have come, lest a late signal draws them again; the last few. */
  #done = new Set<string>();
  #rows = new Map<string, (row: Row | undefined) => void>();
  #secrets: Promise<Secrets> | undefined;
  /** What was heard is handed on in its order, whatever decrypting takes. */
  #order: Promise<void> = Promise.resolve();
  /** So is what this side says, to the other tabs. */
  #said: Promise<void> = Promise.resolve();
  #state: unknown;
  #unlisten: () => void;

  constructor(
    private readonly host: RoomHost,
    private readonly topic: Topic,
  ) {
    this.#state = topic.options.state;
    this.#unlisten = host.onEvent((event) => this.#heard(event));
    if (topic.options.secret) {
      this.#secrets = import("./secrets.ts").then(({ Secrets }) => new Secrets((id) => this.#key(id)));
    }
    this.join(this.#state);
  }

  join(state: unknown): void {
    this.#state = state;
    if (this.host.status.state !== "open") return;
    this.host.link?.send({ type: "join", topic: this.topic.name, ...(state === undefined ? {} : { state }) });
  }

  async send(name: string, data: unknown, action?: string): Promise<void> {
    const { topic, host } = this;
    const about = { topic: topic.name, name, ...(action === undefined ? {} : { action_id: action }) };
    const fromHere = async () => ({ user: await this.#user(), channel: host.link?.channel ?? "" });
    if (this.#secrets) data = await (await this.#secrets).seal({ ...about, from: await fromHere() }, data);
    const signal = { type: "signal" as const, ...about, ...(data === undefined ? {} : { data }) };
    host.link?.send(signal);
    // The server tells all other channels. Tabs that share this one hear it from here.
    this.#said = this.#said.then(async () => host.link?.broadcast({ told: { ...signal, from: await fromHere() } })).catch(() => undefined);
  }

  /** Announces a row, then writes it, then shares it as it was stored. */
  async insert(resource: string, values: object): Promise<object> {
    const action = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => (byte & 31).toString(32)).join("");
    const done = this.host.insert(resource, values, { action });
    // Where this fails, the change tells the others.
    const [row] = await Promise.all([done, this.send(DRAW, { resource, values }, action).catch(() => undefined)]);
    if (this.topic.options.trust) await this.send(ROW, { action, row }).catch(() => undefined);
    return row;
  }

  close(): void {
    this.#unlisten();
    this.#takeBack();
    if (this.host.status.state === "open") this.host.link?.send({ type: "leave", topic: this.topic.name });
  }

  #heard(event: ServerEvent): void {
    switch (event.type) {
      case "open":
        // What would end what is drawn may be lost with the channel.
        if (!event.resumed) this.#takeBack();
        // A channel that goes on is still on its topics.
        if (event.resumed && this.#people.size) return;
        this.#people.clear();
        // The state is told behind the event.
        setTimeout(() => this.join(this.#state), 0);
        return;
      case "presence":
        if (event.topic === this.topic.name) this.#present(event.joined as Person[], event.left as Person[], event.count);
        return;
      case "signal":
        if (event.topic === this.topic.name) this.#order = this.#order.then(() => this.#signal(event)).catch(() => undefined);
        return;
      case "key":
        if (event.topic === this.topic.name) void this.#secrets?.then((secrets) => secrets.outdated());
        return;
      case "void":
        this.#order = this.#order.then(() => {
          this.#rows.get(event.action_id)?.(undefined);
          if (this.#undraw(event.action_id)) this.#tell({ topic: this.topic.name, name: "void", action_id: event.action_id });
        });
        return;
      case "change":
        for (const action of [event.action_id, ...(event.action_ids ?? [])]) {
          if (!action) continue;
          this.#undraw(action);
          if (this.#done.size >= DONE_MOST) this.#done.clear();
          this.#done.add(action);
        }
        return;
      case "reset":
        // What confirms them is among what is fetched now, or known.
        if (event.action_ids) for (const action of event.action_ids) this.#undraw(action);
        else this.#takeBack(event.resource);
        return;
      case "error":
        // Signals of the server's own were among them, perhaps.
        if (event.problem.type.endsWith("signals-lost")) this.#takeBack();
        if (event.problem.type.endsWith("topic-lost") && event.problem.detail?.includes(` ${this.topic.name} `)) {
          this.#present([], [...this.#people.values()]);
          this.#tell({ topic: this.topic.name, name: "lost" });
        }
    }
  }

  async #signal(event: SignalEvent): Promise<void> {
    let heard: Heard = event;
    if (this.#secrets) {
      const from = event.from ?? { user: "" };
      const opened = await (await this.#secrets).open({ ...event, from });
      if (!opened) return;
      heard = { ...event, data: opened.data };
    }
    if (heard.name === DRAW && heard.action_id) this.#draw(heard.action_id, heard.data as { resource: string; values: Row });
    else if (heard.name === ROW && this.topic.options.trust) {
      const { action, row } = heard.data as { action: string; row: Row };
      this.#rows.get(action)?.(row);
    }
    this.#tell(heard);
  }

  #draw(action: string, { resource, values }: { resource: string; values: Row }): void {
    const key = `~${action}`;
    const column = this.host.store.keyColumns(resource)[0] ?? "id";
    const row = { [column]: key, ...values };
    if (this.#done.has(action)) return;
    this.#undraw(action);
    const timer = setTimeout(() => this.#undraw(action), DRAWN_MS);
    (timer as { unref?: () => void }).unref?.();
    this.#drawn.set(action, { resource, key, timer });
    this.host.store.draw(resource, key, { action, draw: (under) => under ?? row });
    if (this.topic.options.trust) this.#expect(action);
  }

  /** A colleague has said to share the row: whoever hears of it by its key alone may wait for it. */
  #expect(action: string): void {
    const { shared } = this.host;
    shared.set(action, new Promise((resolve) => this.#rows.set(action, resolve)));
    const forget = setTimeout(() => {
      this.#rows.get(action)?.(undefined);
      this.#rows.delete(action);
      shared.delete(action);
    }, DRAWN_MS);
    (forget as { unref?: () => void }).unref?.();
  }

  /** What is drawn, of a resource or altogether, is not shown any more. */
  #takeBack(resource?: string): void {
    for (const [action, drawn] of [...this.#drawn]) if (!resource || drawn.resource === resource) this.#undraw(action);
  }

  #undraw(action: string): boolean {
    const drawn = this.#drawn.get(action);
    if (!drawn) return false;
    clearTimeout(drawn.timer);
    this.#drawn.delete(action);
    this.host.store.undraw(drawn.resource, drawn.key, action);
    return true;
  }

  #present(joined: readonly Person[] = [], left: readonly Person[] = [], count?: number): void {
    if (count !== undefined) this.#people.clear();
    for (const { user } of left) this.#people.delete(user);
    for (const person of joined) this.#people.set(person.user, person);
    this.topic.presence = [...this.#people.values()];
    this.topic.count = count ?? this.#people.size;
    this.#tell({ topic: this.topic.name, name: "presence" });
  }

  #tell(heard: Heard): void {
    for (const listener of [...(this.topic.heardBy.get(heard.name) ?? [])]) listener(heard);
  }

  async #user(): Promise<string> {
    const { options, link } = this.host;
    return options.user ?? subjectOf((await link?.token()) ?? "");
  }

  async #key(id?: string): Promise<{ key_id: string; key: string } | undefined> {
    const answer = await this.host.call(`/${this.topic.name}/key${id === undefined ? "" : `?id=${encodeURIComponent(id)}`}`);
    if (answer.ok) return (await answer.json()) as { key_id: string; key: string };
    if (answer.status === 404 || answer.status === 400) return undefined;
    throw new Error(`The server answered ${answer.status}.`);
  }
}

/** Whom a token names. Nothing is verified here. */
function subjectOf(token: string): string {
  const part = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
  const json = new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0)));
  return String((JSON.parse(json || "{}") as { sub?: unknown }).sub);
}

/** The rows that colleagues have shared of what was announced by its key, and what is left to fetch. */
export async function sharedRows(
  shared: ReadonlyMap<string, Promise<Row | undefined>>, noticed: readonly { resource: string; id: Key; version: number; action_id?: string }[], store: Store,
): Promise<Set<unknown>> {
  const here = new Set<unknown>();
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, SHARED_MS, undefined));
  await Promise.all(noticed.map(async (event) => {
    const promise = event.action_id === undefined ? undefined : shared.get(event.action_id);
    const row = promise && (await Promise.race([promise, late]));
    if (!row || store.keyOf(event.resource, row) !== String(event.id)) return;
    store.row(event.resource, event.version, row);
    here.add(event);
  }));
  return here;
}
