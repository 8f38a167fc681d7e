/** The page in a real Chromium, against a real server: what a person would see and do. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Browser, type BrowserContext, type Page, type Route, chromium } from "playwright-core";
import { Dev, chromiumPath, until } from "../support/dev.ts";

const SHOTS = process.env.ROWCAST_SCREENSHOTS;
const executablePath = chromiumPath();
const skip = executablePath ? false : "there is no Chromium";
/** The page puts its client there. */
declare const rowcast: {
  figures: { requests: { path: string; rows: number }[]; bytesReceived: number; bytesSaved: number; changes: number };
  status: { state: string; via: string; isLeader: boolean; isCaughtUp: boolean; pending: number; reason?: string };
  get(resource: string, id: number): Record<string, unknown> | undefined;
  onStatus(listener: () => void): void;
  from(resource: string): { limit(rows: number): PromiseLike<unknown> };
  prefetch(query: unknown): Promise<boolean>;
};

let dev: Dev;
let browser: Browser;
const contexts: BrowserContext[] = [];
before(async () => {
  if (skip) return;
  dev = await Dev.start();
  browser = await chromium.launch({
    executablePath: executablePath as string,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});
after(async () => {
  await browser?.close();
  await dev?.end();
});

const failures: string[] = [];
async function context(options: Parameters<Browser["newContext"]>[0] = {}): Promise<BrowserContext> {
  const made = await browser.newContext({ viewport: { width: 1360, height: 820 }, ...options });
  made.setDefaultTimeout(15_000);
  made.on("weberror", (error) => failures.push(String(error.error().stack)));
  contexts.push(made);
  return made;
}
async function open(where: BrowserContext, query = ""): Promise<Page> {
  const page = await where.newPage();
  await page.goto(`${dev.url}/${query}`);
  await page.waitForSelector(".item");
  return page;
}
const ready = (page: Page) => page.waitForSelector('.count[data-state="ready"]');
const caughtUp = (page: Page) => page.waitForFunction(() => rowcast.status.isCaughtUp && rowcast.status.pending === 0);
const shot = async (page: Page, name: string) => {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
};
async function leave(): Promise<void> {
  for (const each of contexts.splice(0)) await each.close();
  assert.deepEqual(failures.splice(0), []);
}

test("the list streams in, a ticket opens at once, and a second window follows", { skip }, async () => {
  const one = await open(await context());
  const two = await open(await context(), "?user=2");
  await ready(one);
  await ready(two);
  await one.waitForFunction(() => rowcast.figures.requests.some(({ path }) => path.startsWith("/resources/ticket_labels")));
  const requests = await one.evaluate(() => rowcast.figures.requests.length);
  // A ticket that both may see.
  const id = Number(await two.getAttribute(".item >> nth=1", "data-ticket"));
  await one.click(`[data-ticket="${id}"]`);
  await one.waitForSelector('.messages[data-state="ready"] .message');
  const asked = await one.evaluate((from) => rowcast.figures.requests.slice(from).map(({ path }) => path), requests);
  assert.deepEqual(asked.filter((path) => path.includes("messages")), [], "its messages were there");
  await shot(one, "light");

  await two.click(`[data-ticket="${id}"]`);
  await one.fill("#reply", "I am looking into it.");
  await one.click(".reply .primary");
  await one.waitForSelector('.message >> text="I am looking into it."', { timeout: 500 });
  await two.waitForSelector('.message >> text="I am looking into it."');
  await two.waitForSelector('[data-status="pending"][aria-pressed="true"]');
  await one.selectOption(".actions label:last-child select", "urgent");
  await two.waitForFunction((ticket) => rowcast.get("tickets", ticket)?.priority === "urgent", id);
  await one.click(".labels button >> nth=0");
  await two.waitForSelector('.labels button[aria-pressed="true"]');
  await leave();
});

test("offline, everything goes on; back online, it is sent once, and conflicts are shown", { skip }, async () => {
  const one = await open(await context());
  await ready(one);
  await caughtUp(one);
  const id = Number(await one.getAttribute(".item >> nth=4", "data-ticket"));
  await one.click(`[data-ticket="${id}"]`);
  await one.waitForSelector(".message");
  const before = await one.locator(".message").count();
  await one.check('input[value="offline"]', { force: true });
  await one.waitForSelector('[data-connection="offline"]');
  await one.fill("#reply", "Written in a tunnel.");
  await one.click(".reply .primary");
  await one.selectOption(".actions label:last-child select", "low");
  await one.waitForFunction(() => rowcast.status.pending === 3);
  assert.equal(await one.locator(".message").count(), before + 1);
  await shot(one, "offline");
  await dev.call("PATCH", `/tickets/${id}`, { priority: "high" });
  await one.check('input[value="fast"]', { force: true });
  await one.waitForSelector(".notice");
  assert.match((await one.textContent(".notice")) ?? "", /priority: yours low, theirs high/);
  await caughtUp(one);
  const sent = (await dev.call("GET", `/messages?ticket_id=eq.${id}&order=id`)) as { body: string }[];
  assert.equal(sent.filter(({ body }) => body === "Written in a tunnel.").length, 1);
  await shot(one, "conflict");
  await one.click(".notice button >> nth=0");
  await until("mine is kept", async () => {
    const [row] = (await dev.call("GET", `/tickets?id=eq.${id}`)) as { priority: string }[];
    return row?.priority === "low";
  });
  await leave();
});

test("a return visit shows the cache first and transfers differences only", { skip }, async () => {
  const where = await context();
  const first = await open(where);
  await ready(first);
  await caughtUp(first);
  await first.waitForFunction(() => rowcast.figures.requests.some(({ path }) => path.startsWith("/resources/ticket_labels")));
  const all = await first.evaluate(() => rowcast.figures.bytesReceived);
  // What is written is written within a moment.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await first.close();
  const [row] = (await dev.call("GET", "/tickets?status=eq.open&order=updated_at.desc&limit=1")) as { id: number }[];
  await dev.call("PATCH", `/tickets/${row?.id}`, { subject: "Changed while nobody looked" });
  const again = await open(where);
  await again.waitForSelector('text="Changed while nobody looked"');
  await ready(again);
  const { paths, bytes, saved } = await again.evaluate(() => ({
    paths: rowcast.figures.requests.map(({ path }) => path),
    bytes: rowcast.figures.bytesReceived,
    saved: rowcast.figures.bytesSaved,
  }));
  assert.deepEqual(paths.filter((path) => /\/(tickets|users|labels)\b/.test(path)), [], "nothing that was there is asked for");
  assert.ok(bytes < all / 10, `${bytes} of ${all} bytes`);
  assert.ok(saved > bytes * 5, `${saved} saved, ${bytes} received`);
  await leave();
});

for (const via of ["sse", "poll"]) {
  test(`where WebSockets are blocked, ${via} serves as well`, { skip }, async () => {
    const page = await open(await context(), `?via=${via}&alone`);
    await ready(page);
    assert.equal(await page.evaluate(() => rowcast.status.via), via);
    const id = Number(await page.getAttribute(".item >> nth=2", "data-ticket"));
    await dev.call("PATCH", `/tickets/${id}`, { subject: `Told by ${via}` });
    await page.waitForSelector(`text="Told by ${via}"`);
    await leave();
  });
}

test("many tabs share one connection, and the next one takes over within a second", { skip }, async () => {
  const where = await context();
  let sockets = 0;
  where.on("page", (page) => page.on("websocket", () => sockets++));
  const pages: Page[] = [];
  for (let at = 0; at < 8; at++) pages.push(await open(where));
  for (const page of pages) await ready(page);
  assert.equal(sockets, 1);
  const id = Number(await pages[0]?.getAttribute(".item >> nth=3", "data-ticket"));
  const told = (text: string, rest: Page[]) =>
    Promise.all(rest.map((page) => page.waitForFunction(([ticket, word]) => rowcast.get("tickets", ticket as number)?.subject === word, [id, text] as const)));
  await dev.call("PATCH", `/tickets/${id}`, { subject: "To all tabs" });
  await told("To all tabs", pages);
  const leads = await Promise.all(pages.map((page) => page.evaluate(() => rowcast.status.isLeader)));
  assert.equal(leads.filter(Boolean).length, 1);
  const rest = pages.filter((_, at) => !leads[at]);
  for (const page of rest) {
    await page.evaluate(() => rowcast.onStatus(() => {
      const { isLeader, state } = rowcast.status;
      if (isLeader && state === "open") Object.assign(globalThis, { ledAt: Date.now() });
    }));
  }
  const closed = Date.now();
  await pages[leads.indexOf(true)]?.close();
  const led = await Promise.any(rest.map((page) => page.waitForFunction(() => (globalThis as { ledAt?: number }).ledAt)));
  const taken = ((await led.jsonValue()) as number) - closed;
  assert.ok(taken < 1_000, `${taken} ms`);
  await dev.call("PATCH", `/tickets/${id}`, { subject: "After the change of guard" });
  await told("After the change of guard", rest);
  assert.equal(sockets, 2);

  // A page that is frozen gives the connection up, and follows again when it thaws.
  const holder = await until("somebody leads", async () => {
    for (const page of rest) if (await page.evaluate(() => rowcast.status.isLeader)) return page;
    return undefined;
  });
  await holder.evaluate(() => document.dispatchEvent(new Event("freeze")));
  const others = rest.filter((page) => page !== holder);
  await Promise.any(others.map((page) => page.waitForFunction(() => rowcast.status.isLeader && rowcast.status.state === "open")));
  await dev.call("PATCH", `/tickets/${id}`, { subject: "While one slept" });
  await told("While one slept", others);
  await holder.evaluate(() => document.dispatchEvent(new Event("resume")));
  await dev.call("PATCH", `/tickets/${id}`, { subject: "All awake" });
  await told("All awake", rest);
  assert.equal(sockets, 3);
  await leave();
});

test("fifty tabs share one connection, and each hears everything, also when the one that has it goes", { skip }, async () => {
  const where = await context();
  let sockets = 0;
  where.on("page", (page) => page.on("websocket", () => sockets++));
  // The package as it is built, on a page that draws nothing: fifty inboxes would measure the machine.
  const html = `<!doctype html><title>light</title><script type="module">
    import { createClient } from "./index.js";
    globalThis.rowcast = createClient({ token: ${JSON.stringify(dev.tokens[0])} });
    globalThis.live = rowcast.from("tickets").order("id").limit(25).live();
  </script>`;
  const dist = join(process.env.ROWCAST_CLIENT ?? ".", "dist");
  await where.route("**/light/*", (route) => {
    const name = new URL(route.request().url()).pathname.slice("/light/".length);
    return name ? route.fulfill({ path: join(dist, name) }) : route.fulfill({ contentType: "text/html", body: html });
  });
  const pages: Page[] = [];
  for (let at = 0; at < 50; at++) {
    const page = await where.newPage();
    await page.goto(`${dev.url}/light/`);
    pages.push(page);
  }
  const all = (say: string, of = pages) => Promise.all(of.map((page) => page.waitForFunction(
    (subject) => {
      const { rows, state } = (globalThis as unknown as { live: { rows: { id: number; subject: string }[]; state: string } }).live;
      return state === "ready" && rows.length === 25 && (!subject || rows.some((row) => row.subject === subject));
    }, say, { polling: 50, timeout: 60_000 },
  )));
  await all("");
  assert.equal(sockets, 1);
  const [row] = (await dev.call("GET", "/tickets?order=id&limit=1")) as { id: number }[];
  await dev.call("PATCH", `/tickets/${row?.id}`, { subject: "To all fifty" });
  await all("To all fifty");
  const leads = await Promise.all(pages.map((page) => page.evaluate(() => rowcast.status.isLeader)));
  assert.equal(leads.filter(Boolean).length, 1);
  const rest = pages.filter((_, at) => !leads[at]);
  await pages[leads.indexOf(true)]?.close();
  await dev.call("PATCH", `/tickets/${row?.id}`, { subject: "To the other forty-nine" });
  await all("To the other forty-nine", rest);
  assert.equal(sockets, 2);
  await leave();
});

test("the panel tells what has happened, and the switch makes a slow link of a fast one", { skip }, async () => {
  const page = await open(await context());
  await ready(page);
  await caughtUp(page);
  const figure = async (name: string) => (await page.textContent(`.figures dt:text-is("${name}") + dd`)) ?? "";
  await until("the figures are there", async () => /^[1-9]/.test(await figure("Version")) && /^[1-9]/.test(await figure("Rows received")));
  assert.match(await figure("Connection"), /^WebSocket/);
  assert.equal(await figure("Equal to the database"), "yes");
  for (const name of ["First row", "Done"]) assert.match(await figure(name), /^[\d,.]+ m?s$/, name);
  assert.match(await figure("Received"), /^[\d,.]+ \w?B/);
  const notices = Number((await figure("Notices")).replace(/,/g, ""));
  const id = Number(await page.getAttribute(".item >> nth=2", "data-ticket"));
  await dev.call("PATCH", `/tickets/${id}`, { subject: "Counted" });
  await until("the notice is counted", async () => Number((await figure("Notices")).replace(/,/g, "")) > notices);
  const tookMs = () => page.evaluate(async () => {
    const began = performance.now();
    await rowcast.from("tickets").limit(1);
    return performance.now() - began;
  });
  await page.check('input[value="2g"]', { force: true });
  // The answer cannot be there before a round trip is over, however fast the machine.
  const slow = await tookMs();
  assert.ok(slow >= 290, `${slow} ms`);
  await shot(page, "figures");
  await page.check('input[value="fast"]', { force: true });
  await until("it is fast again", async () => (await tookMs()) < 290);
  await leave();
});

test("whoever saves data gets what was asked for, and nothing ahead of it", { skip }, async () => {
  const where = await context();
  await where.addInitScript(() => Object.defineProperty(navigator, "connection", { value: { saveData: true } }));
  const page = await open(where, "?alone");
  await ready(page);
  assert.equal(await page.evaluate(() => rowcast.prefetch(rowcast.from("labels").limit(2))), false);
  const asked = () => page.evaluate(() => rowcast.figures.requests.filter(({ path }) => path.includes("/messages")).length);
  assert.equal(await asked(), 0);
  await page.click(".item >> nth=1");
  await page.waitForSelector('.messages[data-state="ready"] .message');
  assert.equal(await asked(), 1);
  await leave();
});

test("nothing keeps people from using it", { skip }, async () => {
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  for (const [name, options] of Object.entries({
    light: { colorScheme: "light" }, dark: { colorScheme: "dark" },
    phone: { viewport: { width: 390, height: 780 }, colorScheme: "dark" },
  } as const)) {
    const page = await open(await context({ ...options, bypassCSP: true, reducedMotion: "reduce" }));
    await ready(page);
    await shot(page, `${name}-list`);
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.waitForSelector(".message");
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe.run();
      return violations.map(({ id, impact, nodes }) => `${impact}: ${id}: ${nodes[0]?.html.slice(0, 120)} ${nodes[0]?.failureSummary}`);
    });
    assert.deepEqual(found, [], name);
    await page.keyboard.press("r");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "reply");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".ticket", { state: "detached" });
    await leave();
  }
});

