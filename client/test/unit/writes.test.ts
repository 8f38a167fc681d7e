/** The queue of writes, as far as it needs no server: that none is forgotten, whenever it is made. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "../../src/options.ts";
import { type Asked, Played } from "../support/server.ts";

/** Answers writes as the server does. */
function stored(asked: Asked): Response | undefined {
  if (asked.method !== "POST") return undefined;
  const row = asked.body as { id: number };
  return new Response(JSON.stringify(row), { status: 201, headers: { Version: String(100 + row.id), "Content-Type": "application/json" } });
}

/** Fails, and does not hang, if a write is never answered. */
async function soon<T>(what: string, outcome: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} was never answered`)), 10_000);
  });
  return Promise.race([outcome, late]).finally(() => clearTimeout(timer));
}

const kinds: [string, Partial<Options>][] = [["kept", {}], ["in memory", { persist: false }]];
for (const [kind, options] of kinds) {
  test(`a write made at any moment of the one before is sent, ${kind}`, async () => {
    const played = new Played(options);
    played.answer = stored;
    const { client } = played;
    await played.open();
    let id = 0;
    // From at once to long after the first one's answer: each number of turns is another moment.
    for (let turns = 0; turns < 60; turns++) {
      const first = client.insert("comments", { id: ++id, body: "first" });
      const answered = soon(`first, ${turns} turns before the second`, first);
      if (turns % 2 === 1) await answered;
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const second = client.insert("comments", { id: ++id, body: "second" });
      assert.equal((await soon(`second, ${turns} turns after the first`, second))?.body, "second");
      await answered;
    }
    const sent = played.asked.filter((it) => it.method === "POST").map((it) => (it.body as { id: number }).id);
    assert.deepEqual(sent, Array.from({ length: id }, (_, at) => at + 1));
    await client.close();
  });
}
