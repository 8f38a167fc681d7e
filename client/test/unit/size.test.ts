/** What a page has to load: measured as it is shipped. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const root = process.env.ROWCAST_CLIENT ?? ".";
const BYTES_MAX = 15_000;

test("the core, with persistence and loader, is at most 15 kB gzipped", () => {
  execFileSync(process.execPath, [join(root, "build", "build.mjs"), "bundle"]);
  const text = readFileSync(join(root, "dist", "index.js"), "utf8");
  assert.doesNotMatch(text, /^import[^(]/m, "nothing else is loaded before it runs");
  const bytes = gzipSync(text, { level: 9 }).length;
  assert.ok(bytes <= BYTES_MAX, `${bytes} bytes`);
});

test("the lock names no registry", () => {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  assert.doesNotMatch(lock, /"resolved"|https?:\/\/registry/);
});

test("every development dependency says why it is there, and is pinned", () => {
  const text = readFileSync(join(root, "package.json"), "utf8");
  const { "//": reasons, devDependencies, dependencies = {} } = JSON.parse(text) as Record<string, Record<string, string>>;
  const explained = Object.keys(reasons ?? {}).join(", ").split(", ");
  for (const [name, version] of Object.entries({ ...devDependencies, ...dependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.ok(explained.includes(name), name);
  }
});