test("kill -9 of the server is survived, with what was written meanwhile", { skip }, async () => {
  const page = await open(await context());
  await ready(page);
  await caughtUp(page);
  const id = Number(await page.getAttribute(".item >> nth=1", "data-ticket"));
  await page.click(`[data-ticket="${id}"]`);
  await page.waitForSelector(".message");
  await dev.kill();
  await page.waitForSelector('[data-connection="waiting"], [data-connection="connecting"]');
  await page.fill("#reply", "Is anybody there?");
  await page.click(".reply .primary");
  await page.waitForSelector('.message >> text="Is anybody there?"');
  await dev.up();
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.waitForFunction(() => rowcast.status.isCaughtUp && rowcast.status.pending === 0, undefined, { timeout: 30_000 });
  await page.waitForSelector(".message.drawn", { state: "detached" });
  const sent = (await dev.call("GET", `/messages?ticket_id=eq.${id}`)) as { body: string }[];
  assert.equal(sent.filter(({ body }) => body === "Is anybody there?").length, 1);
  const [other] = (await dev.call("GET", "/tickets?status=eq.open&order=updated_at.desc&limit=1")) as { id: number }[];
  await dev.call("PATCH", `/tickets/${other?.id}`, { subject: "After the crash" });
  await page.waitForSelector('text="After the crash"');
  await leave();
});

