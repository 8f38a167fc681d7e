// Runs a bench of bench/: `node build/bench.mjs slow|browser`.
import { join } from "node:path";
import { bundle, root, run } from "./node.mjs";

const name = process.argv[2] ?? "browser";
const outfile = join(root, "node_modules", ".cache", "rowcast-bench", `${name}.mjs`);
await bundle({ entryPoints: [`bench/${name}.ts`], outfile });
run(outfile);
