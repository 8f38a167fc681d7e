// One scenario for every Node client: a streamed GET, a PATCH and its notice, a lost connection
// that is resumed, and another organization that sees none of it.
//
// A transport is `open(token, channel, options)`, giving `{ next(), close() }`.
import assert from "node:assert/strict";

export const URL_BASE = process.env.ROWCAST_URL;
const TOKEN = process.env.ROWCAST_TOKEN;
const OTHER_TOKEN = process.env.ROWCAST_OTHER_TOKEN;
const PATIENCE_MS = 20_000;

/** A queue of events with a waiting reader, since both libraries call back. */
export class Events {
  #ready = [];
  #waiting = [];
  push(event) {
    const reader = this.#waiting.shift();
    if (reader) reader(event);
    else this.#ready.push(event);
  }
  next() {
    if (this.#ready.length) return Promise.resolve(this.#ready.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no event in time")), PATIENCE_MS);
      this.#waiting.push((event) => (clearTimeout(timer), resolve(event)));
    });
  }
}

async function expect(channel, type) {
  for (;;) {
    const event = await channel.next();
    if (event.type === "ping") continue;
    assert.equal(event.type, type, `expected ${type}, got ${JSON.stringify(event)}`);
    return event;
  }
}

async function call(token, method, path, { body, ...headers } = {}) {
  const answer = await fetch(URL_BASE + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }), ...headers },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, json: await answer.json() };
}

export async function run(open, name) {
  const channel = await open(TOKEN, name);
  const other = await open(OTHER_TOKEN, name);
  await expect(channel, "open");
  await expect(other, "open");

  const query = "/tickets?order=id&limit=25";
  const accepted = await call(TOKEN, "GET", query, { "request-id": "r1", "channel-id": name });
  assert.equal(accepted.status, 202);
  assert.deepEqual(accepted.json, { request_id: "r1", channel_id: name });
  const rows = [];
  for (let i = 0; i < 25; i += 1) rows.push((await expect(channel, "row")).row);
  const done = await expect(channel, "done");
  assert.equal(done.rows, 25);
  const plain = (await call(TOKEN, "GET", query)).json;
  assert.deepEqual(rows, plain);

  const ticket = plain[1];
  const patch = { "action-id": `a-${name}`, body: { subject: `Seen by ${name}` } };
  const patched = await call(TOKEN, "PATCH", `/tickets/${ticket.id}`, patch);
  assert.equal(patched.status, 200);
  const change = await expect(channel, "change");
  assert.deepEqual([change.op, change.id, change.action_id], ["update", ticket.id, `a-${name}`]);
  assert.deepEqual(change.row, patched.json);
  assert.ok(change.version > done.version);

  // What is written while the connection is away arrives when it is back, once.
  const resume = await channel.drop();
  await call(TOKEN, "PATCH", `/tickets/${ticket.id}`, { body: { subject: "While away" } });
  const back = await resume();
  assert.equal((await expect(back, "open")).resumed, true);
  const missed = await expect(back, "change");
  assert.equal(missed.row.subject, "While away");
  back.close();

  const theirs = (await call(OTHER_TOKEN, "GET", "/tickets?order=id&limit=1")).json[0];
  await call(OTHER_TOKEN, "PATCH", `/tickets/${theirs.id}`, { body: { subject: "Our own" } });
  const own = await expect(other, "change");
  assert.deepEqual([own.id, own.row.subject], [theirs.id, "Our own"]);
  other.close();
  console.log(`${name}: 25 rows, done, a notice, a resumption; nothing crossed`);
}
