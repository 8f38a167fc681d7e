/** Live queries against a naive model: filter, sort and cut everything anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { compare, implies, matches, parameter } from "../../src/filter.ts";
import { type Coverage, LiveQuery, isCovered } from "../../src/live.ts";
import { type Asks, Query, type Spec, path } from "../../src/query.ts";
import { Store } from "../../src/store.ts";
import type { Row } from "../../src/wire.ts";

const asks = {} as Asks;
const tickets = () => Query.of<Row>("tickets", asks);

/** A database of one table, with a version, whose changes reach the store at once. */
class Naive {
  rows = new Map<number, Row>();
  version = 1;
  store = new Store();
  requests = 0;
  pending: (() => void)[] = [];
  coverage: Coverage | undefined;

  write(id: number, row: Row | undefined): void {
    this.version++;
    if (row) this.rows.set(id, row);
    else this.rows.delete(id);
    const change = { type: "change", resource: "tickets", id, version: this.version } as const;
    this.store.change(row ? { ...change, op: "update", row } : { ...change, op: "delete" });
  }

  answer(spec: Spec): Row[] {
    const status = spec.filters[0] as { value: string } | undefined;
    const all = [...this.rows.values()].filter((row) => !status || row.status === status.value);
    all.sort((a, b) => {
      const [x, y] = [a.rank as number | null, b.rank as number | null];
      if (x !== y) return x === null ? -1 : y === null ? 1 : y - x;
      return (a.id as number) - (b.id as number);
    });
    return all.slice(0, spec.limit);
  }

  /** Takes the snapshot now, and delivers it when [`settle`] says so. */
  host = {
    store: this.store,
    request: (spec: Spec, row: (row: Row) => void) => {
      const id = `r${++this.requests}`;
      this.store.requestOpened(id);
      const { version } = this;
      const rows = this.answer(spec);
      return new Promise<void>((resolve) =>
        this.pending.push(() => {
          this.store.batch(() => {
            for (const each of rows) {
              this.store.row("tickets", version, each);
              row(each);
            }
          });
          this.store.requestEnded(id);
          resolve();
        }),
      );
    },
    recall: async () => ({ coverage: this.coverage, current: true }),
    remember: (_: Spec, coverage: Coverage) => void (this.coverage = coverage),
    forget: () => {},
  };

  async settle(): Promise<void> {
    for (let turn = 0; turn < 200; turn++) {
      await Promise.resolve();
      this.pending.shift()?.();
    }
  }
}

const operations = fc.array(
  fc.record({
    id: fc.integer({ min: 1, max: 12 }),
    status: fc.constantFrom("open", "closed", null),
    rank: fc.option(fc.integer({ min: 0, max: 5 })),
    deliver: fc.boolean(),
  }),
  { maxLength: 60 },
);

test("a live query equals the model after every quiet moment", async () => {
  await fc.assert(
    fc.asyncProperty(operations, fc.option(fc.integer({ min: 1, max: 5 })), fc.boolean(), async (steps, limit, filtered) => {
      const naive = new Naive();
      let query = tickets().order("rank", { descending: true });
      if (filtered) query = query.eq("status", "open");
      if (limit !== null) query = query.limit(limit);
      for (let id = 1; id <= 8; id++) naive.rows.set(id, { id, status: id % 2 ? "open" : "closed", rank: id % 3 });
      const live = new LiveQuery(query.spec, naive.host);
      naive.store.listeners.add((batch) => live.apply(batch));
      const started = live.start();
      for (const { id, status, rank, deliver } of steps) {
        naive.write(id, status === null ? undefined : { id, status, rank });
        await Promise.resolve();
        if (deliver) naive.pending.shift()?.();
      }
      await naive.settle();
      await started;
      // A second answer in a row that was too old to fill a gap is asked for again a moment later.
      for (let look = 0; look < 50 && !isDeepStrictEqual(live.rows, naive.answer(query.spec)); look++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await naive.settle();
      }
      assert.deepEqual(live.rows, naive.answer(query.spec));
      assert.equal(live.state, "ready");
      live.end();
    }),
    { numRuns: 300 },
  );
});

