/** The hooks by themselves, in a document without a browser: what they show, how often, and what they leave. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
// @ts-expect-error: its types would be one more dependency, for one class.
import { JSDOM } from "jsdom";
import type { Root } from "react-dom/client";
import { Played } from "../support/server.ts";

// React looks for a document when it is loaded, so it is loaded behind it.
const dom = new JSDOM('<!doctype html><div id="page"></div>');
const { window } = dom;
for (const [name, value] of Object.entries({ window, document: window.document, navigator: window.navigator })) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
const { act: reactAct, createElement, Fragment, startTransition, useMemo, useState } = await import("react");
const { createRoot } = await import("react-dom/client");
const { RowcastProvider, useMutation, useQuery, useRow, useStatus } = await import("../../src/react.ts");

let root: Root;
let container: HTMLElement;
before(() => {
  container = dom.window.document.getElementById("page") as HTMLElement;
});
after(() => dom.window.close());

interface Ticket { id: number; subject: string }

/** Does this, and waits until everything is drawn that follows from it. Elsewhere React draws when it likes, as on a page. */
async function act<T>(run: () => Promise<T>): Promise<T> {
  const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
  environment.IS_REACT_ACT_ENVIRONMENT = true;
  try {
    return await reactAct(run);
  } finally {
    environment.IS_REACT_ACT_ENVIRONMENT = false;
  }
}

/** Draws this below a provider. */
async function show(played: Played, component: () => React.ReactNode): Promise<void> {
  root = createRoot(container);
  await act(async () => root.render(createElement(RowcastProvider, { client: played.client }, createElement(component))));
}
async function leave(played: Played): Promise<void> {
  await act(async () => root.unmount());
  await played.client.close();
}
const until = (played: Played, what: string, holds: () => boolean) => played.until(what, holds);
const ticket = (id: number, subject: string, version: number) => ({ type: "change", op: "update", resource: "tickets", id, version, row: { id, subject } });

/** Answers the request for this path with rows, in one piece. */
async function answer(played: Played, path: string, rows: object[]): Promise<void> {
  await until(played, path, () => played.gets.some((it) => it.path.startsWith(path)));
  const request_id = played.gets.find((it) => it.path.startsWith(path))?.id;
  const resource = path.split("?")[0]?.split("/").at(-1);
  await played.say(
    ...rows.map((row) => ({ type: "row", request_id, resource, version: 2, row })),
    { type: "done", request_id, rows: rows.length, version: 2, cursor: "c2" },
  );
}

test("a query is drawn once for each batch, and never in two states at once", async () => {
  const played = new Played({ persist: false });
  const drawn: string[] = [];
  const List = ({ name }: { name: string }) => {
    const query = useMemo(() => played.client.from("tickets").order("id"), []);
    const { rows, state } = useQuery<Ticket>(query);
    const text = `${state} ${rows.map((row) => row.subject).join(",")}`;
    drawn.push(`${name}: ${text}`);
    return createElement("p", { id: name }, text);
  };
  await show(played, () => createElement(Fragment, null, createElement(List, { name: "one" }), createElement(List, { name: "two" })));
  await played.open();
  await answer(played, "/resources/tickets", [{ id: 1, subject: "a" }, { id: 2, subject: "b" }, { id: 3, subject: "c" }]);
  await until(played, "both are ready", () => drawn.at(-1) === "two: ready a,b,c");

  drawn.length = 0;
  await played.say(ticket(1, "x", 3), ticket(2, "y", 3), ticket(3, "z", 3));
  await until(played, "the batch is drawn", () => container.textContent === "ready x,y,zready x,y,z");
  assert.deepEqual(drawn, ["one: ready x,y,z", "two: ready x,y,z"], "one render each for three changes");
  // A change that concerns no row of it draws nothing; the next one shows that it was heard.
  drawn.length = 0;
  await played.say({ ...ticket(9, "n", 4), resource: "notes" });
  await played.say(ticket(2, "w", 5));
  await until(played, "the next is drawn", () => drawn.length > 0);
  assert.deepEqual(drawn, ["one: ready x,w,z", "two: ready x,w,z"]);
  await leave(played);
});

