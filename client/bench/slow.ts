/**
 * The server and the client on a slow link: bytes on the wire by transport, and how long the first
 * screen and everything take beside plain requests. `scripts/bench slow`.
 */
import { randomUUID } from "node:crypto";
import { Agent, type IncomingMessage, get as httpGet } from "node:http";
import { constants, createGunzip, createInflateRaw, gzipSync } from "node:zlib";
import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
// @ts-expect-error: its types would be one more dependency, and the browser's are what is needed.
import WebSocket from "ws";
import { keys, type Schema } from "../demo/schema.ts";
import { type Client, type Options, createClient } from "../src/index.ts";
import { until } from "../test/support/dev.ts";
import { desk } from "./desk.ts";
import { SlowLink } from "./link.ts";

const TICKETS = 5_000;
const SCREEN = 25;
const REPEATS = 5;
const SLOW = { bitsPerSecond: 250_000, delayMs: 150 };
const FREE = { bitsPerSecond: Infinity, delayMs: 0 };
const ORDER = "order=updated_at.desc,id";
const ALL = `/resources/tickets?${ORDER}&include=contacts`;
const FIRST = `/resources/tickets?${ORDER}&limit=${SCREEN}&include=contacts`;

const dev = await desk(TICKETS);
const token = dev.tokens[0] as string;
const line = (name: string, ...cells: unknown[]) => console.log(name.padEnd(44), ...cells.map((each) => String(each).padStart(12)));
const ms = (value: number) => `${Math.round(value).toLocaleString("en")} ms`;
const count = (value: number) => Math.round(value).toLocaleString("en");
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number;

/** A plain GET on a connection of its own: its body, unpacked, and how long it took. */
function plain(url: string, headers: Record<string, string>): Promise<{ body: string; tookMs: number; head: IncomingMessage }> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    httpGet(url, { agent, headers: { Authorization: `Bearer ${token}`, ...headers } }, (head) => {
      const body = head.headers["content-encoding"] === "gzip" ? head.pipe(createGunzip({ flush: constants.Z_SYNC_FLUSH })) : head;
      let text = "";
      body.setEncoding("utf8");
      body.on("data", (part: string) => (text += part));
      body.on("end", () => resolve({ body: text, tookMs: performance.now() - began, head }));
      body.on("error", reject);
    }).on("error", reject);
  });
}
const GZIP = { "Accept-Encoding": "gzip" };

/** The address of a channel that asks for this along with the attaching. */
const channelUrl = (base: string, path: string, more = "") =>
  `${base}/channels/${randomUUID()}?get=${encodeURIComponent(JSON.stringify([{ request_id: "r1", path, priority: 0 }]))}${more}`;

/** Reads a request to its `done`. */
const readers: Record<string, (base: string, path: string, compressed: boolean) => Promise<void>> = {
  WebSocket: (base, path, compressed) => new Promise((resolve, reject) => {
    const protocols = [...(compressed ? ["rowcast.deflate"] : []), "rowcast", `bearer.${token}`];
    const socket = new WebSocket(channelUrl(base, path).replace(/^http/, "ws"), protocols, { perMessageDeflate: false });
    const inflate = createInflateRaw({ flush: constants.Z_SYNC_FLUSH });
    const see = watchForDone(() => (socket.terminate(), resolve()));
    inflate.on("data", see);
    socket.on("message", (data: Buffer, isBinary: boolean) => (isBinary ? inflate.write(data) : see(data)));
    socket.on("error", reject);
  }),
  "Server-Sent Events": (base, path, compressed) => stream(channelUrl(base, path), "text/event-stream", compressed),
  NDJSON: (base, path, compressed) => stream(channelUrl(base, path), "application/x-ndjson", compressed),
  "long-poll": async (base, path, compressed) => {
    let url = channelUrl(base, path, "&wait=0");
    for (;;) {
      const { body, head } = await plain(url, { Accept: "application/json", ...(compressed ? GZIP : {}) });
      if (body.includes('"type":"done"')) return;
      url = `${new URL(url).origin}${new URL(url).pathname}?after=${head.headers.sequence}&wait=5`;
    }
  },
};

/** Calls back when the end of the request stands in what is read. */
function watchForDone(found: () => void): (part: Buffer) => void {
  let tail = "";
  return (part) => {
    const text = tail + part.toString("latin1");
    if (text.includes('"type":"error"')) throw new Error(text.slice(-500));
    if (text.includes('"type":"done"')) found();
    tail = text.slice(-20);
  };
}

function stream(url: string, accept: string, compressed: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false });
    const request = httpGet(url, { agent, headers: { Authorization: `Bearer ${token}`, Accept: accept, ...(compressed ? GZIP : {}) } }, (head) => {
      const body = head.headers["content-encoding"] === "gzip" ? head.pipe(createGunzip({ flush: constants.Z_SYNC_FLUSH })) : head;
      body.on("data", watchForDone(() => (request.destroy(), resolve())));
      body.on("error", () => {});
    });
    request.on("error", reject);
  });
}

/** What came down the link while this was done. */
async function bytesOf(what: (base: string) => Promise<unknown>): Promise<number> {
  const link = await SlowLink.to(dev.port, FREE);
  await what(link.url);
  link.close();
  return link.down.bytes;
}

