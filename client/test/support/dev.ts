/** A `rowcast dev` of a test's own: started, killed, started again on the same data. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATIENCE_MS = 90_000;
const client = process.env.ROWCAST_CLIENT ?? ".";

/** The program: what is named, else the newest that was built. */
function program(): string {
  const target = process.env.CARGO_TARGET_DIR ?? join(client, "..", "target");
  const found = [process.env.ROWCAST_BIN, join(target, "debug", "rowcast"), join(target, "release", "rowcast")];
  const path = found.find((each) => each && existsSync(each));
  if (!path) throw new Error("There is no rowcast; run cargo build first.");
  return path;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || !address) throw new Error("no port");
  return address.port;
}

/** Ours, without the variables that would be settings. */
const environment = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ROWCAST_")));

export class Dev {
  private child: ChildProcess | undefined;
  private said = "";
  private others: ChildProcess[] = [];

  private constructor(readonly folder: string, readonly port: number) {}

  static async start(): Promise<Dev> {
    const folder = mkdtempSync(join(tmpdir(), "rowcast-client-"));
    // PostgreSQL runs as somebody else where we are root.
    chmodSync(folder, 0o755);
    const dev = new Dev(folder, await freePort());
    await dev.up();
    return dev;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Tokens of organization 1 user 1, organization 1 user 2, organization 2, organization 3. */
  get tokens(): string[] {
    return [...this.said.matchAll(/TOKEN=(\S+)/g)].map((match) => match[1] as string);
  }

  /** The address of the database. */
  get database(): string {
    return /postgres(?:ql)?:\/\/\S+/.exec(this.said)?.[0] ?? "";
  }

  /** A token of organization 1, user 1 or another, that ends after so many seconds. */
  token(seconds: number, sub = "1"): string {
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const now = Math.floor(Date.now() / 1_000);
    const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ org: "1", sub, iat: now, exp: now + seconds })}`;
    const secret = readFileSync(join(this.folder, "data", "jwt_secret"), "utf8").trim();
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  }

  async up(): Promise<void> {
    this.said = "";
    const page = join(client, "demo", "dist");
    const data = join(this.folder, "data");
    const child = spawn(program(), ["dev", "--listen", `127.0.0.1:${this.port}`, "--data-dir", data, "--page-dir", page], {
      stdio: ["ignore", "pipe", "pipe"],
      env: environment(),
    });
    this.child = child;
    let complained = "";
    child.stderr.on("data", (data) => (complained += data));
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`rowcast dev did not start: ${complained}`)), PATIENCE_MS);
      child.stdout.on("data", (data) => {
        this.said += data;
        if (this.said.includes("Ctrl-c stops it")) {
          clearTimeout(timer);
          resolve();
        }
      });
      child.once("exit", () => reject(new Error(`rowcast dev ended: ${complained}`)));
    });
  }

  /** Another server of the same database, with these settings as they stand in `rowcast.toml`. Its address. */
  async serve(settings: string): Promise<string> {
    const port = await freePort();
    const config = join(this.folder, `${port}.toml`);
    writeFileSync(config, settings);
    const secret = readFileSync(join(this.folder, "data", "jwt_secret"), "utf8").trim();
    this.others.push(spawn(program(), ["serve", "--listen", `127.0.0.1:${port}`, "--config", config], {
      stdio: "ignore",
      env: { ...environment(), DATABASE_URL: this.database, ROWCAST_JWT_SECRET: secret, ROWCAST_DATABASE_DEFAULT_ROLE: "helpdesk_agent" },
    }));
    const url = `http://127.0.0.1:${port}`;
    await until("the other server", () => fetch(`${url}/ready`).then((answer) => answer.ok, () => false), PATIENCE_MS);
    return url;
  }

  /** As a crash would, nothing is said, nothing is finished; or, by SIGTERM, in good order. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const { child } = this;
    if (!child) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  async end(): Promise<void> {
    for (const other of this.others.splice(0)) {
      const gone = new Promise((resolve) => other.once("exit", resolve));
      other.kill("SIGTERM");
      if (other.exitCode === null && other.signalCode === null) await gone;
    }
    const { child } = this;
    this.child = undefined;
    if (child && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Calls the server as somebody who has no client. */
  async call(method: string, path: string, body?: object, token = this.tokens[0]): Promise<unknown> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? undefined : answer.json();
  }
}

/** Waits until something holds; what it last was is told when it never does. */
export async function until<T>(what: string, look: () => T | Promise<T>, patienceMs = 15_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen as NonNullable<T>;
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The system's Chromium, if it has one. */
export function chromiumPath(): string | undefined {
  const found = [process.env.ROWCAST_TEST_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const path = found.find((each) => each && existsSync(each));
  if (path) execFileSync(path, ["--version"], { stdio: "ignore" });
  return path;
}
