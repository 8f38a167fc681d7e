/**
 * A topic as an application holds it: what it says there and hears. The work is done in a file of its
 * own, which is loaded with the first topic.
 */
import type { Person, SignalEvent } from "./wire.ts";
import type { Room, RoomHost } from "./room.ts";

export interface TopicOptions {
  /** Encrypts what is sent with the key of the topic's row, and hears nothing that is not encrypted. */
  secret?: boolean;
  /** Takes rows that colleagues share for what the database has, and need not fetch them. */
  trust?: boolean;
  /** What the user says about themselves there, at most 1 KiB as JSON. */
  state?: unknown;
}

/** A signal as it was meant, decrypted where it was secret. */
export type Heard = Pick<SignalEvent, "topic" | "name" | "from" | "action_id" | "data">;

export class Topic {
  /** Who is there. A new array whenever that changes. */
  presence: readonly Person[] = [];
  /** How many, also where they are too many to be told one by one. */
  count = 0;
  /** @internal */
  readonly heardBy = new Map<string, Set<(heard: Heard) => void>>();
  #room: Promise<Room>;

  /** @internal */
  constructor(
    host: RoomHost,
    readonly name: string,
    readonly options: TopicOptions,
  ) {
    this.#room = import("./room.ts").then(({ Room }) => new Room(host, this));
  }

  /** Calls back for each signal of this name; `presence`, when somebody has come or gone; `void`, when what was announced did not happen; `lost`, when the row is not there any more for this user. */
  on(name: string, listener: (heard: Heard) => void): () => void {
    const listeners = this.heardBy.get(name) ?? new Set();
    this.heardBy.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Tells everybody else on the topic; with an action, announces the write of that id. */
  async send(name: string, data?: unknown, action?: string): Promise<void> {
    return (await this.#room).send(name, data, action);
  }

  /** Inserts a row that the others see before it is stored, and see go if it is not. */
  async insert(resource: string, values: object): Promise<object> {
    return (await this.#room).insert(resource, values);
  }

  /** Says something else about the user. */
  async say(state: unknown): Promise<void> {
    return (await this.#room).join(state);
  }

  /** Leaves. */
  async close(): Promise<void> {
    return (await this.#room).close();
  }
}