test("what is drawn in pieces shows one state of the store", async () => {
  const played = new Played({ persist: false });
  const seen: string[] = [];
  let grow = () => {};
  const Row = ({ name }: { name: string }) => {
    const row = useRow<Ticket>("tickets", 1);
    return createElement("i", { "data-name": name }, row?.subject ?? "none");
  };
  const Rows = () => {
    const [count, setCount] = useState(2);
    grow = () => startTransition(() => setCount(60));
    return createElement(Fragment, null, Array.from({ length: count }, (_, at) => createElement(Row, { key: at, name: String(at) })));
  };
  await show(played, () => createElement(Rows));
  await played.open();
  await answer(played, "/resources/tickets", [{ id: 1, subject: "before" }]);
  await until(played, "it is here", () => container.querySelector("i")?.textContent === "before");
  const look = () => seen.push([...new Set([...container.querySelectorAll("i")].map((it) => it.textContent))].join(" and "));
  const observer = new dom.window.MutationObserver(look);
  observer.observe(container, { subtree: true, childList: true, characterData: true });
  await act(async () => {
    grow();
    // In the middle of the transition the row becomes another one.
    await played.say(ticket(1, "after", 3));
    await played.until("it has come", () => played.client.get("tickets", 1)?.subject === "after");
  });
  observer.disconnect();
  look();
  assert.equal(container.querySelectorAll("i").length, 60);
  assert.equal(seen.at(-1), "after");
  assert.deepEqual(seen.filter((it) => it.includes(" and ")), []);
  await leave(played);
});

test("who is gone is released: no listener, no user, no row that is held", async () => {
  const played = new Played({ persist: false });
  const { queries } = played.client;
  let renders = 0;
  const Ticket = () => {
    renders++;
    useQuery<Ticket>(useMemo(() => played.client.from("tickets").eq("id", 1), []));
    useRow("tickets", 1);
    useStatus();
    return null;
  };
  let hide = () => {};
  await show(played, () => {
    const [shown, setShown] = useState(true);
    hide = () => setShown(false);
    return shown ? createElement(Ticket) : null;
  });
  await played.open();
  await until(played, "it is used", () => queries.isWatched("tickets", "1"));
  const live = [...queries.of("tickets")][0];
  assert.equal(live?.users, 1);
  await act(async () => hide());
  assert.equal(live?.users, 0);
  assert.equal(queries.isWatched("tickets", "1"), false);
  renders = 0;
  await act(async () => {
    await played.say(ticket(1, "nobody looks", 3));
    await played.until("it has come", () => played.client.get("tickets", 1)?.subject === "nobody looks");
    played.client.setOnline(false);
  });
  assert.equal(renders, 0);
  await leave(played);
});

test("a write is pending until it is answered, and a refusal is shown", async () => {
  const played = new Played({ persist: false });
  let answers: ((response: Response) => void) | undefined;
  const write = (status: number) => new Promise<string>((resolve, reject) => {
    answers = (response) => (response.ok ? resolve(`done ${status}`) : reject(new Error(`refused ${response.status}`)));
  });
  let run: (status: number) => Promise<string | undefined> = async () => undefined;
  const runs = new Set<unknown>();
  await show(played, () => {
    const mutation = useMutation(write);
    run = mutation.run;
    runs.add(run);
    return `${mutation.pending ? "pending" : "idle"} ${mutation.error?.message ?? ""}`;
  });
  assert.equal(container.textContent, "idle ");
  for (const [status, text, result] of [[200, "idle ", "done 200"], [409, "idle refused 409", undefined], [200, "idle ", "done 200"]] as const) {
    let ran: Promise<string | undefined> | undefined;
    await act(async () => void (ran = run(status)));
    assert.equal(container.textContent, "pending ");
    await act(async () => {
      answers?.(new Response(null, { status }));
      assert.equal(await ran, result);
    });
    assert.equal(container.textContent, text);
  }
  assert.equal(runs.size, 1, "the function stays the same");
  await leave(played);
});

test("the status is drawn when it changes, and only then", async () => {
  const played = new Played({ persist: false });
  const drawn: string[] = [];
  await show(played, () => {
    const { state } = useStatus();
    drawn.push(state);
    return state;
  });
  await played.open();
  await until(played, "it is open", () => container.textContent === "open");
  await played.say({ type: "ping", cursor: "c1", version: 1 });
  await until(played, "it is caught up", () => played.client.status.isCaughtUp);
  const count = drawn.length;
  await act(() => played.say({ type: "ping", cursor: "c2", version: 2 }));
  await until(played, "it is heard", () => played.client.figures.version === 2);
  assert.equal(drawn.length, count);
  await act(async () => played.client.setOnline(false));
  assert.equal(container.textContent, "offline");
  await leave(played);
});
