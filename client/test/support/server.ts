/** A client whose server is played by the test: what the channel says, and what is asked. */
import { IDBFactory } from "fake-indexeddb";
import { Client } from "../../src/client.ts";
import type { Options } from "../../src/options.ts";
import type { ServerEvent } from "../../src/wire.ts";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly id: string | undefined;
  readonly body: unknown;
}

export class Played {
  readonly asked: Asked[] = [];
  readonly client: Client;
  /** Answers what is not the channel; 202 where it says nothing. */
  answer: (asked: Asked) => Response | undefined = () => undefined;
  #stream!: ReadableStreamDefaultController<Uint8Array>;
  #waits: (() => void)[] = [];
  #attached: Promise<void>;

  constructor(options: Partial<Options> = {}) {
    let attached = () => {};
    this.#attached = new Promise((resolve) => (attached = resolve));
    const claims = btoa(JSON.stringify({ org: 1, sub: 7 })).replace(/=+$/, "");
    this.client = new Client({
      url: "http://rowcast.test", token: `x.${claims}.y`, transports: ["sse"], shareTabs: false, indexedDB: new IDBFactory(),
      ...options,
      fetch: async (url, init = {}) => {
        const path = url.replace("http://rowcast.test", "");
        const headers = new Headers(init.headers);
        const method = init.method ?? "GET";
        if (method === "GET" && path.startsWith("/channels/")) {
          // What is asked for along with the attaching.
          const along = JSON.parse(new URL(url).searchParams.get("get") ?? "[]") as { request_id: string; path: string }[];
          for (const { request_id: id, path } of along) this.asked.push({ method, path, id, body: undefined });
          return new Response(new ReadableStream({
            start: (to) => {
              this.#stream = to;
              attached();
            },
          }), { status: 200 });
        }
        const body = init.body === undefined || init.body === null ? undefined : JSON.parse(init.body as string) as unknown;
        const asked = { method, path, id: headers.get("request-id") ?? undefined, body };
        if (!path.endsWith("/ack")) this.asked.push(asked);
        for (const wake of this.#waits.splice(0)) wake();
        return this.answer(asked) ?? new Response(null, { status: 202 });
      },
    });
  }

  /** The channel says this. */
  async say(...events: (ServerEvent | object)[]): Promise<void> {
    await this.#attached;
    const text = events.map((event) => `data:${JSON.stringify(event)}\n\n`).join("");
    this.#stream.enqueue(new TextEncoder().encode(text));
  }

  async open(cursor = "c0"): Promise<void> {
    await this.say({ type: "open", channel_id: "c", sequence: 1, resumed: false, cursor, version: 1 });
  }

  /** Waits until this holds, looking whenever something is asked or heard. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const stop = Date.now() + 10_000;
    while (!holds()) {
      if (Date.now() > stop) throw new Error(`${what}: ${JSON.stringify(this.asked)}`);
      await Promise.race([
        new Promise<void>((resolve) => this.#waits.push(resolve)),
        new Promise((resolve) => setTimeout(resolve, 10)),
      ]);
    }
  }

  /** The GETs of rows so far. */
  get gets(): Asked[] {
    return this.asked.filter((it) => it.method === "GET" && it.id !== undefined);
  }
}
