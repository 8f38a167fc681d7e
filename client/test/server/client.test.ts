/** The client in Node against a real server with a real PostgreSQL. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
// @ts-expect-error: its types would be one more dependency, and the browser's are what is needed.
import WebSocket from "ws";
import { keys, type Schema } from "../../demo/schema.ts";
import { matches, compareRows } from "../../src/filter.ts";
import { type Client, ConflictError, type Options, ProblemError, createClient } from "../../src/index.ts";
import type { Query } from "../../src/query.ts";
import { Dev, until } from "../support/dev.ts";

let dev: Dev;
const clients: Client<Schema>[] = [];
before(async () => void (dev = await Dev.start()));
after(async () => {
  for (const client of clients) await client.close();
  await dev.end();
});

function connect(options: Partial<Options> = {}): Client<Schema> {
  const client = createClient<Schema>({
    url: dev.url, token: dev.tokens[0] as string, keys, persist: false, shareTabs: false,
    WebSocket: WebSocket as unknown as NonNullable<Options["WebSocket"]>, connectTimeoutMs: 3_000, ...options,
  });
  clients.push(client);
  return client;
}
const rowsOf = (path: string, token?: string) => dev.call("GET", path, undefined, token) as Promise<{ id: number }[]>;
const ids = (rows: readonly object[]) => rows.map((row) => (row as { id: number }).id);

test("rows stream, and whoever leaves early cancels", async () => {
  const client = connect();
  const all = await client.from("tickets").order("id");
  assert.equal(all.length, (await rowsOf("/tickets?select=id")).length);
  let seen = 0;
  for await (const ticket of client.from("tickets").order("id")) {
    assert.equal(ticket.id, all[seen]?.id);
    if (++seen === 7) break;
  }
  const stop = new AbortController();
  const rows = client.from("messages").signal(stop.signal).then(() => "all", (error: unknown) => (error as Error).name);
  stop.abort();
  assert.equal(await rows, "AbortError");
  await assert.rejects(async () => await client.from("tickets").eq("no_such_column", 1), ProblemError);
});

for (const via of ["ws", "sse", "poll"] as const) {
  test(`by ${via}: a live query follows writes, and writes of others`, async () => {
    const client = connect({ transports: [via] });
    const live = client.from("tickets").eq("status", "open").order("updated_at", { descending: true }).limit(10).live();
    await live.ready;
    assert.equal(client.status.via, via);
    assert.deepEqual(ids(live.rows), ids(await rowsOf("/tickets?status=eq.open&order=updated_at.desc,id&limit=10")));
    const last = live.rows[9] as { id: number; priority: string };
    const priority = last.priority === "low" ? "high" : "low";
    const drawn = client.update("tickets", last.id, { priority });
    await until("it is drawn", () => client.get("tickets", last.id)?.priority === priority, 100);
    assert.equal((await drawn)?.priority, priority);
    await until("it comes first", () => live.rows[0]?.id === last.id);
    const other = live.rows[5]?.id as number;
    await dev.call("PATCH", `/tickets/${other}`, { status: "pending" });
    await until("it leaves, and the next one enters", () => !ids(live.rows).includes(other) && live.rows.length === 10);
    assert.deepEqual(ids(live.rows), ids(await rowsOf("/tickets?status=eq.open&order=updated_at.desc,id&limit=10")));
    live.close();
  });
}

test("the package works as it is built", async () => {
  const built = (await import(`${process.env.ROWCAST_CLIENT}/dist/index.js`)) as { createClient: typeof createClient };
  for (const transports of [["ws"], ["sse"]] as const) {
    const indexedDB = new IDBFactory();
    const client = built.createClient<Schema>({
      url: dev.url, token: dev.tokens[0] as string, keys, shareTabs: false, indexedDB, transports,
      WebSocket: WebSocket as unknown as NonNullable<Options["WebSocket"]>, connectTimeoutMs: 3_000,
    });
    const live = client.from("tickets").in("id", [21, 22, 23]).order("id").live();
    await live.ready;
    const subject = `Built ${transports[0]}`;
    assert.equal((await client.update("tickets", 22, { subject }))?.subject, subject);
    assert.equal(live.rows[1]?.subject, subject);
    await client.prefetch(client.from("messages").in("ticket_id", [21, 22]));
    const asked = client.figures.requests.length;
    const messages = client.from("messages").eq("ticket_id", 22).live();
    await messages.ready;
    assert.ok(messages.rows.length > 0);
    assert.equal(client.figures.requests.length, asked);
    assert.equal((await client.load("contacts", 4))?.id, 4);
    await client.logout();
  }
});

test("what is evaluated here is what the server answers", async () => {
  const client = connect();
  const tickets = await client.from("tickets").order("id");
  const base = client.from("tickets");
  const queries: Query<Schema["tickets"]["Row"]>[] = [
    base.neq("status", "open").gt("id", 30).lte("id", 900),
    base.in("priority", ["high", "urgent"]).gte("updated_at", "2026-03-01"),
    base.is("assignee_id", null),
    base.eq("private", false).lt("updated_at", "2026-02-01T12:00:00+02:00"),
    base.in("id", [1, 5, 9, 99999]).order("subject", { descending: true }),
    base.eq("status", "open").order("assignee_id", { nulls: "first" }).order("updated_at"),
    base.eq("status", "open").order("assignee_id", { descending: true }).order("priority"),
  ];
  for (const query of queries) {
    const key = [{ column: "id", descending: false }];
    const asked = await (query.spec.orders.length ? query.order("id") : query.order("id"));
    const here = tickets.filter((row) => matches(query.spec.filters, row));
    here.sort((a, b) => compareRows([...query.spec.orders, ...key], a, b));
    assert.deepEqual(ids(here), ids(asked), String(query));
  }
});

test("a refused write is taken back, with the problem", async () => {
  const client = connect();
  await client.load("tickets", 3);
  const before = client.get("tickets", 3)?.priority;
  const refused = client.update("tickets", 3, { priority: "never" });
  refused.catch(() => {});
  await until("it is drawn", () => client.get("tickets", 3)?.priority === "never", 100);
  await assert.rejects(refused, (error: ProblemError) => error.problem.code === "23514");
  assert.equal(client.get("tickets", 3)?.priority, before);
});

test("another organization sees nothing", async () => {
  const mine = connect();
  const theirs = connect({ token: dev.tokens[2] as string });
  const live = theirs.from("tickets").live();
  await live.ready;
  const before = theirs.figures.changes;
  assert.ok(live.rows.every((row) => row.organization_id === 2));
  assert.equal(await theirs.load("tickets", 1), undefined);
  await mine.update("tickets", 1, { priority: "urgent" });
  const own = live.rows[0] as { id: number };
  await theirs.update("tickets", own.id, { priority: "urgent" });
  await until("its own change comes", () => theirs.figures.changes > before);
  assert.equal(theirs.figures.changes, before + 1);
});

test("a token that ends is renewed on the open connection", async () => {
  let given = 0;
  let attached = 0;
  const client = connect({ token: () => (given++, dev.token(given < 3 ? 2 : 600)) });
  client.onEvent((event) => event.type === "open" && attached++);
  await until("the third is there", () => given >= 3);
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  assert.equal(client.status.state, "open");
  assert.equal(attached, 1, "nothing was interrupted");
  assert.ok((await client.from("labels")).length > 0);
  const refused = connect({ token: "none" });
  await until("it has stopped", () => refused.status.state === "stopped");
});

test("offline writes are drawn, run once and in order, and refer to each other", async () => {
  const client = connect();
  const ticket = (await client.load("tickets", 5)) as Schema["tickets"]["Row"];
  await until("it is caught up", () => client.status.isCaughtUp);
  client.setOnline(false);
  const made = client.insert("tickets", { subject: "Made on a train" });
  const words = client.insert("messages", { ticket_id: made.key, body: "Hello" });
  const second = client.update("tickets", ticket.id, { subject: "First" });
  const third = client.update("tickets", ticket.id, { subject: "Second" });
  await until("all are drawn", () => client.status.pending === 4);
  assert.equal(client.get("tickets", made.key)?.subject, "Made on a train");
  assert.equal(client.get("tickets", ticket.id)?.subject, "Second");
  client.setOnline(true);
  const [row, message] = await Promise.all([made, words, second, third]);
  assert.equal(message.ticket_id, row.id);
  assert.equal(client.status.pending, 0);
  assert.equal(client.get("tickets", made.key), undefined, "the stand-in is gone");
  assert.deepEqual(await rowsOf(`/tickets?id=eq.${row.id}&select=id`), [{ id: row.id }]);
  assert.equal(((await rowsOf(`/tickets?id=eq.${ticket.id}`)) as unknown as { subject: string }[])[0]?.subject, "Second");
});

test("a conflict is told with both versions", async () => {
  const client = connect();
  await client.load("tickets", 8);
  await until("it is caught up", () => client.status.isCaughtUp);
  client.setOnline(false);
  const lost = client.update("tickets", 8, { subject: "Mine" });
  const harmless = client.update("tickets", 8, { priority: "low" });
  lost.catch(() => {});
  await until("they are drawn", () => client.status.pending === 2);
  await dev.call("PATCH", "/tickets/8", { subject: "Theirs" });
  client.setOnline(true);
  await assert.rejects(lost, (error: ConflictError) => {
    assert.ok(error instanceof ConflictError);
    assert.equal(error.mine.subject, "Mine");
    assert.equal(error.theirs?.subject, "Theirs");
    return true;
  });
  assert.equal((await harmless)?.priority, "low");
  assert.equal(client.get("tickets", 8)?.subject, "Theirs");
});

test("a reopened cache shows at once and fetches only what changed", async () => {
  const indexedDB = new IDBFactory();
  const query = (client: Client<Schema>) => client.from("contacts").order("id");
  const spare = (await dev.call("POST", "/contacts", { name: "Spare" })) as { id: number };
  const first = connect({ persist: true, indexedDB });
  const before = query(first).live();
  await before.ready;
  await until("it is caught up", () => first.status.isCaughtUp);
  const count = before.rows.length;
  await first.close();
  await dev.call("PATCH", `/contacts/${before.rows[0]?.id}`, { name: "Changed while away" });
  await dev.call("DELETE", `/contacts/${spare.id}`);

  const away = connect({ persist: true, indexedDB, fetch: () => Promise.reject(new Error("offline")), transports: ["sse"] });
  const cached = query(away).live();
  await cached.ready;
  assert.equal(cached.state, "cached");
  assert.equal(cached.rows.length, count);
  await away.close();

  const again = connect({ persist: true, indexedDB });
  const told: string[] = [];
  again.onEvent((event) => told.push(event.type));
  const live = query(again).live();
  await live.ready;
  await until("it has caught up", () => live.state === "ready" && live.rows.length === count - 1);
  assert.deepEqual(live.rows, await rowsOf("/contacts?order=id"));
  assert.deepEqual(again.figures.requests, [], "nothing was asked for");
  assert.deepEqual(told.filter((type) => type !== "ping"), ["open", "change", "change"]);
  assert.ok(again.figures.bytesReceived < 3_000, `${again.figures.bytesReceived} bytes`);
  assert.ok(again.figures.bytesSaved > 100_000, `${again.figures.bytesSaved} bytes`);
  await again.logout();
  assert.deepEqual(await indexedDB.databases(), []);
});

test("unsent writes survive a closed page", async () => {
  const indexedDB = new IDBFactory();
  const first = connect({ persist: true, indexedDB });
  await first.load("tickets", 11);
  await until("it is caught up", () => first.status.isCaughtUp);
  first.setOnline(false);
  first.update("tickets", 11, { subject: "From an earlier page" }).catch(() => {});
  await until("it is kept", () => first.status.pending === 1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  await first.close();
  const second = connect({ persist: true, indexedDB });
  await until("it has been sent", async () => {
    const [row] = (await rowsOf("/tickets?id=eq.11")) as unknown as { subject: string }[];
    return row?.subject === "From an earlier page";
  });
  await until("nothing waits", () => second.status.pending === 0);
});

test("a restarted server is resumed by cursor: what happened meanwhile comes, and nothing else", async () => {
  const client = connect();
  const live = client.from("contacts").order("id").live();
  await live.ready;
  const { requests, resets } = client.figures;
  const asked = requests.length;
  client.setOnline(false);
  await dev.kill("SIGTERM");
  await dev.up();
  await dev.call("PATCH", `/contacts/${live.rows[3]?.id}`, { name: "Renamed after the restart" });
  const { changes } = client.figures;
  client.setOnline(true);
  await until("it has come", () => live.rows[3]?.name === "Renamed after the restart");
  await until("it is caught up", () => client.status.isCaughtUp);
  assert.deepEqual([client.figures.requests.length, client.figures.resets, client.figures.changes], [asked, resets, changes + 1]);
  const waiting = client.from("contacts").then(() => "rows", (error: unknown) => (error as ProblemError).problem.type);
  await client.close();
  assert.equal(await waiting, "urn:rowcast:client:closed");
});

test("whatever interleaves, every store ends up equal to the database", async () => {
  const watchers = [connect(), connect({ transports: ["sse"] }), connect({ transports: ["poll"] }), connect({ persist: true, indexedDB: new IDBFactory() })];
  const lives = watchers.map((client) => [
    client.from("tickets").order("id").live(),
    client.from("tickets").eq("status", "open").order("updated_at", { descending: true }).limit(20).live(),
    client.from("ticket_labels").live(),
  ]);
  const random = (most: number) => 1 + Math.floor(Math.random() * most);
  const statuses = ["open", "pending", "solved", "closed"];
  for (let round = 0; round < 6; round++) {
    const writes = Array.from({ length: 12 }, async () => {
      const luck = Math.random();
      if (luck < 0.7) await dev.call("PATCH", `/tickets?id=eq.${random(400)}`, { status: statuses[random(4) - 1] }).catch(() => {});
      else if (luck < 0.85) await dev.call("POST", "/tickets", { subject: `New ${round}` });
      else await dev.call("DELETE", `/tickets?id=eq.${random(400)}`).catch(() => {});
    });
    const shaken = watchers[round % watchers.length];
    shaken?.setOnline(false);
    void watchers[(round + 1) % watchers.length]?.from("tickets").gt("id", random(800)).then(() => {}, () => {});
    await Promise.all(writes);
    shaken?.setOnline(true);
    if (round === 3) {
      await dev.kill();
      await dev.up();
      // As whoever comes back to the page would: without it the back-off takes a while.
      for (const client of watchers) client.setOnline(true);
    }
  }
  const all = await rowsOf("/tickets?order=id");
  const open = await rowsOf("/tickets?status=eq.open&order=updated_at.desc,id&limit=20");
  const labels = (await rowsOf("/ticket_labels?order=ticket_id,label_id")) as unknown[];
  for (const [at, [tickets, some, marks]] of lives.entries()) {
    await until(`client ${at} is equal`, () => {
      const equal = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
      return equal(tickets?.rows, all) && equal(some?.rows, open) && equal(marks?.rows, labels);
    }, 30_000).catch(() => {
      assert.deepEqual(tickets?.rows, all, `client ${at} ${JSON.stringify(watchers[at]?.status)}`);
      assert.deepEqual(some?.rows, open);
      assert.deepEqual(marks?.rows, labels);
    });
  }
});
