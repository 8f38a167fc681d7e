/** What is kept: rows and cursor always agree, whoever writes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { Persist } from "../../src/persist.ts";
import { Played } from "../support/server.ts";

Object.assign(globalThis, { IDBKeyRange });
const coverage = { filters: [], orders: [], horizon: null, limit: null };

async function opened(factory: IDBFactory, writes = true): Promise<Persist> {
  const persist = new Persist("test", factory);
  await persist.open();
  persist.writes = writes;
  return persist;
}

test("rows, coverage and cursor come back, deletions included", async () => {
  const factory = new IDBFactory();
  const first = await opened(factory);
  first.state("tickets", "1", 5, { id: 1 });
  first.state("tickets", "2", 5, { id: 2 });
  first.state("tickets2", "1", 5, { id: 1 });
  first.state("tickets", "1", 6, undefined);
  first.coverage("/resources/tickets?id=gt.0", coverage);
  first.reached("c6");
  await first.flush();
  first.close();
  const second = await opened(factory);
  assert.equal(second.cursor, "c6");
  assert.deepEqual(await second.rows("tickets"), [["tickets", "2", 5, { id: 2 }]]);
  assert.deepEqual([...(await second.coverages()).keys()], ["/resources/tickets?id=gt.0"]);
  second.reset("tickets");
  second.state("tickets", "3", 9, { id: 3 });
  await second.flush();
  assert.deepEqual((await second.rows("tickets")).map(([, key]) => key), ["3"]);
  assert.equal((await second.rows("tickets2")).length, 1);
  assert.equal((await second.coverages()).size, 0);
});

test("a tab that takes over writes what its predecessor could not, and nothing else", async () => {
  const factory = new IDBFactory();
  const leader = await opened(factory);
  const follower = await opened(factory, false);
  leader.onSaved = (sequence) => follower.saved(sequence);
  for (const tab of [leader, follower]) {
    tab.arriving(10);
    tab.state("tickets", "1", 5, { id: 1 });
  }
  await leader.flush();
  for (const tab of [leader, follower]) {
    tab.arriving(11);
    tab.state("tickets", "2", 6, { id: 2 });
    tab.reached("c11");
  }
  // The leader dies before it writes; meanwhile nothing of what the follower knows is lost or repeated.
  leader.close();
  await follower.flush();
  assert.deepEqual((await follower.rows("tickets")).map(([, key]) => key), ["1"]);
  follower.writes = true;
  await follower.flush();
  assert.deepEqual((await follower.rows("tickets")).map(([, key]) => key), ["1", "2"]);
  follower.close();
  assert.equal((await opened(factory)).cursor, "c11");
});

test("what cannot be written begins anew, so that the cursor never promises rows that are missing", async () => {
  const factory = new IDBFactory();
  const persist = await opened(factory);
  persist.state("tickets", "1", 5, { id: 1 });
  persist.reached("c5");
  await persist.flush();
  // A value that IndexedDB refuses makes the whole transaction fail.
  persist.state("tickets", "2", 6, { id: 2, broken: () => {} });
  persist.reached("c6");
  await persist.flush();
  await persist.flush();
  assert.deepEqual(await persist.rows("tickets"), []);
});

test("without storage, everything is done and nothing kept", async () => {
  const refused = { open: () => { throw new Error("refused"); } } as unknown as IDBFactory;
  for (const factory of [undefined, refused]) {
    const persist = new Persist("test", factory);
    await persist.open();
    persist.writes = true;
    persist.state("tickets", "1", 5, { id: 1 });
    assert.equal(persist.isKept, false);
    assert.deepEqual(await persist.rows("tickets"), []);
    assert.equal(await persist.addAction({}), undefined);
    await persist.flush();
    await persist.clear();
  }
});

test("actions keep their order", async () => {
  const factory = new IDBFactory();
  const persist = await opened(factory);
  const seqs = [await persist.addAction({ id: "a" }), await persist.addAction({ id: "b" })];
  await persist.putAction(seqs[0] as number, { id: "a2" });
  assert.deepEqual((await persist.actions()).map(({ action }) => action), [{ id: "a2" }, { id: "b" }]);
  await persist.removeAction(seqs[0] as number);
  assert.deepEqual((await persist.actions()).map(({ seq }) => seq), [seqs[1]]);
});

test("what came beside the rows comes back with them, and is fetched again with them", async () => {
  const indexedDB = new IDBFactory();
  const ask = (played: Played) => played.client.from("tickets").order("id").limit(1).include("contacts").live();
  const answer = async (played: Played, name: string, version: number) => {
    const request_id = played.gets.at(-1)?.id;
    await played.say(
      { type: "row", request_id, resource: "tickets", version, row: { id: 1, contact_id: 7 } },
      { type: "row", request_id, resource: "contacts", version, row: { id: 7, name } },
      { type: "done", request_id, rows: 2, version, cursor: `c${version}` },
    );
  };
  const first = new Played({ indexedDB });
  const live = ask(first);
  await first.until("it is asked for", () => first.gets.length === 1);
  await first.open();
  await answer(first, "Ann", 2);
  await live.ready;
  await first.say({ type: "ping", cursor: "c2", version: 2 });
  await first.until("it is caught up", () => first.client.status.isCaughtUp);
  await first.client.close();

  const second = new Played({ indexedDB });
  const again = ask(second);
  await again.ready;
  assert.equal(again.state, "cached");
  assert.equal(second.client.get("contacts", 7)?.name, "Ann");
  await second.open("c2");
  await second.say({ type: "ping", cursor: "c2", version: 2 });
  await second.until("it is caught up", () => again.state === "ready");
  assert.deepEqual(second.gets, []);
  await second.say({ type: "reset", resource: "contacts", reason: "lagged", version: 3, cursor: "c3" });
  await second.until("it is asked for again", () => second.gets.length === 1);
  await answer(second, "Anna", 4);
  await second.until("it is here", () => second.client.get("contacts", 7)?.name === "Anna" && again.state === "ready");
  await second.client.close();
});

/** A page of this user who sees one ticket, and leaves. */
async function visit(indexedDB: IDBFactory, sub: number, exp: number, subject: string): Promise<Played> {
  const claims = btoa(JSON.stringify({ org: 1, sub, exp })).replace(/=+$/, "");
  const played = new Played({ indexedDB, token: `x.${claims}.y` });
  await played.open();
  await played.say({ type: "change", op: "insert", resource: "tickets", id: 1, version: 5, row: { id: 1, subject }, cursor: "c5" });
  await played.until("it is caught up", () => played.client.status.isCaughtUp);
  await played.client.close();
  return played;
}

