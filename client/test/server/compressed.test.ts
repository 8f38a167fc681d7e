/** What Node's own fetch makes of compressed channels: it asks for gzip by itself, and rows come with each batch. */
import assert from "node:assert/strict";
import { type IncomingHttpHeaders, type IncomingMessage, type Server, createServer, request } from "node:http";
import { after, before, test } from "node:test";
import { keys, type Schema } from "../../demo/schema.ts";
import { createClient } from "../../src/index.ts";
import { Dev } from "../support/dev.ts";

/** Compressed bytes of a channel after which nothing more is let through until the first row was heard. */
const GATE_BYTES = 4_096;

/** An answer of the server's about a channel, on its way. */
interface Passed {
  accepted: string | undefined;
  headers: IncomingHttpHeaders;
  bytes: number;
}

/** Stands between client and server, and holds back what follows the first bytes of a channel. */
class Gate {
  readonly passed: Passed[] = [];
  open = () => {};
  held = 0;
  #opened = new Promise<void>((resolve) => (this.open = resolve));
  #server: Server;

  private constructor(private readonly target: string) {
    this.#server = createServer((asked, answer) => {
      const { method, headers } = asked;
      const pass = async (from: IncomingMessage) => {
        const passed: Passed = { accepted: headers["accept-encoding"] as string | undefined, headers: from.headers, bytes: 0 };
        const isChannel = method === "GET" && asked.url?.startsWith("/channels/");
        if (isChannel) this.passed.push(passed);
        // A long-poll's answer is one piece.
        const isWhole = from.headers["content-type"] === "application/json";
        if (isChannel && isWhole) await this.#hold();
        answer.writeHead(from.statusCode ?? 502, from.headers);
        for await (const piece of from as AsyncIterable<Buffer>) {
          if (isChannel && !isWhole) await this.#hold();
          passed.bytes += piece.length;
          answer.write(piece);
        }
        answer.end();
      };
      // Whoever leaves ends the other side too.
      const up = request(this.target + asked.url, { method, headers }, (from) => void pass(from).catch(() => answer.destroy()));
      up.on("error", () => answer.destroy());
      answer.on("close", () => up.destroy());
      asked.pipe(up);
    });
  }

  static async before(target: string): Promise<Gate> {
    const gate = new Gate(target);
    await new Promise<void>((resolve) => gate.#server.listen(0, "127.0.0.1", resolve));
    return gate;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  }

  get bytes(): number {
    return this.passed.reduce((sum, each) => sum + each.bytes, 0);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #hold(): Promise<void> {
    if (this.bytes < GATE_BYTES) return;
    this.held++;
    await this.#opened;
  }
}

let dev: Dev;
before(async () => void (dev = await Dev.start()));
after(() => dev.end());

const ROWS = 5_000;

for (const via of ["sse", "poll"] as const) {
  test(`by ${via}: Node's fetch asks for gzip, and rows come with each batch`, async () => {
    const gate = await Gate.before(dev.url);
    const client = createClient<Schema>({
      url: gate.url, token: dev.tokens[0] as string, keys, persist: false, shareTabs: false, transports: [via], connectTimeoutMs: 30_000,
    });
    let rows = 0;
    // Nothing but the first row opens the gate, and the end is behind it.
    for await (const _ of client.from("messages").order("id").limit(ROWS)) if (++rows === 1) gate.open();
    assert.equal(rows, ROWS);
    assert.ok(gate.held > 0, "there was more to come when the first row was heard");
    for (const { accepted } of gate.passed) assert.match(accepted ?? "", /gzip/);
    const packed = gate.passed.filter(({ headers }) => headers["content-encoding"] === "gzip");
    const plain = gate.passed.filter((each) => !packed.includes(each));
    assert.ok(packed.length >= (via === "sse" ? 1 : 2));
    for (const { bytes } of plain) assert.ok(bytes < 1_024, `${bytes} bytes are not compressed`);
    const { bytes: said } = client.figures.requests[0] as { bytes: number };
    assert.ok(gate.bytes * 3 < said, `${gate.bytes} bytes for ${said}`);
    await client.close();
    gate.close();
  });
}

test("by NDJSON: Node's fetch reads line by line what is compressed", async () => {
  const gate = await Gate.before(dev.url);
  const get = JSON.stringify([{ request_id: "r1", path: `/messages?order=id&limit=${ROWS}` }]);
  const stop = new AbortController();
  const answer = await fetch(`${gate.url}/channels/lines?get=${encodeURIComponent(get)}`, {
    headers: { Authorization: `Bearer ${dev.tokens[0]}`, Accept: "application/x-ndjson" },
    signal: stop.signal,
  });
  assert.equal(answer.headers.get("content-encoding"), "gzip");
  let text = "";
  let rows = 0;
  const reader = (answer.body as ReadableStream<BufferSource>).pipeThrough(new TextDecoderStream()).getReader();
  for (let done = false; !done;) {
    const { value, done: over } = await reader.read();
    assert.ok(!over, "the channel goes on");
    const lines = (text + value).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const { type } = JSON.parse(line) as { type: string };
      if (type === "row" && ++rows === 1) gate.open();
      done ||= type === "done";
    }
  }
  assert.equal(rows, ROWS);
  assert.ok(gate.held > 0, "there was more to come when the first row was heard");
  stop.abort();
  gate.close();
});
