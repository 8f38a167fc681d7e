// Builds the package (dist/) and the page (demo/dist/): `node build/build.mjs [package|bundle|page]`;
// `bundle` is the package without its types.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const what = process.argv[2] ?? "all";
const common = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  sourcemap: true,
  legalComments: "none",
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false, jsx: "react-jsx" } },
  logLevel: "warning",
};

if (what !== "page") {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  // Names that nobody outside sees are shortened: not those of the API, of the wire, of what tabs say
  // to each other, and of what is kept.
  const internal = `addAction arriving asks asynchronously batch bytesMax caughtUp channelOpened
    confirmed coverages draw exclusively factory fetchRows floor forget hears holds host hydrate
    invalidate isKept isScarce keyColumns keyOf leads local lines onSaved onState openRequests
    options overlays pins position present problemOf pump putAction reached recall refetchSoon
    remember removeAction requestEnded requestOpened restart spec stamp store streamRows tell undraw
    urlOf vias waited writes follows afterMs ended opened handler saved users started
    inbox server http hasStarted waits queries ride orphaned recalled link refetch attached isWatched restore preload refusal ask bytesLeft heard awaits askRows loadLater queue setStatus fetchNoticed heardBy knows known isOnline isOpen prefix save shared thaw freeze`;
  const mangleProps = new RegExp(`^(${internal.split(/\s+/).join("|")})$`);
  await build({
    ...common,
    mangleProps,
    entryPoints: ["src/index.ts"],
    outdir: "dist",
    splitting: true,
    chunkNames: "[name]-[hash]",
  });
  // The hooks must not bring a second client along: they import the package's own.
  await build({
    ...common,
    entryPoints: ["src/react.ts"],
    outfile: "dist/react.js",
    external: ["react", "./index.js"],
    alias: {},
  });
}
if (what !== "page" && what !== "bundle") {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.types.json"], { cwd: root, stdio: "inherit" });
}
if (what === "all" || what === "page") {
  rmSync(join(root, "demo", "dist"), { recursive: true, force: true });
  mkdirSync(join(root, "demo", "dist"), { recursive: true });
  await build({
    ...common,
    entryPoints: { page: "demo/main.tsx" },
    outdir: "demo/dist",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  for (const file of ["index.html", "page.css"]) {
    copyFileSync(join(root, "demo", file), join(root, "demo", "dist", file));
  }
}