test("each identity has a cache of its own, whichever token it comes with, and a logout deletes its own only", async () => {
  const indexedDB = new IDBFactory();
  const [mine] = [await visit(indexedDB, 7, 1, "Mine"), await visit(indexedDB, 8, 1, "Theirs"), await visit(indexedDB, 7, 2, "Mine")];
  const names = (await indexedDB.databases()).map(({ name }) => name ?? "");
  assert.equal(names.length, 2);
  const kept = async (name: string) => {
    const persist = new Persist(name, indexedDB);
    await persist.open();
    const rows = await persist.rows("tickets");
    persist.close();
    return rows.map(([, , , row]) => row.subject);
  };
  assert.deepEqual((await Promise.all(names.sort().map(kept))).flat(), ["Mine", "Theirs"]);
  const again = new Played({ indexedDB, token: mine.client.options.token });
  await again.client.logout();
  const left = (await indexedDB.databases()).map(({ name }) => name ?? "");
  assert.deepEqual((await Promise.all(left.map(kept))).flat(), ["Theirs"]);
});

test("a page of an older version keeps nothing beside a newer one's cache, and makes way for it", async () => {
  const factory = new IDBFactory();
  const older = await opened(factory);
  older.state("tickets", "1", 5, { id: 1 });
  older.reached("c5");
  await older.flush();
  assert.equal(older.isKept, true);
  // What is kept in another format is not read; whoever still has the old one lets go.
  const newer = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = factory.open("test", 2);
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(new Error("blocked"));
  });
  assert.equal(older.isKept, false);
  older.state("tickets", "2", 6, { id: 2 });
  await older.flush();
  const late = await opened(factory);
  assert.deepEqual([late.isKept, late.cursor], [false, undefined]);
  newer.close();
});
