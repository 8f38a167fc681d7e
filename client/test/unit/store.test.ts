/** The store against the rule that it implements, in whatever order states come. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Batch, Store } from "../../src/store.ts";
import type { Row } from "../../src/wire.ts";

const ticket = (id: number, subject: string): Row => ({ id, subject });
const change = (op: "update" | "delete", id: number, version: number, row?: Row) =>
  ({ type: "change", op, resource: "tickets", id, version, ...(row ? { row } : {}) }) as const;

test("the highest version of each row wins, in any interleaving of rows and changes", () => {
  // The history of one database; requests see it at one version each, the changes tell all of it.
  const history = fc.array(fc.record({ id: fc.integer({ min: 1, max: 4 }), gone: fc.boolean() }), { maxLength: 12 });
  const snapshots = fc.array(fc.nat({ max: 12 }), { maxLength: 4 });
  fc.assert(
    fc.property(history, snapshots, fc.infiniteStream(fc.nat()), (steps, moments, luck) => {
      const states: Map<number, Row>[] = [new Map()];
      for (const [at, { id, gone }] of steps.entries()) {
        const next = new Map(states[at]);
        if (gone) next.delete(id);
        else next.set(id, ticket(id, `v${at + 1}`));
        states.push(next);
      }
      const store = new Store();
      // Each source is in order by itself, or, for the changes of different rows, need not be.
      const sources: (() => void)[][] = [
        steps.map(({ id, gone }, at) => () => store.change(change(gone ? "delete" : "update", id, at + 1, gone ? undefined : ticket(id, `v${at + 1}`)))),
      ];
      for (const [number, moment] of moments.entries()) {
        const version = Math.min(moment, steps.length);
        const rows = [...(states[version] ?? [])].map(([, row]) => () => store.row("tickets", version, row));
        // The changes that come after a request was sent may be later than its snapshot, never the other way.
        store.requestOpened(`r${number}`);
        sources.push([...rows, () => store.requestEnded(`r${number}`)]);
      }
      while (sources.some((source) => source.length)) {
        const open = sources.filter((source) => source.length);
        const next = (luck.next().value as number) % open.length;
        open[next]?.shift()?.();
      }
      const found = new Map([...store.rows("tickets")].map(([key, row]) => [Number(key), row]));
      assert.deepEqual(found, states.at(-1));
    }),
    { numRuns: 500 },
  );
});

test("a tombstone lives as long as a request that was open when it came, and no longer", () => {
  const store = new Store();
  store.requestOpened("old");
  store.change(change("delete", 1, 10));
  store.requestOpened("new");
  store.row("tickets", 9, ticket(1, "late"));
  assert.equal(store.get("tickets", "1"), undefined);
  store.requestEnded("old");
  assert.equal(store.base("tickets", "1"), undefined, "the tombstone is gone");
  store.row("tickets", 11, ticket(1, "again"));
  assert.deepEqual(store.get("tickets", "1"), ticket(1, "again"));
});

test("a reset discards what is older, also what still comes", () => {
  const store = new Store();
  store.row("tickets", 5, ticket(1, "old"));
  store.row("tickets", 9, ticket(2, "new"));
  store.reset("tickets", 8);
  store.row("tickets", 7, ticket(3, "late"));
  assert.deepEqual([...store.rows("tickets")].map(([key]) => key), ["2"]);
});

test("listeners are told once per batch, and only of what looks different", () => {
  const store = new Store();
  const batches: Batch[] = [];
  store.listeners.add((batch) => batches.push(batch));
  store.batch(() => {
    for (let id = 1; id <= 3; id++) store.row("tickets", 1, ticket(id, "x"));
    store.row("tickets", 2, ticket(1, "y"));
  });
  assert.equal(batches.length, 1);
  assert.equal(batches[0]?.get("tickets")?.size, 3);
  store.row("tickets", 3, ticket(1, "y"));
  assert.equal(batches.length, 1, "the same row at a higher version looks the same");
});

test("an overlay goes in the same batch as the row that replaces it", () => {
  const store = new Store();
  store.row("tickets", 1, ticket(1, "before"));
  const seen: unknown[] = [];
  store.listeners.add(() => seen.push(store.get("tickets", "1")?.subject));
  store.draw("tickets", "1", { action: "a", draw: (row) => row && { ...row, subject: "drawn" } });
  store.batch(() => {
    store.row("tickets", 2, ticket(1, "drawn"));
    store.undraw("tickets", "1", "a");
  });
  store.draw("tickets", "1", { action: "b", draw: () => undefined });
  store.undraw("tickets", "1", "b");
  assert.deepEqual(seen.filter((subject) => subject === "before"), []);
  assert.equal(seen.at(-1), "drawn");
});

test("eviction takes what was used least lately, and nothing that is pinned or may be contradicted", () => {
  const store = new Store({}, 1_000);
  store.pins.add((_, key) => key === "1");
  for (let id = 1; id <= 9; id++) store.row("tickets", 1, ticket(id, "x"), 100);
  store.get("tickets", "2");
  store.requestOpened("r");
  for (let id = 10; id <= 12; id++) store.row("tickets", 1, ticket(id, "x"), 100);
  assert.ok(store.bytes <= 1_000, `${store.bytes}`);
  for (const kept of ["1", "2", "10", "11", "12"]) assert.ok(store.get("tickets", kept), kept);
  assert.equal(store.get("tickets", "3"), undefined);
});

test("composite keys are the same from rows and from changes", () => {
  const store = new Store({ ticket_labels: ["ticket_id", "label_id"] });
  store.row("ticket_labels", 1, { ticket_id: 3, label_id: 4 });
  store.change({ type: "change", op: "delete", resource: "ticket_labels", id: [3, 4], version: 2 });
  assert.deepEqual([...store.rows("ticket_labels")], []);
});
