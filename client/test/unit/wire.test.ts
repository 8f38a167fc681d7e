/** The examples in tests/wire, which the server's tests read as well. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import { Client } from "../../src/client.ts";
import { Requests } from "../../src/requests.ts";
import { type Command, type ServerEvent, sequenceAfter, typeOf } from "../../src/wire.ts";

const read = <T>(name: string) =>
  JSON.parse(readFileSync(join(process.env.ROWCAST_CLIENT ?? ".", "..", "tests", "wire", name), "utf8")) as Record<string, T>;
const events = read<ServerEvent>("events.json");
const commands = read<Command>("commands.json");
const line = (event: object) => JSON.stringify(event);

test("every event is known by the beginning of its line, and counted or not", () => {
  for (const event of Object.values(events)) assert.equal(typeOf(line(event)), event.type);
  const lines = Object.values(events).map(line);
  const { sequence } = events.open as { sequence: number };
  const uncounted = ["open", "ping", "close"];
  const counted = Object.values(events).filter((event) => !uncounted.includes(event.type)).length;
  assert.equal(sequenceAfter(lines, 5), sequence + counted);
});

/** A client whose channel says these lines, by Server-Sent Events. */
async function told(lines: object[]): Promise<{ client: Client; asked: string[] }> {
  const asked: string[] = [];
  const stream = (headers: object, text: string) =>
    new Response(new ReadableStream({ start: (to) => to.enqueue(new TextEncoder().encode(text)) }), headers);
  const client = new Client({
    url: "http://rowcast.test", token: "t", keys: { ticket_labels: ["ticket_id", "label_id"] },
    transports: ["sse"], shareTabs: false, indexedDB: new IDBFactory(),
    fetch: async (url) => {
      asked.push(url.replace("http://rowcast.test", ""));
      if (!url.includes("/channels/")) return new Response(null, { status: 202 });
      return stream({ status: 200 }, lines.map((each) => `data:${line(each)}\n\n`).join(""));
    },
  });
  const last = lines.length;
  let heard = 0;
  await new Promise<void>((resolve) => client.onEvent(() => void (++heard >= last && resolve())));
  return { client, asked };
}

test("what the examples say ends up in the store", async () => {
  const { open, insert, gone, ping } = events;
  const whole = events["update by several"];
  const label = { type: "change", op: "insert", resource: "ticket_labels", id: [42, 3], version: 759, row: { ticket_id: 42, label_id: 3 } };
  const early = { type: "change", op: "insert", resource: "tickets", id: 44, version: 700, row: { id: 44 } };
  const all = [open, label, early, insert, whole, events["delete of a composite key"], gone, ping] as object[];
  const { client } = await told(all);
  assert.deepEqual([...client.store.rows("tickets")], [
    ["43", { id: 43, subject: "New" }],
    ["42", { id: 42, subject: "Here it is" }],
  ]);
  assert.deepEqual([...client.store.rows("ticket_labels")], []);
  assert.equal(client.figures.version, 772);
  assert.equal(client.status.isCaughtUp, true);
  await client.close();
});

test("a reset discards what is below its version", async () => {
  const { open, insert } = events;
  const { client } = await told([open, insert, events["reset of a resource"]] as object[]);
  assert.deepEqual([...client.store.rows("tickets")], []);
  await client.close();
});

test("commands are those of the examples", () => {
  const said: Command[] = [];
  const requests = new Requests("r", {
    send: (command) => said.push(command), isOpen: () => true, opened: () => {}, ended: () => {}, figures: () => {},
  });
  const stop = new AbortController();
  const { path, priority } = commands.get as { path: string; priority: number };
  requests.ask(path, priority, { row: () => {} }, stop.signal).catch(() => {});
  stop.abort();
  assert.deepEqual(said, [commands.get, commands.cancel]);
});
