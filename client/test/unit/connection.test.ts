/** What drives the machine: silence, and where the next attachment goes on. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Connection } from "../../src/connection.ts";
import type { State } from "../../src/machine.ts";

/** Time that passes when the test says so. */
let now = 0;
let timers: { at: number; then: () => void }[] = [];
const { setTimeout: realSet, clearTimeout: realClear } = globalThis;
beforeEach(() => {
  timers = [];
  const set = (then: () => void, ms = 0) => {
    const timer = { at: now + ms, then };
    timers.push(timer);
    return timer;
  };
  const clear = (timer: unknown) => void (timers = timers.filter((each) => each !== timer));
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
});
afterEach(() => void Object.assign(globalThis, { setTimeout: realSet, clearTimeout: realClear }));
function pass(ms: number): void {
  const until = now + ms;
  for (;;) {
    const next = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
    if (!next) break;
    timers = timers.filter((each) => each !== next);
    now = next.at;
    next.then();
  }
  now = until;
}

/** What has been started and needs no time. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A connection by Server-Sent Events whose server the test plays. */
function played(position: { sequence?: number; cursor?: string } = {}) {
  const urls: URL[] = [];
  const states: string[] = [];
  let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  const connection = new Connection(
    {
      base: "http://rowcast.test", channel: "c", token: "t", WebSocket: undefined, resources: undefined,
      vias: ["sse"], connectTimeoutMs: 8_000, position,
      fetch: async (url, { method = "GET" } = {}) => {
        if (method !== "GET") return new Response();
        urls.push(new URL(url));
        return new Response(new ReadableStream({ start: (to) => void (stream = to) }));
      },
    },
    { lines: () => {}, local: () => {}, first: () => [], state: ({ name, via }: State) => states.push(`${name}:${via}`) },
  );
  const say = async (...events: object[]) => {
    stream?.enqueue(new TextEncoder().encode(events.map((event) => `data:${JSON.stringify(event)}\n\n`).join("")));
    await settled();
  };
  return { connection, urls, states, say };
}
const open = (sequence: number) => ({ type: "open", channel_id: "c", sequence, resumed: true, cursor: "c1", version: 1, ping_seconds: 5 });

test("who hears nothing for twice the time between pings comes back after the last event, with the last cursor", async () => {
  const position: { sequence?: number; cursor?: string } = { cursor: "kept" };
  const { connection, urls, states, say } = played(position);
  connection.tell("start");
  for (let turn = 0; turn < 5; turn++) await settled();
  assert.deepEqual(states, ["connecting:ws", "connecting:sse"], "there is no WebSocket");
  assert.equal(urls[0]?.searchParams.get("since"), "kept");
  assert.equal(urls[0]?.searchParams.get("after"), null);
  await say(open(40));
  const change = { type: "change", op: "delete", resource: "t", id: 1, version: 2 };
  await say(change, { ...change, id: 2 });
  assert.equal(position.sequence, 42);
  // Each ping begins the time anew.
  for (let ping = 0; ping < 4; ping++) {
    pass(14_000);
    await say({ type: "ping", cursor: "c2", version: 3 });
  }
  assert.equal(states.at(-1), "open:sse");
  position.cursor = "c2";
  pass(14_999);
  assert.equal(states.at(-1), "open:sse");
  pass(1);
  assert.equal(states.at(-1), "waiting:sse");
  pass(250);
  for (let turn = 0; turn < 5; turn++) await settled();
  assert.equal(states.at(-1), "connecting:sse");
  assert.deepEqual([urls[1]?.searchParams.get("after"), urls[1]?.searchParams.get("since")], ["42", "c2"]);
  connection.close();
});

test("where no answer comes, the next transport is tried, and then again after a while", async () => {
  const { connection, states } = played();
  connection.tell("start");
  for (let turn = 0; turn < 5; turn++) await settled();
  pass(8_000);
  for (let turn = 0; turn < 5; turn++) await settled();
  // Long-poll is switched off here, and fails as if it were blocked.
  assert.deepEqual(states, ["connecting:ws", "connecting:sse", "connecting:poll", "waiting:ws"]);
  pass(500);
  assert.equal(states.at(-1), "connecting:ws");
  connection.close();
});
