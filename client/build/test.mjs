// Runs the tests of a folder of test/ (unit, server, browser): `node build/test.mjs unit [words…]`.
// The tests are TypeScript, and Node 20 runs none: each is bundled first.
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const [folder, ...words] = process.argv.slice(2);
const out = join(root, "node_modules", ".cache", "rowcast-tests", folder);
const wanted = (name) => words.length === 0 || words.some((word) => name.includes(word));
const files = readdirSync(join(root, "test", folder)).filter(
  (name) => name.endsWith(".test.ts") && wanted(name),
);
rmSync(out, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: files.map((name) => `test/${folder}/${name}`),
  outdir: out,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  sourcemap: "inline",
  logLevel: "warning",
});
const node = spawn(
  process.execPath,
  [
    "--enable-source-maps",
    "--test",
    "--test-concurrency=2",
    ...(process.env.ONLY ? [`--test-name-pattern=${process.env.ONLY}`] : []),
    ...files.map((name) => join(out, name.replace(/ts$/, "mjs"))),
  ],
  { cwd: root, stdio: "inherit", env: { ...process.env, ROWCAST_CLIENT: root } },
);
node.on("exit", (code) => process.exit(code ?? 1));
