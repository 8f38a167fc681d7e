/** The compressed messages of tests/wire, which the server's tests read as well, unpacked as on a WebSocket. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { websocket } from "../../src/transport/websocket.ts";

/** The messages of one stream, in hexadecimal digits, with the lines of each. One without lines is broken. */
interface Example {
  messages: string[];
  lines: string[][];
  broken?: boolean;
}

const path = join(process.env.ROWCAST_CLIENT ?? ".", "..", "tests", "wire", "deflate.json");
const examples = JSON.parse(readFileSync(path, "utf8")) as Record<string, Example>;

/** A socket whose messages the test makes. */
class Socket {
  static last: Socket;
  binaryType = "";
  readyState = 1;
  closed = false;
  onmessage?: (message: { data: ArrayBuffer }) => void;
  onclose?: () => void;
  protocols: string[];
  constructor(_url: string, protocols: string[]) {
    this.protocols = protocols;
    Socket.last = this;
  }
  close() {
    if (this.closed) return;
    this.closed = true;
    queueMicrotask(() => this.onclose?.());
  }
}

/** What the transport makes of these messages, each given when the one before was heard. */
async function heard(example: Example): Promise<{ lines: string[][]; ended: string[]; bytes: number; closed: boolean }> {
  const lines: string[][] = [];
  const ended: string[] = [];
  let bytes = 0;
  let hear = () => {};
  const attach = {
    base: "http://rowcast.test", channel: "c", token: "t", urlOf: () => "http://rowcast.test/channels/c",
    fetch: async () => new Response(), problemOf: async () => ({ type: "", title: "", status: 0 }),
    WebSocket: Socket as unknown as typeof WebSocket,
  };
  const attached = websocket(attach, {
    lines: (text, size) => {
      lines.push(text.split("\n").filter((line) => line));
      bytes += size;
      hear();
    },
    local: () => assert.fail("nothing is said here"),
    ended: (why) => {
      ended.push(why);
      hear();
    },
  });
  const socket = Socket.last;
  assert.equal(socket.protocols[0], "rowcast.deflate");
  for (const message of example.messages) {
    const next = new Promise<void>((resolve) => (hear = resolve));
    const bytes = Uint8Array.from(message.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
    socket.onmessage?.({ data: bytes.buffer });
    await next;
  }
  const { closed } = socket;
  attached.close();
  return { lines, ended, bytes, closed };
}

for (const [name, example] of Object.entries(examples)) {
  test(`compressed messages: ${name}`, async () => {
    const { lines, ended, bytes, closed } = await heard(example);
    assert.deepEqual(lines, example.lines.filter((each) => each.length));
    // A stream that cannot be unpacked is as good as a lost one: the client comes back.
    assert.equal(closed, example.broken === true);
    assert.deepEqual(ended, example.broken ? ["lost"] : []);
    if (!example.broken) assert.equal(bytes, example.messages.join("").length / 2);
  });
}
