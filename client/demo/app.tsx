/** The inbox as a whole: what is chosen, the keyboard, and what happens beside the tickets. */
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ConflictError, type Outcome } from "../src/index.ts";
import { useClient, useQuery, useStatus } from "../src/react.ts";
import { Figures } from "./figures.tsx";
import { TicketList } from "./list.tsx";
import type { DemoUser } from "./main.tsx";
import type { Schema } from "./schema.ts";
import { setSlow } from "./throttle.ts";
import { TicketView } from "./ticket.tsx";

export type Ticket = Schema["tickets"]["Row"];
export type Person = Schema["users"]["Row"];
export type Label = Schema["labels"]["Row"];

const VIEWS = ["open", "pending", "solved", "closed"] as const;
type View = (typeof VIEWS)[number];
type Network = "fast" | "2g" | "offline";

const CONNECTION: Record<string, string> = {
  open: "live", connecting: "connecting", waiting: "reconnecting", offline: "offline", idle: "starting",
  frozen: "paused", "frozen-offline": "paused", renewing: "signing in", stopped: "stopped",
};

export function App({ me, users, become }: { me: DemoUser; users: DemoUser[]; become: (user: string) => void }) {
  const client = useClient<Schema>();
  const status = useStatus();
  const [view, setView] = useState<View>("open");
  const [search, setSearch] = useState("");
  const [chosen, setChosen] = useState<number | undefined>();
  const [showFigures, setShowFigures] = useState(() => innerWidth > 1_200);
  const [network, setNetwork] = useState<Network>("fast");
  const query = useMemo(
    () => client.from("tickets").eq("status", view).order("updated_at", { descending: true }),
    [client, view],
  );
  const tickets = useQuery<Ticket>(query);
  const people = useQuery<Person>(useMemo(() => client.from("users").order("name").priority(0), [client]));
  const labels = useQuery<Label>(useMemo(() => client.from("labels").order("name").priority(0), [client]));
  const shown = useMemo(() => {
    const word = search.trim().toLowerCase();
    return word ? tickets.rows.filter((ticket) => ticket.subject.toLowerCase().includes(word)) : tickets.rows;
  }, [tickets.rows, search]);

  const step = useCallback(
    (by: number) => {
      const at = shown.findIndex((ticket) => ticket.id === chosen);
      const next = shown[Math.min(shown.length - 1, Math.max(0, at + by))];
      if (next) setChosen(next.id);
    },
    [shown, chosen],
  );
  useKeys({
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Escape: () => setChosen(undefined),
    r: () => document.querySelector<HTMLElement>("#reply")?.focus(),
    e: () => document.querySelector<HTMLElement>("[data-status=closed]")?.click(),
    "/": () => document.querySelector<HTMLElement>("#search")?.focus(),
    f: () => setShowFigures((shown) => !shown),
  });

  const change = (next: Network) => {
    setNetwork(next);
    setSlow(next === "2g");
    client.setOnline(next !== "offline");
  };
  const counts = `${tickets.rows.length.toLocaleString("en")} ${view}`;
  return (
    <div className={`app${chosen === undefined ? "" : " has-ticket"}${showFigures ? " has-figures" : ""}`}>
      <header className="bar">
        <h1>
          <span aria-hidden="true" className="mark" /> Inbox
        </h1>
        <span className={`pill ${status.state}`} role="status" data-connection={status.state}>
          {CONNECTION[status.state]}
          {status.pending > 0 && ` · ${status.pending} unsent`}
        </span>
        <span className="gap" />
        <fieldset className="switch">
          <legend className="hidden">Network</legend>
          {(["fast", "2g", "offline"] as const).map((each) => (
            <label key={each}>
              <input type="radio" name="network" value={each} checked={network === each} onChange={() => change(each)} />
              <span>{{ fast: "Online", "2g": "2G", offline: "Offline" }[each]}</span>
            </label>
          ))}
        </fieldset>
        <select aria-label="User" value={me.user} onChange={(event) => become(event.target.value)}>
          {users.map((user) => (
            <option key={user.user} value={user.user}>
              Organization {user.organization}, user {user.user}
            </option>
          ))}
        </select>
        <Theme />
        <button type="button" className="quiet" aria-pressed={showFigures} onClick={() => setShowFigures(!showFigures)}>
          Figures
        </button>
      </header>
      <nav className="side" aria-label="Tickets">
        <div className="tabs" role="group" aria-label="Status">
          {VIEWS.map((each) => (
            <button type="button" key={each} aria-pressed={view === each} onClick={() => setView(each)}>
              {each}
            </button>
          ))}
        </div>
        <div className="find">
          <input
            id="search" type="search" placeholder="Search subjects  ( / )" aria-label="Search subjects" value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <span className="count" data-state={tickets.state} data-count={tickets.rows.length}>
            {counts}
            {tickets.state === "loading" && " …"}
            {tickets.state === "cached" && " · from cache"}
          </span>
        </div>
        <TicketList tickets={shown} state={tickets.state} people={people.rows} chosen={chosen} choose={setChosen} />
      </nav>
      <main className="stage">
        {chosen === undefined ? (
          <div className="empty">
            <p className="big">Choose a ticket</p>
            <p>
              <kbd>j</kbd> <kbd>k</kbd> move, <kbd>r</kbd> reply, <kbd>e</kbd> close, <kbd>/</kbd> search, <kbd>f</kbd> figures,{" "}
              <kbd>Esc</kbd> back
            </p>
            <p>Open this page in a second window and watch changes arrive.</p>
          </div>
        ) : (
          <TicketView key={chosen} id={chosen} me={me} people={people.rows} labels={labels.rows} back={() => setChosen(undefined)} />
        )}
      </main>
      {showFigures && <Figures />}
      <Notices />
    </div>
  );
}

