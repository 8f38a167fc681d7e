/** Topics: secrets by the examples in tests/wire, drawing and taking back, who is there, notices without rows. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Secrets, type Sealed, type Told, authenticated } from "../../src/secrets.ts";
import { Played } from "../support/server.ts";

interface Example {
  key: string;
  data_text: string;
  authenticated: string;
  signal: Told & { data: Sealed };
}
const file = join(process.env.ROWCAST_CLIENT ?? ".", "..", "tests", "wire", "encrypted.json");
const examples = JSON.parse(readFileSync(file, "utf8")) as Record<string, Example>;
const nonceOf = (sealed: Sealed) => new Uint8Array(Buffer.from(sealed.nonce, "base64url"));

test("signals are encrypted and decrypted as the examples have them", async () => {
  for (const [name, { key, data_text, authenticated: expected, signal }] of Object.entries(examples)) {
    const { key_id } = signal.data;
    assert.equal(authenticated(key_id, signal), expected, name);
    const secrets = new Secrets(async () => ({ key_id, key }));
    const data = data_text === "" ? undefined : (JSON.parse(data_text) as unknown);
    assert.deepEqual(await secrets.open(signal), { data }, name);
    if (data_text !== "" && JSON.stringify(data) !== data_text) continue;
    assert.deepEqual(await secrets.seal(signal, data, nonceOf(signal.data)), signal.data, name);
  }
});

test("what was altered, is plain, or is under a key that is not ours, is discarded", async () => {
  const { key, signal } = Object.values(examples)[0] as Example;
  const { key_id } = signal.data;
  const secrets = new Secrets(async (id) => (id === undefined || id === key_id ? { key_id, key } : undefined));
  assert.ok(await secrets.open(signal));
  const others: (Told & { data?: unknown })[] = [
    { ...signal, topic: "tickets/43" },
    { ...signal, name: "other" },
    { ...signal, from: { ...signal.from, user: "8" } },
    { ...signal, from: { ...signal.from, channel: "tab-2" } },
    { ...signal, action_id: "a9" },
    { ...signal, data: { ...signal.data, cipher: `A${signal.data.cipher.slice(1)}` } },
    { ...signal, data: { ...signal.data, key_id: "another" } },
    { ...signal, data: { typing: true } },
    { ...signal, data: undefined },
  ];
  for (const other of others) assert.equal(await secrets.open(other), undefined, JSON.stringify(other));
});

test("a key that is not in force any more is asked for anew, and old signals are still read", async () => {
  const [first, second] = Object.values(examples) as [Example, Example];
  let current = { key_id: "k1", key: first.key };
  const held: Record<string, { key_id: string; key: string }> = {};
  let asked = 0;
  const secrets = new Secrets(async (id) => {
    asked++;
    if (id !== undefined) return held[id];
    return (held[current.key_id] = current);
  });
  const told = { topic: "tickets/42", name: "n", from: { user: "7", channel: "c" } };
  const old = await secrets.seal(told, 1);
  await secrets.seal(told, 2);
  assert.deepEqual([old.key_id, asked], ["k1", 1]);
  current = { key_id: "k2", key: second.key };
  secrets.outdated();
  assert.equal((await secrets.seal(told, 3)).key_id, "k2");
  assert.deepEqual(await secrets.open({ ...told, data: old }), { data: 1 });
  assert.equal(asked, 2);
});

test("what a colleague announces is drawn, and confirmed or taken back", async () => {
  const played = new Played();
  const { client } = played;
  await played.open();
  const topic = client.topic("tickets/42", { state: { looking: true } });
  const heard: string[] = [];
  for (const name of ["hello", "void"]) topic.on(name, (it) => heard.push(`${name} ${it.action_id ?? ""}`));
  await played.until("joined", () => played.asked.some((it) => it.method === "PUT"));
  const [joined] = played.asked.filter((it) => it.method === "PUT");
  assert.match(joined?.path ?? "", /^\/channels\/tab-\w+\/topics\/tickets\/42$/);
  assert.deepEqual(joined?.body, { state: { looking: true } });
  const draw = (action_id: string, body: string) => ({
    type: "signal", topic: "tickets/42", name: "rowcast.draw", from: { user: "8", channel: "x" }, action_id,
    data: { resource: "comments", values: { ticket_id: 42, body } },
  });
  await played.say(draw("a1", "one"), draw("a2", "two"), { ...draw("a3", "elsewhere"), topic: "tickets/43" });
  const bodies = () => [...client.store.rows("comments")].map(([, row]) => row.body);
  await played.until("drawn", () => bodies().length === 2);
  assert.deepEqual(bodies(), ["one", "two"]);
  await played.say(
    { type: "change", op: "insert", resource: "comments", id: 5, version: 9, action_id: "a1", row: { id: 5, ticket_id: 42, body: "one!" }, cursor: "c1" },
    { type: "void", action_id: "a2" },
    { ...draw("", ""), name: "hello", action_id: undefined },
  );
  await played.until("settled", () => heard.includes("hello "));
  assert.deepEqual(bodies(), ["one!"]);
  assert.deepEqual(heard, ["void a2", "hello "]);
  // Who is there: people come, change, and go.
  await played.say(
    { type: "presence", topic: "tickets/42", joined: [{ user: "7", devices: 1 }, { user: "8", devices: 2 }], left: [] },
    { type: "presence", topic: "tickets/43", joined: [{ user: "9", devices: 1 }], left: [] },
    { type: "presence", topic: "tickets/42", joined: [{ user: "8", devices: 1, state: { typing: true } }], left: [{ user: "7" }] },
  );
  await played.until("present", () => topic.presence.length === 1);
  assert.deepEqual([topic.presence, topic.count], [[{ user: "8", devices: 1, state: { typing: true } }], 1]);
  await topic.close();
  await played.until("left", () => played.asked.some((it) => it.method === "DELETE"));
  await client.close();
});

test("a secret topic tells and hears only what is encrypted", async () => {
  const [played, other] = [new Played(), new Played()];
  const key = { key_id: "k1", key: Object.values(examples)[0]?.key };
  for (const each of [played, other]) {
    each.answer = ({ path }) => (path.startsWith("/tickets/42/key") ? Response.json(key) : undefined);
    await each.open();
  }
  const [ours, theirs] = [played, other].map((each) => each.client.topic("tickets/42", { secret: true }));
  const heard: unknown[] = [];
  ours?.on("note", (it) => heard.push(it.data));
  await theirs?.send("note", { text: "quiet" });
  await other.until("sent", () => other.asked.some((it) => it.path === "/signals"));
  const sent = other.asked.find((it) => it.path === "/signals")?.body as { data: Sealed };
  assert.deepEqual(Object.keys(sent.data), ["key_id", "nonce", "cipher"]);
  const from = { user: "7", channel: other.client.link?.channel };
  const plain = { type: "signal", topic: "tickets/42", name: "note", from, data: "plain" };
  await played.say(plain, { ...plain, ...sent, from: { ...from, user: "8" } }, { ...plain, ...sent });
  await played.until("heard", () => heard.length > 0);
  assert.deepEqual(heard, [{ text: "quiet" }]);
  await Promise.all([played.client.close(), other.client.close()]);
});

test("of notices without rows one fetch at a time is made, and none where the action is known", async () => {
  const played = new Played();
  const { client } = played;
  const live = client.from("comments").eq("ticket_id", 42).live();
  await played.open("c0");
  await played.until("asked", () => played.gets.length === 1);
  const done = (n: number, version: number, ...rows: object[]) => [
    ...rows.map((row) => ({ type: "row", request_id: played.gets[n]?.id, resource: "comments", version, row })),
    { type: "done", request_id: played.gets[n]?.id, rows: rows.length, version },
  ];
  await played.say(...done(0, 1));
  await live.ready;
  const notice = (id: number, version: number, action_id?: string, cursor?: string) =>
    ({ type: "change", op: "insert", resource: "comments", id, version, action_id, cursor });
  const comment = (id: number) => ({ id, ticket_id: 42, body: `${id}` });
  // Twenty actions in some batches: one fetch, and one more for what came while it ran.
  await played.say(notice(1, 10, "x1"), notice(2, 10, "x2", "c1"));
  await played.until("fetched", () => played.gets.length === 2);
  const paths = () => played.gets.slice(1).map((it) => decodeURIComponent(it.path));
  assert.deepEqual(paths(), ['/comments?modified_since=c0&id=in.("1","2")']);
  for (let n = 3; n <= 20; n++) await played.say(notice(n, 10 + n, `x${n}`, `c${n}`));
  await played.say(...done(1, 30, comment(1), comment(2)));
  await played.until("fetched again", () => played.gets.length === 3);
  await played.say(...done(2, 31, ...Array.from({ length: 18 }, (_, n) => comment(n + 3))));
  await played.until("here", () => live.rows.length === 20);
  assert.match(paths()[1] ?? "", /^\/comments\?modified_since=c1&/);
  // The cursor stands where everything is here.
  await played.until("caught up", () => client.link?.position.cursor === "c20");
  // One's own action: its answer has the row.
  played.answer = ({ method }) =>
    method === "POST" ? Response.json(comment(21), { status: 201, headers: { version: "40" } }) : undefined;
  await client.insert("comments", { ticket_id: 42, body: "21" }, { action: "own" });
  await played.say(notice(21, 41, "own", "c21"));
  // A colleague's, who shares the row.
  client.topic("tickets/42", { trust: true });
  await played.until("joined", () => played.asked.some((it) => it.method === "PUT"));
  const signal = (name: string, data: object, action_id?: string) =>
    ({ type: "signal", topic: "tickets/42", name, from: { user: "8", channel: "x" }, action_id, data });
  await played.say(
    signal("rowcast.draw", { resource: "comments", values: { ticket_id: 42, body: "22" } }, "b1"),
  );
  await played.until("drawn", () => live.rows.length === 22);
  await played.say(notice(22, 42, "b1", "c22"), signal("rowcast.row", { action: "b1", row: comment(22) }));
  await played.until("shared", () => client.link?.position.cursor === "c22");
  assert.deepEqual(live.rows.map((row) => row.id), Array.from({ length: 22 }, (_, n) => n + 1));
  assert.equal(played.gets.length, 3);
  // What nobody has asked for is not fetched.
  await played.say({ ...notice(1, 43, "z", "c23"), resource: "events" });
  await played.until("passed over", () => client.link?.position.cursor === "c23");
  assert.equal(played.gets.length, 3);
  await client.close();
});

test("what was announced is taken back where its end may be lost", async () => {
  const played = new Played();
  const { client } = played;
  await played.open();
  client.topic("tickets/42");
  await played.until("joined", () => played.asked.some((it) => it.method === "PUT"));
  const drawn = () => [...client.store.rows("comments")].map(([, row]) => row.body as string).sort();
  const draw = (action_id: string, resource = "comments") => ({
    type: "signal", topic: "tickets/42", name: "rowcast.draw", from: { user: "8", channel: "x" }, action_id,
    data: { resource, values: { ticket_id: 42, body: action_id } },
  });
  const lost = { type: "error", problem: { type: "https://rowcast.dev/problems/signals-lost", title: "", status: 503, code: "RC" } };
  const ends: [string, object][] = [
    ["the channel is another one", { type: "open", channel_id: "x", sequence: 1, resumed: false, ping_seconds: 25 }],
    ["signals were lost", lost],
    ["the resource is fetched again", { type: "reset", resource: "comments", reason: "lagged", version: 1 }],
    ["everything is", { type: "reset", reason: "gap", version: 2 }],
  ];
  for (const [why, end] of ends) {
    await played.say(draw("a1"), draw("a2"));
    await played.until("drawn", () => drawn().length === 2);
    await played.say(end);
    await played.until(why, () => drawn().length === 0);
  }
  // What says nothing of it leaves it there: a channel that goes on, another resource, another action.
  await played.say(draw("a1"), draw("a2"));
  await played.until("drawn", () => drawn().length === 2);
  await played.say(
    { type: "open", channel_id: "x", sequence: 1, resumed: true, ping_seconds: 25 },
    { type: "reset", resource: "events", reason: "lagged", version: 3 },
    { type: "reset", resource: "comments", reason: "changed", action_ids: ["a1"], version: 4 },
    draw("a3"),
  );
  await played.until("the next one", () => drawn().includes("a3"));
  assert.deepEqual(drawn(), ["a2", "a3"]);
  await client.close();
});

test("a reset by one's own actions discards and fetches nothing, one by others' everything", async () => {
  const played = new Played();
  const { client } = played;
  const live = client.from("comments").eq("ticket_id", 42).live();
  await played.open("c0");
  await played.until("asked", () => played.gets.length === 1);
  const comment = (id: number) => ({ id, ticket_id: 42, body: `${id}` });
  const done = (n: number, version: number, ...rows: object[]) => [
    ...rows.map((row) => ({ type: "row", request_id: played.gets[n]?.id, resource: "comments", version, row })),
    { type: "done", request_id: played.gets[n]?.id, rows: rows.length, version },
  ];
  await played.say(...done(0, 1, comment(1)));
  await live.ready;
  played.answer = ({ method }) =>
    method === "POST" ? Response.json(comment(2), { status: 201, headers: { version: "10" } }) : undefined;
  await client.insert("comments", { ticket_id: 42, body: "2" }, { action: "own" });
  const reset = (version: number, resource: string, ...action_ids: string[]) =>
    ({ type: "reset", resource, reason: "changed", ...(action_ids.length ? { action_ids } : {}), version });
  const mark = (n: number) => [{ type: "change", op: "insert", resource: "events", id: n, version: 20 + n, row: { id: n }, cursor: `c${n}` }];
  await played.say(reset(11, "comments", "own"), ...mark(1));
  await played.until("passed over", () => client.link?.position.cursor === "c1");
  assert.deepEqual(live.rows.map((row) => row.id), [1, 2]);
  assert.equal(played.gets.length, 1);
  // A colleague's beside one's own; then nobody knows whose.
  for (const [n, ...by] of [[1, "own", "other"], [2]] as [number, ...string[]][]) {
    await played.say(reset(11 + n, "comments", ...by));
    await played.until("fetched again", () => played.gets.length === 1 + n);
    await played.say(...done(n, 11 + n, comment(1), comment(2)), ...mark(1 + n));
    await played.until("here", () => client.link?.position.cursor === `c${1 + n}`);
  }
  assert.deepEqual(live.rows.map((row) => row.id), [1, 2]);
  await client.close();
});
