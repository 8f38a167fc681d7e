/** What is loaded is asked for once, in few requests; prefetching keeps to its budget. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Loader } from "../../src/loader.ts";
import { Prefetcher, isLinkScarce } from "../../src/prefetcher.ts";
import type { Row } from "../../src/wire.ts";

class Server {
  rows = new Map<string, Row>();
  asked: (string | number)[][] = [];
  loader = new Loader({
    present: (_, key) => this.rows.get(key),
    hydrate: () => Promise.resolve(),
    fetch: async (_, ids) => {
      this.asked.push([...ids]);
      await new Promise((resolve) => setTimeout(resolve, 1));
      for (const id of ids) if (Number(id) < 100) this.rows.set(String(id), { id });
    },
  });
}

test("ten ids make a request, and the rest goes at the next tick", async () => {
  const server = new Server();
  const rows = await Promise.all(Array.from({ length: 23 }, (_, id) => server.loader.load("contacts", id)));
  assert.deepEqual(server.asked.map((ids) => ids.length), [10, 10, 3]);
  assert.deepEqual(rows.map((row) => row?.id), Array.from({ length: 23 }, (_, id) => id));
});

test("while a stream feeds it, fewer than ten wait for its end", async () => {
  const server = new Server();
  let end!: () => void;
  const stream = server.loader.during(new Promise<void>((resolve) => (end = resolve)));
  const loads = [1, 2, 3].map((id) => server.loader.load("contacts", id));
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(server.asked, []);
  end();
  await stream;
  await Promise.all(loads);
  assert.deepEqual(server.asked, [[1, 2, 3]]);
});

test("a row that does not exist is nothing, and its request is not repeated for those who wait", async () => {
  const server = new Server();
  const [a, b] = await Promise.all([server.loader.load("contacts", 100), server.loader.load("contacts", "100")]);
  assert.deepEqual([a, b], [undefined, undefined]);
  assert.equal(server.asked.length, 1);
});

test("no id is asked for twice, whatever the order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 60 }), async (ids) => {
      const server = new Server();
      await Promise.all(ids.map(async (id, at) => {
        if (at % 3 === 0) await new Promise((resolve) => setTimeout(resolve, at % 7));
        const row = await server.loader.load("contacts", id);
        assert.equal(row?.id, id);
      }));
      const asked = server.asked.flat();
      assert.equal(new Set(asked).size, asked.length);
      assert.ok(server.asked.every((each) => each.length <= 10));
    }),
    { numRuns: 30 },
  );
});

test("prefetches run one by one and stop at the budget or on a scarce link", async () => {
  let scarce = false;
  const prefetcher = new Prefetcher(1_000, () => scarce);
  let running = 0;
  const run = async () => {
    assert.equal(++running, 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    return 600;
  };
  const first = await Promise.all([prefetcher.add(run), prefetcher.add(run), prefetcher.add(run)]);
  assert.deepEqual(first, [true, true, false]);
  scarce = true;
  assert.equal(await new Prefetcher(1_000, () => scarce).add(run), false);
  assert.equal(isLinkScarce({ saveData: true }), true);
  assert.equal(isLinkScarce({ effectiveType: "slow-2g" }), true);
  assert.equal(isLinkScarce({ effectiveType: "4g" }), false);
});
