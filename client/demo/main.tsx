/** The page's beginning: as whom, and with which client. */
import { createRoot } from "react-dom/client";
import { createClient } from "../src/index.ts";
import { RowcastProvider } from "../src/react.ts";
import { App } from "./app.tsx";
import { keys, type Schema } from "./schema.ts";
import { SlowSocket, slowFetch } from "./throttle.ts";

export interface DemoUser {
  organization: string;
  user: string;
  about: string;
  token: string;
  /** Whether tickets have keys, so that what colleagues tell each other about one can be encrypted. */
  secret?: boolean;
}

/** `?via=sse` and `?via=poll` try the lesser transports; `?user=2` is somebody else. */
const wishes = new URLSearchParams(location.search);

async function begin(): Promise<void> {
  const root = createRoot(document.getElementById("page") as HTMLElement);
  let users: DemoUser[];
  try {
    users = ((await (await fetch("/demo.json")).json()) as { users: DemoUser[] }).users;
    localStorage.setItem("users", JSON.stringify(users));
  } catch {
    // The server is away: what was here last time can be shown all the same.
    users = JSON.parse(localStorage.getItem("users") ?? "[]") as DemoUser[];
  }
  const wanted = wishes.get("user") ?? sessionStorage.getItem("user") ?? users[0]?.user;
  const me = users.find((user) => user.user === wanted) ?? users[0];
  if (!me) return root.render(<p className="fatal">The server does not answer. Is `rowcast dev` running?</p>);
  const via = wishes.get("via");
  const client = createClient<Schema>({
    token: me.token,
    keys,
    fetch: slowFetch,
    WebSocket: SlowSocket,
    ...(via === "sse" || via === "poll" ? { transports: [via], connectTimeoutMs: 3_000 } : {}),
    ...(wishes.has("alone") ? { shareTabs: false, persist: false } : {}),
  });
  Object.assign(globalThis, { rowcast: client });
  const become = (user: string) => {
    sessionStorage.setItem("user", user);
    location.search = "";
  };
  root.render(
    <RowcastProvider client={client}>
      <App me={me} users={users} become={become} />
    </RowcastProvider>,
  );
}

void begin();
