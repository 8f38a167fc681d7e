// Runs a bench of bench/: `node build/bench.mjs slow|browser`. Bundled first, as the tests are.
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const name = process.argv[2] ?? "browser";
const outfile = join(root, "node_modules", ".cache", "rowcast-bench", `${name}.mjs`);
await build({
  absWorkingDir: root,
  entryPoints: [`bench/${name}.ts`],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  sourcemap: "inline",
  logLevel: "warning",
});
const node = spawn(process.execPath, ["--enable-source-maps", outfile], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, ROWCAST_CLIENT: root },
});
node.on("exit", (code) => process.exit(code ?? 1));
