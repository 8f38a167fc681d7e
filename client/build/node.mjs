// What runs in Node straight from TypeScript, tests and benches: bundled first, since Node 20 runs none.
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Bundles for Node; the options say what, and where to. */
export const bundle = (options) =>
  build({
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    sourcemap: "inline",
    logLevel: "warning",
    ...options,
  });

/** Runs Node with these arguments, and ends as it does. */
export function run(...args) {
  const node = spawn(process.execPath, ["--enable-source-maps", ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ROWCAST_CLIENT: root },
  });
  node.on("exit", (code) => process.exit(code ?? 1));
}
