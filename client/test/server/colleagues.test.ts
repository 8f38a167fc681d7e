/**
 * Twenty colleagues have one conversation open; each marks it and writes a comment. What used to take
 * 400 GETs, one for each notice and reader, takes none: the notices bring the rows, or, where only keys
 * are announced, those who hear the signals know the rows already and the others ask once a batch.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
// @ts-expect-error: its types would be one more dependency, and the browser's are what is needed.
import WebSocket from "ws";
import { keys, type Schema } from "../../demo/schema.ts";
import { type Client, type LiveQuery, type Options, type Topic, createClient } from "../../src/index.ts";
import { Dev, until } from "../support/dev.ts";

const COLLEAGUES = 20;
/** What all of them together may have received: twenty times some 60 events of some 600 bytes. */
const BYTES_MOST = 1_500_000;

let dev: Dev;
let conversations = 0;
before(async () => void (dev = await Dev.start()));
after(() => dev.end());

interface Colleague {
  client: Client<Schema>;
  comments: LiveQuery<Schema["comments"]["Row"]>;
  ticket: LiveQuery<Schema["tickets"]["Row"]>;
  topic: Topic | undefined;
}

/** The GETs and the bytes of everybody, from when all was loaded to when all have seen everything. */
async function conversation(settings: string, onTopic: (number: number) => boolean): Promise<{ gets: number[]; bytes: number }> {
  const colleagues: Colleague[] = [];
  try {
    const url = settings === "" ? dev.url : await dev.serve(settings);
    const tickets = (await dev.call("GET", "/tickets?private=eq.false&order=id&limit=9&select=id")) as { id: number }[];
    const id = tickets[conversations++]?.id as number;
    const before = ((await dev.call("GET", `/comments?ticket_id=eq.${id}`)) as object[]).length;
    for (let number = 1; number <= COLLEAGUES; number++) {
      const client = createClient<Schema>({
        url, token: dev.token(3_600, String(number)), keys, persist: false, shareTabs: false,
        WebSocket: WebSocket as unknown as NonNullable<Options["WebSocket"]>,
      });
      const comments = client.from("comments").eq("ticket_id", id).order("id").live();
      const ticket = client.from("tickets").eq("id", id).live();
      const topic = onTopic(number) ? client.topic(`tickets/${id}`, { trust: true }) : undefined;
      colleagues.push({ client, comments, ticket, topic });
    }
    await Promise.all(colleagues.map((it) => Promise.all([it.comments.ready, it.ticket.ready])));
    const there = colleagues.filter((it) => it.topic).length;
    for (const { client, topic } of colleagues) {
      await until("everybody is caught up", () => client.status.isCaughtUp);
      if (topic) await until("everybody is there", () => topic.count === there);
    }
    const asked = colleagues.map(({ client }) => client.figures.requests.length);
    const received = () => colleagues.reduce((sum, { client }) => sum + client.figures.bytesReceived, 0);
    const bytes = received();
    await Promise.all(colleagues.map(async ({ client, topic }, number) => {
      await client.update("tickets", id, { priority: number % 2 ? "high" : "low" }, { conflict: "mine" });
      const comment = { ticket_id: id, body: `Comment ${number}` };
      await (topic ?? client).insert("comments", comment);
    }));
    const stored = (await dev.call("GET", `/comments?ticket_id=eq.${id}&order=id`)) as object[];
    assert.equal(stored.length, before + COLLEAGUES);
    const [ticket] = (await dev.call("GET", `/tickets?id=eq.${id}`)) as object[];
    for (const each of colleagues) {
      await until("everybody sees everything", () => JSON.stringify(each.comments.rows) === JSON.stringify(stored));
      await until("the ticket too", () => JSON.stringify(each.ticket.rows[0]) === JSON.stringify(ticket));
      await until("nothing is on its way", () => each.client.status.isCaughtUp && each.client.status.pending === 0);
    }
    const gets = colleagues.map(({ client }, number) => client.figures.requests.length - (asked[number] ?? 0));
    return { gets, bytes: received() - bytes };
  } finally {
    for (const { client } of colleagues) await client.close();
  }
}

test("twenty colleagues mark a conversation and comment it without a GET", async (context) => {
  const { gets, bytes } = await conversation("", () => true);
  assert.deepEqual(gets, gets.map(() => 0));
  assert.ok(bytes < BYTES_MOST, `${bytes} bytes`);
  context.diagnostic(`0 GETs, ${bytes} bytes`);
});

test("where only keys are announced, those who hear of the actions ask nothing, others once a batch", async (context) => {
  const listens = (number: number) => number <= COLLEAGUES / 2;
  const { gets, bytes } = await conversation('[resources.comments]\nannounce = "keys"\n', listens);
  context.diagnostic(`GETs of each: ${gets.join(" ")}; ${bytes} bytes`);
  // Those who are on no topic share nothing either, so that everybody has to ask for their comments.
  for (const each of gets) assert.ok(each <= COLLEAGUES, `${each} GETs`);
  assert.ok(gets.reduce((sum, each) => sum + each, 0) < (COLLEAGUES * COLLEAGUES) / 2, "far fewer than 400");
  const { gets: none } = await conversation('[resources.comments]\nannounce = "keys"\n', () => true);
  assert.deepEqual(none, none.map(() => 0));
});