async function bytesByTransport(): Promise<void> {
  line(`${TICKETS} tickets with contacts, bytes`, "plain", "compressed", "of gzip");
  const whole = await plain(dev.url + ALL, {});
  const gzip = await bytesOf((base) => plain(base + ALL, GZIP));
  line("plain GET", count(await bytesOf((base) => plain(base + ALL, {}))), count(gzip), "1.00");
  for (const [name, read] of Object.entries(readers)) {
    const text = await bytesOf((base) => read(base, ALL, false));
    const packed = await bytesOf((base) => read(base, ALL, true));
    line(name, count(text), count(packed), (packed / gzip).toFixed(2));
  }
  for (const level of [1, 6]) line(`the GET's body by zlib, level ${level}`, "", count(gzipSync(whole.body, { level }).length));
}

function open(base: string, options: Partial<Options> = {}): Client<Schema> {
  return createClient<Schema>({
    url: base, token, keys, persist: false, shareTabs: false, transports: ["ws"],
    WebSocket: WebSocket as unknown as NonNullable<Options["WebSocket"]>, ...options,
  });
}

/** What a person waits for: a screen of tickets, each with its contact. */
function screen(client: Client<Schema>): { shown: Promise<number>; all: Promise<number>; whole(): boolean } {
  const began = performance.now();
  const newest = client.from("tickets").order("updated_at", { descending: true }).order("id").include("contacts");
  const first = newest.limit(SCREEN).priority(0).live();
  const rest = newest.priority(5).live();
  const isShown = () =>
    first.rows.length === SCREEN &&
    first.rows.every(({ contact_id: contact }) => contact === null || client.get("contacts", contact) !== undefined);
  const shown = new Promise<number>((resolve) => {
    const look = () => isShown() && resolve(performance.now() - began);
    client.store.listeners.add(look);
    first.subscribe(look);
  });
  const all = rest.ready.then(() => performance.now() - began);
  return { shown, all, whole: () => rest.state === "ready" && rest.rows.length === TICKETS };
}

async function slowly(): Promise<void> {
  const times: Record<"ours" | "plain" | "alone", number[]> = { ours: [], plain: [], alone: [] };
  const firstBytes: number[] = [];
  for (let at = 0; at < REPEATS; at++) {
    const link = await SlowLink.to(dev.port, SLOW);
    times.plain.push((await plain(link.url + FIRST, GZIP)).tookMs);
    link.close();
    const ours = await SlowLink.to(dev.port, SLOW);
    const client = open(ours.url);
    times.ours.push(await screen(client).shown);
    firstBytes.push(ours.down.bytes);
    await client.close();
    ours.close();
    // The same by the server alone, without what follows.
    const bare = await SlowLink.to(dev.port, SLOW);
    const began = performance.now();
    await readers.WebSocket?.(bare.url, FIRST, true);
    times.alone.push(performance.now() - began);
    bare.close();
  }
  const link = await SlowLink.to(dev.port, SLOW);
  const everything = await plain(link.url + ALL, GZIP);
  const gzipBytes = link.down.bytes;
  link.close();

  const ours = await SlowLink.to(dev.port, SLOW);
  const indexedDB = new IDBFactory();
  const client = open(ours.url, { indexedDB, persist: true });
  const { shown, all, whole } = screen(client);
  await shown;
  const allMs = await all;
  if (!whole()) throw new Error("not everything is here");
  const ourBytes = ours.down.bytes;
  await until("it is caught up", () => client.status.isCaughtUp);
  await client.persist.flush();
  await client.close();
  // What the connection that was closed still carries is not the next one's.
  await new Promise((resolve) => setTimeout(resolve, 1_000));

  const inOrder = [...times.ours];
  const [plainMs, oursMs] = [median(times.plain), median(times.ours)];
  console.log(`\n${SLOW.bitsPerSecond / 1_000} kbit/s, ${2 * SLOW.delayMs} ms round trips; connections are opened within the times`);
  line("", "ours", "plain gzip", "aim");
  line(`${SCREEN} tickets with contacts, usable`, ms(oursMs), ms(plainMs), `+${ms(2 * SLOW.delayMs)}`);
  line("    ours, each", ...inOrder.map(Math.round));
  line("    by a WebSocket that asks for nothing else", ms(median(times.alone)));
  line("    bytes down by then, each", ...firstBytes.map(count));
  line("all of it", ms(allMs), ms(everything.tookMs));
  line("    bytes down, with the first screen", count(ourBytes), count(gzipBytes), `${(ourBytes / gzipBytes).toFixed(2)}`);
  line("first screen ahead of all by plain gzip", `${(everything.tookMs / oursMs).toFixed(1)} times`, "", "10 times");

  // Who comes back.
  const [row] = (await dev.call("GET", "/tickets?status=eq.open&order=updated_at.desc&limit=1")) as { id: number }[];
  await dev.call("PATCH", `/tickets/${row?.id}`, { subject: "Changed while nobody looked" });
  // On the same link, whose address is part of the cache's name.
  const bytesBefore = ours.down.bytes;
  const back = open(ours.url, { indexedDB, persist: true });
  const began = performance.now();
  const visit = screen(back);
  const cachedMs = await visit.shown;
  const bytesThen = ours.down.bytes - bytesBefore;
  await until("the change is here", () => back.status.isCaughtUp && back.get("tickets", row?.id as number)?.subject === "Changed while nobody looked");
  line("return visit: first screen from the cache", ms(cachedMs), "", `${count(bytesThen)} bytes`);
  line("    up to date", ms(performance.now() - began), "", `${count(ours.down.bytes - bytesBefore)} bytes`);
  await back.close();
  ours.close();
}

try {
  if (!process.env.QUICK) await bytesByTransport();
  await slowly();
} finally {
  await dev.end();
}
process.exit(0);