test("colleagues see each other, who is typing, and what is not stored yet; what is refused is withdrawn", { skip }, async () => {
  const [one, two] = [await open(await context()), await open(await context(), "?user=2")];
  await ready(one);
  await ready(two);
  const id = Number(await two.getAttribute(".item >> nth=1", "data-ticket"));
  for (const page of [one, two]) {
    await page.click(`[data-ticket="${id}"]`);
    await page.waitForSelector('.messages[data-state="ready"] .message');
  }
  const here = (page: Page, words: RegExp) =>
    page.waitForFunction((source) => new RegExp(source).test(document.querySelector(".present")?.textContent ?? ""), words.source);
  await here(one, /looking/);
  await here(two, /looking/);
  // Typing is seen while somebody types, and not a moment after.
  await two.fill("#reply", "On its way");
  await here(one, /is typing…/);
  await two.waitForFunction(() => rowcast.status.isCaughtUp);
  await shot(one, "typing");
  await here(one, /^[^…]*looking$/);
  // The write is held back on its way: the other window has the message before the database.
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let answer = (route: Route) => held.then(() => route.continue());
  await two.route("**/messages", (route) => (route.request().method() === "POST" ? answer(route) : route.continue()));
  await two.fill("#reply", "Seen before it is stored");
  await two.press("#reply", "Control+Enter");
  await one.waitForSelector('.message.drawn:has-text("Seen before it is stored")');
  assert.deepEqual(await dev.call("GET", `/messages?ticket_id=eq.${id}&body=eq.Seen before it is stored`), []);
  await shot(one, "announced");
  release();
  await one.waitForSelector('.message:not(.drawn):has-text("Seen before it is stored")');
  assert.equal(await one.locator('.message:has-text("Seen before it is stored")').count(), 1);
  // One that the database refuses is taken back.
  answer = (route) => {
    const body = JSON.parse(route.request().postData() ?? "{}") as object;
    return route.continue({ postData: JSON.stringify({ ...body, ticket_id: -1 }) });
  };
  let drawn = 0;
  await one.exposeFunction("drawnNow", () => void drawn++);
  await one.evaluate(() => new MutationObserver(() => {
    if (document.querySelector(".message.drawn")?.textContent?.includes("Never stored")) void (globalThis as unknown as { drawnNow(): void }).drawnNow();
  }).observe(document.body, { subtree: true, childList: true }));
  await two.fill("#reply", "Never stored");
  await two.press("#reply", "Control+Enter");
  await until("drawn", () => drawn > 0);
  await one.waitForFunction(() => !document.querySelector(".messages")?.textContent?.includes("Never stored"));
  await two.waitForFunction(() => !document.querySelector(".messages")?.textContent?.includes("Never stored"));
  // Who closes the window is gone.
  await two.close();
  await one.waitForFunction(() => document.querySelector(".present")?.textContent === "");
  await leave();
});

test("seventy reloads within a minute do not use up the channels of the user", { skip }, async () => {
  // Nothing is intercepted here: requests of a page that is gone would wait for ever.
  const page = await (await context()).newPage();
  let sockets = 0;
  page.on("websocket", () => sockets++);
  const began = Date.now();
  await page.goto(`${dev.url}/?alone&user=2`, { waitUntil: "commit" });
  for (let at = 0; at < 70; at++) {
    if (at) await page.reload({ waitUntil: "commit" });
    const state = await page.waitForFunction(() => {
      const { status } = (globalThis as { rowcast?: typeof rowcast }).rowcast ?? {};
      return status && (status.state === "open" || status.reason !== undefined) && `${status.state} ${status.reason ?? ""}`;
    }, undefined, { polling: 10 });
    assert.equal(await state.jsonValue(), "open ", `reload ${at}`);
  }
  // Channels that nobody ended would be gone by themselves after a while.
  assert.ok(Date.now() - began < 60_000);
  assert.equal(sockets, 70);
  await leave();
});
