/** Tabs that share one connection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import type { Heard } from "../../src/topic.ts";
import { installLocks } from "../support/locks.ts";
import { Played } from "../support/server.ts";

installLocks();
let origins = 0;

/** Tabs of one browser, the first of which leads; what each hears on its topic. */
async function tabs(count: number): Promise<{ all: Played[]; heard: string[][]; topics: ReturnType<Played["client"]["topic"]>[] }> {
  const shared = { url: "http://rowcast.test", shareTabs: true, indexedDB: new IDBFactory(), identity: `tabs-${++origins}` };
  const all: Played[] = [];
  for (let tab = 0; tab < count; tab++) {
    const played = new Played(shared);
    all.push(played);
    if (tab === 0) await played.open();
    await played.until("it is there", () => played.client.status.state === "open");
  }
  assert.deepEqual(all.map(({ client }) => client.status.isLeader), all.map((_, tab) => tab === 0));
  const heard: string[][] = all.map(() => []);
  const topics = all.map(({ client }) => client.topic("tickets/42"));
  const tell = (tab: number) => (it: Heard) => heard[tab]?.push(`${it.name} ${it.data ?? it.action_id} ${it.from?.user ?? ""}`.trim());
  for (const [tab, topic] of topics.entries()) for (const name of ["typing", "void"]) topic.on(name, tell(tab));
  const joins = () => all[0]?.asked.filter(({ method }) => method === "PUT").length;
  await all[0]?.until("all have joined", () => joins() === count);
  return { all, heard, topics };
}

const close = (all: Played[]) => Promise.all([...all].reverse().map(({ client }) => client.close()));

test("what one tab says the others hear, in its order, and it does not; the server hears it once", async () => {
  const { all, heard, topics } = await tabs(3);
  const [leader] = all as [Played];
  const signals = () => leader.asked.filter(({ path }) => path === "/signals").map(({ body }) => (body as { data: number }).data);
  const numbers = [1, 2, 3, 4, 5];
  for (const number of numbers) await topics[1]?.send("typing", number);
  const told = numbers.map((number) => `typing ${number} 7`);
  await leader.until("the others heard", () => heard[0]?.length === 5 && heard[2]?.length === 5);
  assert.deepEqual(heard, [told, [], told]);
  // The leader's own, and other topics'.
  await topics[0]?.send("typing", 6);
  await all[2]?.client.topic("tickets/43").send("typing", 7);
  await topics[2]?.send("typing", 8);
  await leader.until("the second heard both", () => heard[1]?.length === 2 && signals().length === 8);
  assert.deepEqual(heard, [[...told, "typing 8 7"], ["typing 6 7", "typing 8 7"], [...told, "typing 6 7"]]);
  assert.deepEqual(signals(), [...numbers, 6, 7, 8]);
  await close(all);
});

test("what one tab announces the others draw, and take back when it is refused", async () => {
  const { all, heard, topics } = await tabs(2);
  const rows = (tab: number) => [...(all[tab]?.client.store.rows("comments") ?? [])].map(([, row]) => row.body);
  let refuse = () => {};
  const refused = new Promise<void>((resolve) => (refuse = resolve));
  const problem = { type: "check-violation", title: "No", status: 400 };
  for (const played of all) {
    const { fetch } = played.client.options;
    (played.client as { http: typeof played.client.http }).http = async (url, init) => {
      if (!url.endsWith("/comments")) return (fetch as typeof globalThis.fetch)(url, init);
      await refused;
      return Response.json(problem, { status: 400, headers: { "Content-Type": "application/problem+json" } });
    };
  }
  const done = topics[1]?.insert("comments", { ticket_id: 42, body: "soon" });
  const failed = assert.rejects(done as Promise<object>, /No/);
  await all[0]?.until("it is drawn", () => rows(0).length === 1 && rows(1).length === 1);
  refuse();
  await failed;
  await all[0]?.until("it is taken back", () => heard[0]?.length === 1 && rows(0).length === 0);
  assert.deepEqual(rows(1), []);
  assert.match(heard[0]?.[0] ?? "", /^void \w+$/);
  assert.deepEqual(heard[1], [], "who made it hears of it by its answer");
  await close(all);
});

test("what several tabs write offline is sent once, in the order in which it was made, by one at a time", async () => {
  const { all } = await tabs(3);
  const sent: string[] = [];
  let running = 0;
  for (const played of all) {
    const { fetch } = played.client.options;
    (played.client as { http: typeof played.client.http }).http = async (url, init) => {
      if (init?.method !== "PATCH") return (fetch as typeof globalThis.fetch)(url, init);
      assert.equal(++running, 1, "one at a time");
      await new Promise((resolve) => setTimeout(resolve, 2));
      const row = { id: Number(url.split("/").at(-1)), ...(JSON.parse(init.body as string) as object) };
      sent.push((row as unknown as { subject: string }).subject);
      running--;
      return Response.json(row, { headers: { Version: String(10 + sent.length) } });
    };
  }
  for (const { client } of all) client.setOnline(false);
  const made: string[] = [];
  const done: Promise<unknown>[] = [];
  for (let turn = 0; turn < 9; turn++) {
    const { client } = all[turn % 3] as Played;
    made.push(`write ${turn}`);
    done.push(client.update("tickets", turn % 2, { subject: `write ${turn}` }));
    // All tabs draw it, before the next one writes.
    await all[0]?.until("it is drawn", () => all.every(({ client }) => client.status.pending === turn + 1));
  }
  for (const { client } of all) client.setOnline(true);
  await Promise.all(done);
  assert.deepEqual(sent, made);
  await all[0]?.until("nothing waits", () => all.every(({ client }) => client.status.pending === 0));
  await close(all);
});