/** Light, dark, or as the system is. */
function Theme() {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  return (
    <select aria-label="Theme" className="theme" value={theme} onChange={(event) => setTheme(event.target.value)}>
      <option value="auto">Auto</option>
      <option value="light">Light</option>
      <option value="dark">Dark</option>
    </select>
  );
}

/** What became of writes that did not go as they were drawn. */
function Notices() {
  const client = useClient<Schema>();
  const [notices, setNotices] = useState<{ key: number; outcome: Outcome }[]>([]);
  useEffect(() => {
    let count = 0;
    return client.onOutcome((outcome) => {
      if (outcome.error) setNotices((before) => [...before.slice(-2), { key: ++count, outcome }]);
    });
  }, [client]);
  const drop = (key: number) => setNotices((before) => before.filter((notice) => notice.key !== key));
  return (
    <div className="notices" role="log" aria-label="Notices">
      {notices.map(({ key, outcome: { action, error } }) => (
        <div className="notice" key={key}>
          <strong>{error instanceof ConflictError ? "Somebody else was faster" : "That did not work"}</strong>
          <p>{error instanceof ConflictError ? difference(error) : error?.message}</p>
          {error instanceof ConflictError && (
            <button
              type="button"
              onClick={() => {
                drop(key);
                client.update("tickets", action.key, action.values, { conflict: "mine" }).catch(() => {});
              }}
            >
              Keep mine
            </button>
          )}
          <button type="button" onClick={() => drop(key)}>
            {error instanceof ConflictError ? "Keep theirs" : "Dismiss"}
          </button>
        </div>
      ))}
    </div>
  );
}

const difference = ({ action, mine, theirs }: ConflictError): string =>
  Object.keys(action.values).map((name) => `${name}: yours ${String(mine[name])}, theirs ${String(theirs?.[name])}`).join("; ");

/** Keys that act where nobody is typing. */
function useKeys(keys: Record<string, () => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const handle = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
      if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
      if (typing) return target.blur();
      const act = latest.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", handle);
    return () => removeEventListener("keydown", handle);
  }, []);
}
