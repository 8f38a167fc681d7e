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