test("a result is told once per batch, and an unchanged one not at all", async () => {
  const naive = new Naive();
  for (let id = 1; id <= 5; id++) naive.rows.set(id, { id, status: "open", rank: id });
  const live = new LiveQuery(tickets().eq("status", "open").order("rank", { descending: true }).limit(2).spec, naive.host);
  naive.store.listeners.add((batch) => live.apply(batch));
  void live.start();
  await naive.settle();
  let told = 0;
  live.subscribe(() => told++);
  naive.write(1, { id: 1, status: "open", rank: 0 });
  assert.equal(told, 0, "it is beyond the limit");
  naive.store.batch(() => {
    naive.write(5, { id: 5, status: "open", rank: 9 });
    naive.write(4, { id: 4, status: "open", rank: 8 });
  });
  assert.equal(told, 1);
  assert.deepEqual(live.rows.map((row) => row.id), [5, 4]);
});

test("null is neither equal nor unequal, and not null is null", () => {
  const row = { id: 1, status: null, rank: 3, subject: "Käse", at: "2026-01-30T08:01:40.123077+00:00" };
  const holds = (query: Query) => matches(query.spec.filters, row);
  assert.equal(holds(tickets().eq("status", "open")), false);
  assert.equal(holds(tickets().neq("status", "open")), false);
  assert.equal(holds(tickets().not("status", "eq", "open")), false);
  assert.equal(holds(tickets().is("status", null)), true);
  assert.equal(holds(tickets().not("status", "is", null)), false);
  assert.equal(holds(tickets().or(["status", "eq", "open"], ["rank", "gte", 3])), true);
  assert.equal(holds(tickets().in("rank", [1, 3])), true);
  assert.equal(holds(tickets().eq("rank", "3.0")), true);
  assert.equal(holds(tickets().ilike("subject", "kä%")), true);
  assert.equal(holds(tickets().like("subject", "_äse")), true);
  assert.equal(holds(tickets().gt("at", "2026-01-30T09:01:40.123076+01:00")), true);
  assert.equal(holds(tickets().gt("at", "2026-01-30 08:01:40.123077Z")), false);
});

test("moments order by what they mean, texts by code point", () => {
  assert.ok(compare("2026-01-30T08:01:40+00:00", "2026-01-30T08:01:40.000001+00:00") < 0);
  assert.ok(compare("2026-01-30T09:00:00+02:00", "2026-01-30T08:00:00+00:00") < 0);
  assert.ok(compare("Zebra", "apple") < 0);
  assert.ok(compare("\uffee", "\u{1f600}") < 0, "beyond the first plane comes last");
});

test("URLs are PostgREST's", () => {
  const query = tickets()
    .eq("status", "open").in("id", [1, 2]).not("assignee_id", "is", null)
    .or(["subject", "ilike", "%a,b%"], ["priority", "in", ["high", "x y"]])
    .select("id", "subject").order("updated_at", { descending: true, nulls: "last" }).limit(25);
  assert.equal(
    decodeURIComponent(path(query.spec)),
    '/resources/tickets?status=eq.open&id=in.(1,2)&assignee_id=not.is.null&or=(subject.ilike."*a,b*",priority.in.(high,"x y"))' +
      "&select=id,subject&order=updated_at.desc.nullslast&limit=25",
  );
  assert.deepEqual(parameter({ column: "a", op: "eq", value: "x,y" }), ["a", "eq.x,y"]);
});

test("a wider answer covers a narrower question", () => {
  const wide = (query: Query): Coverage => ({ filters: query.spec.filters, orders: [], horizon: null, limit: null });
  const all = wide(tickets().in("ticket_id", [1, 2, 3]));
  assert.equal(isCovered(tickets().eq("ticket_id", 2).spec, all), true);
  assert.equal(isCovered(tickets().in("ticket_id", [1, 3]).eq("x", 1).spec, all), true);
  assert.equal(isCovered(tickets().eq("ticket_id", 4).spec, all), false);
  assert.equal(isCovered(tickets().spec, all), false);
  assert.equal(isCovered(tickets().eq("ticket_id", 2).spec, { ...all, limit: 5 }), false);
  assert.equal(implies([], { column: "a", op: "eq", value: 1 }), false);
});
