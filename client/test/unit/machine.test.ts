/** The machine against the table in SPEC.md, every pair of state and event. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { INITIAL, type MachineEvent, type State, type StateName, VIAS, type Via, backoffMs, step } from "../../src/machine.ts";

const EVENTS: MachineEvent[] = [
  "start", "stop", "online", "offline", "freeze", "thaw", "opened", "failed", "silent", "lost", "close-stop",
  "close-later", "close-now", "expired", "expiring", "renewed", "unrenewed", "refused", "retry", "upgrade",
];
const PLAIN: StateName[] = ["idle", "offline", "frozen", "frozen-offline", "stopped"];
const WITH_VIA: StateName[] = ["waiting", "connecting", "open", "renewing"];

interface Row { next: string; tries: string; effects: string[] }

function table(): Map<string, Row> {
  const text = readFileSync(join(process.env.ROWCAST_CLIENT ?? ".", "SPEC.md"), "utf8");
  const lines = text.slice(text.indexOf("| state | event |")).split("\n");
  const rows = new Map<string, Row>();
  for (const line of lines.slice(2)) {
    if (!line.startsWith("|")) break;
    const [state = "", event = "", next = "", tries = "", effects = ""] = line.split("|").slice(1).map((cell) => cell.trim());
    assert.ok((EVENTS as string[]).includes(event), `unknown event: ${line}`);
    for (const via of state.endsWith(":*") ? VIAS : [undefined]) {
      const name = via ? state.replace("*", via) : state;
      assert.ok(!rows.has(`${name} ${event}`), `twice: ${line}`);
      rows.set(`${name} ${event}`, {
        next: via ? next.replace("*", via) : next,
        tries,
        effects: effects ? effects.split(", ") : [],
      });
    }
  }
  return rows;
}

const states = (): State[] => [
  ...PLAIN.map((name) => ({ name, via: "ws" as Via, tries: 0 })),
  ...WITH_VIA.flatMap((name) => VIAS.map((via) => ({ name, via, tries: 3 }))),
];
const label = (state: State) => (WITH_VIA.includes(state.name) ? `${state.name}:${state.via}` : state.name);

test("every pair of state and event does what SPEC.md says", () => {
  const rows = table();
  assert.ok(rows.size > 80, `${rows.size} rows`);
  for (const state of states()) {
    for (const event of EVENTS) {
      const pair = `${label(state)} ${event}`;
      const [next, effects] = step(state, event);
      const row = rows.get(pair);
      rows.delete(pair);
      if (!row) {
        assert.deepEqual([next, effects], [state, []], pair);
        continue;
      }
      const tries = { "0": 0, "=": state.tries, "+1": state.tries + 1 }[row.tries];
      assert.deepEqual({ next: label(next), tries: next.tries, effects }, { next: row.next, tries, effects: row.effects }, pair);
    }
  }
  assert.deepEqual([...rows.keys()], [], "the table names what does not exist");
});

test("the back-off doubles up to its bound and is spread", () => {
  assert.equal(backoffMs(0, 0), 125);
  assert.ok(backoffMs(0, 0.999) < 250);
  assert.equal(backoffMs(3, 0), 1_000);
  assert.equal(backoffMs(50, 0), 7_500);
});

/** What a driver has, as its effects say: a transport, a timer, a question for a token. */
class Driver {
  state: State = INITIAL;
  attached = false;
  waits = false;
  renews = false;

  /** Whether this can happen to somebody who has what this driver has. */
  can(event: MachineEvent): boolean {
    if (["opened", "failed"].includes(event)) return this.attached && this.state.name === "connecting";
    if (["silent", "lost", "expired", "expiring"].includes(event) || event.startsWith("close-")) return this.attached;
    if (["renewed", "unrenewed", "refused"].includes(event)) return this.renews;
    if (event === "upgrade") return this.state.name === "open" && this.state.via !== "ws";
    return event !== "retry" || this.waits;
  }

  tell(event: MachineEvent): void {
    if (["failed", "lost"].includes(event)) this.attached = false;
    if (event === "retry") this.waits = false;
    if (["renewed", "unrenewed", "refused"].includes(event)) this.renews = false;
    const [next, effects] = step(this.state, event);
    this.state = next;
    for (const effect of effects) {
      if (effect === "connect" || effect === "disconnect") this.attached = effect === "connect";
      if (effect === "wait" || effect === "unwait") this.waits = effect === "wait";
      if (effect === "renew") this.renews = true;
    }
  }
}

test("whatever happens in whatever order, there is what the state says and nothing else, and a way back", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 80 }), (events) => {
      const driver = new Driver();
      for (const event of events) {
        if (!driver.can(event)) continue;
        driver.tell(event);
        const { name, tries } = driver.state;
        const said = `${event} to ${name}`;
        assert.equal(driver.attached, name === "connecting" || name === "open", said);
        assert.equal(driver.waits, name === "waiting", said);
        if (name === "renewing") assert.ok(driver.renews, said);
        assert.ok(tries >= 0 && (tries === 0 || ["waiting", "connecting", "renewing"].includes(name)), said);
      }
      for (const event of ["stop", "thaw", "online", "start"] as const) driver.tell(event);
      assert.equal(label(driver.state), "connecting:ws");
      driver.tell("opened");
      assert.equal(label(driver.state), "open:ws");
    }),
    { numRuns: 2_000 },
  );
});
