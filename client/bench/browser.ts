/**
 * The client in Chromium: 5,000 tickets into the store and onto the page, then 1,000 changes a second
 * and what becomes of the frames. `npm run bench`, or `scripts/bench browser`.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { chromiumPath, until } from "../test/support/dev.ts";
import { desk, psql } from "./desk.ts";

const TICKETS = 5_000;
const SECONDS = 5;
/** Changes a second, in so many commits. */
const CHANGES = 1_000;
const COMMITS = 50;
const REPEATS = 5;

const root = process.env.ROWCAST_CLIENT ?? ".";
const executablePath = chromiumPath();
if (!executablePath) throw new Error("There is no Chromium.");
const page = await build({
  absWorkingDir: root, entryPoints: ["bench/page.ts"], bundle: true, write: false, format: "esm", minify: true,
  target: "es2022", define: { "process.env.NODE_ENV": '"production"' }, logLevel: "warning",
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
});
const script = page.outputFiles[0]?.text ?? "";
const percentile = (values: number[], part: number) => values.sort((a, b) => a - b)[Math.floor((values.length - 1) * part)] as number;
const line = (name: string, value: string) => console.log(name.padEnd(44), value);

execFileSync(process.execPath, [join(root, "build", "build.mjs"), "bundle"], { stdio: "inherit" });
const core = readFileSync(join(root, "dist", "index.js"));
line("dist/index.js, gzipped", `${gzipSync(core as unknown as Uint8Array, { level: 9 }).length.toLocaleString("en")} bytes (at most 15,000)`);

const dev = await desk(TICKETS);
const browser = await chromium.launch({
  executablePath,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
});
try {
  const open = async () => {
    const tab = await (await browser.newContext({ viewport: { width: 1360, height: 820 } })).newPage();
    await tab.route("**/bench.html", (route) => route.fulfill({ contentType: "text/html", body: '<!doctype html><div id="page"></div><script type="module" src="/bench.js"></script>' }));
    await tab.route("**/bench.js", (route) => route.fulfill({ contentType: "text/javascript", body: script }));
    await tab.goto(`${dev.url}/bench.html`);
    await tab.waitForFunction(() => globalThis.bench);
    return tab;
  };
  const firsts: number[] = [];
  const wholes: number[] = [];
  for (let at = 0; at < REPEATS; at++) {
    const tab = await open();
    await tab.evaluate((token) => globalThis.bench.draw(token), dev.tokens[0] as string);
    await tab.waitForFunction((count) => globalThis.bench.drawnMs !== undefined && document.querySelector("ul")?.dataset.count === count, String(TICKETS));
    const [first, whole] = await tab.evaluate(() => [globalThis.bench.firstMs as number, globalThis.bench.drawnMs as number]);
    firsts.push(first as number);
    wholes.push(whole as number);
    if (at < REPEATS - 1) {
      await tab.context().close();
      continue;
    }
    line("first rows drawn, median", `${percentile(firsts, 0.5).toFixed(0)} ms`);
    line(`${TICKETS} tickets in the store and drawn, median`, `${percentile(wholes, 0.5).toFixed(0)} ms`);
    await tab.evaluate(() => globalThis.bench.frames.begin());
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    report("frames of the page at rest", await tab.evaluate(() => globalThis.bench.frames.end()));
    const before = await tab.evaluate(() => globalThis.bench.client.figures.changes);
    await tab.evaluate(() => globalThis.bench.frames.begin());
    const took = write(dev.database);
    const began = performance.now();
    await took;
    const tookMs = performance.now() - began;
    const total = CHANGES * SECONDS;
    const seen = await until("all changes", async () => {
      const changes = (await tab.evaluate(() => globalThis.bench.client.figures.changes)) - before;
      return changes >= total * 0.99 && changes;
    }, 60_000);
    report(`frames while ${total} rows change`, await tab.evaluate(() => globalThis.bench.frames.end()));
    line("    written in; changes that came", `${(tookMs / 1_000).toFixed(1)} s; ${seen}`);
  }
} finally {
  await browser.close();
  await dev.end();
}
process.exit(0);

function report(name: string, intervals: number[]): void {
  const seconds = intervals.reduce((sum, each) => sum + each, 0) / 1_000;
  const perSecond = intervals.length / seconds;
  const late = intervals.filter((each) => each > 20.5).length;
  const long = [0.5, 0.95, 0.99, 1].map((part) => percentile(intervals, part).toFixed(1)).join(" / ");
  line(name, `${perSecond.toFixed(1)} a second; ms between them, median / p95 / p99 / longest: ${long}; ${late} of ${intervals.length} over 20.5 ms`);
}

/** Other rows each time, by another program, at the pace that is wanted. */
async function write(database: string): Promise<void> {
  const { spawn } = await import("node:child_process");
  const child = spawn(psql(), [database, "-q", "-v", "ON_ERROR_STOP=1"], { stdio: ["pipe", "ignore", "inherit"] });
  const each = CHANGES / COMMITS;
  const began = performance.now();
  for (let at = 0; at < SECONDS * COMMITS; at++) {
    const due = began + (at * 1_000) / COMMITS - performance.now();
    if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
    child.stdin.write(`with mine as (select id from tickets where organization_id = 1 order by id offset ${(at * each) % TICKETS} limit ${each})
      update tickets set priority = case priority when 'low' then 'high' else 'low' end, updated_at = clock_timestamp() where id in (select id from mine);\n`);
  }
  child.stdin.end();
  await new Promise((resolve, reject) => child.once("exit", (code) => (code === 0 ? resolve(code) : reject(new Error(`psql: ${code}`)))));
}
