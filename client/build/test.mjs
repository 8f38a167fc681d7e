// Runs the tests of a folder of test/ (unit, server, browser): `node build/test.mjs unit [words…]`.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bundle, root, run } from "./node.mjs";

const [folder, ...words] = process.argv.slice(2);
const out = join(root, "node_modules", ".cache", "rowcast-tests", folder);
const wanted = (name) => words.length === 0 || words.some((word) => name.includes(word));
const files = readdirSync(join(root, "test", folder)).filter(
  (name) => name.endsWith(".test.ts") && wanted(name),
);
rmSync(out, { recursive: true, force: true });
await bundle({
  entryPoints: files.map((name) => `test/${folder}/${name}`),
  outdir: out,
  outExtension: { ".js": ".mjs" },
});
run(
  "--test",
  "--test-concurrency=2",
  ...(process.env.ONLY ? [`--test-name-pattern=${process.env.ONLY}`] : []),
  ...files.map((name) => join(out, name.replace(/ts$/, "mjs"))),
);
