/** Secret topics end to end: who sees the row hears, who lost it does not, and the server's operator reads nothing. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
// @ts-expect-error: its types would be one more dependency, and the browser's are what is needed.
import WebSocket from "ws";
import { keys, type Schema } from "../../demo/schema.ts";
import { type Client, type Options, type SignalEvent, createClient } from "../../src/index.ts";
import { Dev, until } from "../support/dev.ts";

const MASTER = Buffer.alloc(32, 7).toString("base64");
let dev: Dev;
let url: string;
const clients: Client<Schema>[] = [];
before(async () => {
  dev = await Dev.start();
  url = await dev.serve(`[keys]\nmaster_keys = ["${MASTER}"]\n[resources.tickets]\nkey = true\n`);
});
after(async () => {
  for (const client of clients) await client.close();
  await dev.end();
});

function connect(user: string, via: "ws" | "sse" | "poll"): Client<Schema> {
  const client = createClient<Schema>({
    url, token: dev.token(3_600, user), keys, persist: false, shareTabs: false, transports: [via],
    WebSocket: WebSocket as unknown as NonNullable<Options["WebSocket"]>,
  });
  clients.push(client);
  return client;
}
const call = async (user: string, method: string, path: string, body?: object) =>
  fetch(url + path, {
    method,
    headers: { Authorization: `Bearer ${dev.token(3_600, user)}`, "Content-Type": "application/json" },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });

for (const [number, via] of (["ws", "sse", "poll"] as const).entries()) {
  test(`by ${via}: signals are read by those who see the row, before and after somebody loses it`, async () => {
    const answer = await call("1", "GET", `/tickets?private=eq.true&order=id&limit=1&offset=${number}&select=id`);
    const [{ id }] = (await answer.json()) as [{ id: number }];
    const name = `tickets/${id}`;
    await call("1", "POST", "/ticket_members", { ticket_id: id, user_id: 2, private: true });
    assert.equal((await call("2", "GET", `/${name}`)).status, 200);
    const [sender, reader, other] = [connect("1", via), connect("2", via), connect("1", via)];
    const heard: string[] = [];
    const topics = [sender, reader, other].map((client) => client.topic(name, { secret: true }));
    const [telling, ...listening] = topics;
    listening.forEach((topic, place) => topic.on("note", ({ data }) => heard.push(`${place} ${JSON.stringify(data)}`)));
    let lost = false;
    listening[0]?.on("lost", () => (lost = true));
    const raw: SignalEvent[] = [];
    let rekeyed = 0;
    other.onEvent((event) => {
      if (event.type === "signal" && event.name === "note") raw.push(event);
    });
    sender.onEvent((event) => void (event.type === "key" && rekeyed++));
    for (const topic of topics) await until("everybody is there", () => topic.presence.length === 2);
    await telling?.send("note", { text: "one" });
    await until("both hear", () => heard.length === 2);
    // What is not encrypted is not heard.
    assert.equal((await call("1", "POST", "/signals", { topic: name, name: "note", data: "plain" })).status, 202);
    assert.equal((await call("1", "DELETE", `/ticket_members/${id},2`)).status, 200);
    await until("it is lost", () => lost);
    await until("the key is another", () => rekeyed > 0);
    await telling?.send("note", { text: "two" });
    await until("who still sees the row hears", () => heard.includes('1 {"text":"two"}'));
    assert.deepEqual(heard.sort(), ['0 {"text":"one"}', '1 {"text":"one"}', '1 {"text":"two"}']);
    const sealed = raw.map((event) => event.data as { key_id?: string; cipher?: string }).filter((data) => data.cipher);
    assert.equal(new Set(sealed.map((data) => data.key_id)).size, 2);
    assert.doesNotMatch(JSON.stringify(sealed), /one|two/);
    // Who is out can have the key from before, and not the one that is in force.
    const [before, now] = sealed.map((data) => data.key_id);
    assert.equal((await call("2", "GET", `/${name}/key?id=${before}`)).status, 200);
    assert.equal((await call("2", "GET", `/${name}/key?id=${now}`)).status, 404);
    assert.equal((await call("2", "GET", `/${name}/key`)).status, 404);
    for (const client of [sender, reader, other]) await client.close();
  });
}
