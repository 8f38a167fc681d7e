/**
 * Writes on their way: sent, checked for what others did meanwhile, settled, and renamed where the
 * database gave a key. Knows no queue but the map of what waits.
 */
import type { Action, Outcome } from "./actions.ts";
import type { Persist } from "./persist.ts";
import type { Store } from "./store.ts";
import type { Problem, Row } from "./wire.ts";
import type { Pending, Shared } from "./writes.ts";

export interface SenderHost {
  readonly store: Store;
  readonly persist: Persist;
  /** What waits, by action id. */
  readonly pending: Map<string, Pending>;
  /** Calls the server with the current token, or a fresh one. */
  call(path: string, init: RequestInit, fresh: boolean): Promise<Response>;
  readonly shared: Shared;
  /** It does not wait any more: tells everybody. */
  ended(pending: Pending, outcome: Outcome): void;
}

/** Sends one, and tells whether it ran, whatever came of it. */
export async function send(host: SenderHost, pending: Pending): Promise<boolean> {
  const { action } = pending;
  const conflict = await conflictOf(host, pending).catch(() => null);
  if (conflict === null) return false;
  if (conflict) return settle(host, pending, { action, error: conflict });
  const method = { insert: "POST", update: "PATCH", remove: "DELETE" }[action.op];
  const init: RequestInit = {
    method,
    headers: { "Action-Id": action.id, "Content-Type": "application/json", Prefer: "return=representation" },
    ...(action.op === "remove" ? {} : { body: JSON.stringify(action.values) }),
  };
  let answer: Response;
  try {
    answer = await host.call(action.path, init, false);
    if (answer.status === 401) answer = await host.call(action.path, init, true);
  } catch {
    return false;
  }
  if (answer.ok) {
    const body = answer.status === 204 ? undefined : ((await answer.json().catch(() => undefined)) as Row | Row[] | undefined);
    const row = Array.isArray(body) ? (body[0] as Row | undefined) : body;
    return settle(host, pending, { action, row }, Number(answer.headers.get("version")));
  }
  const problem = await host.shared.problemOf(answer);
  if (isTransient(problem)) return false;
  return settle(host, pending, { action, error: new host.shared.ProblemError(problem) });
}

/** Whether trying again later may help: the server is busy or away, or the first try still runs. */
const isTransient = (problem: Problem): boolean =>
  problem.status === 429 || problem.status === 401 || problem.status >= 500 ||
  (problem.status === 409 && problem.retryable === true);

async function settle(host: SenderHost, pending: Pending, outcome: Outcome, version?: number): Promise<true> {
  const { store } = host;
  const { action } = pending;
  const { row } = outcome;
  store.batch(() => {
    if (version && row) {
      if (action.op === "remove") {
        store.change({ type: "change", op: "delete", resource: action.resource, id: action.key, version });
      } else store.row(action.resource, version, row, JSON.stringify(row).length);
    }
    store.undraw(action.resource, action.key, action.id);
  });
  host.pending.delete(action.id);
  if (pending.seq !== undefined) await host.persist.removeAction(pending.seq);
  if (action.op === "insert" && row) await rename(host, action, row);
  host.ended(pending, outcome);
  return true;
}

/** What waits behind an insert knows its row by the key under which it was drawn. */
async function rename(host: SenderHost, insert: Action, row: Row): Promise<void> {
  const { store } = host;
  const real = store.keyOf(insert.resource, row);
  const column = store.keyColumns(insert.resource);
  if (real === undefined || real === insert.key || column.length !== 1) return;
  const id = row[column[0] as string];
  for (const { action, seq } of host.pending.values()) {
    let changed = false;
    if (action.resource === insert.resource && action.key === insert.key) {
      store.undraw(action.resource, action.key, action.id);
      action.path = action.path.replace(encodeURIComponent(insert.key), encodeURIComponent(real));
      action.key = real;
      changed = true;
    }
    for (const [name, value] of Object.entries(action.values)) {
      if (value !== insert.key) continue;
      action.values = { ...action.values, [name]: id };
      changed = true;
    }
    if (!changed) continue;
    store.undraw(action.resource, action.key, action.id);
    host.shared.draw(store, action);
    if (seq !== undefined) await host.persist.putAction(seq, action);
  }
}

/** Whether others have changed what this write changes, while it had to wait. The server is asked. */
async function conflictOf(host: SenderHost, { action, waited }: Pending): Promise<Error | undefined> {
  const { base, values } = action;
  if (!waited || action.op !== "update" || action.conflict === "mine" || !base) return undefined;
  const answer = await host.call(action.path, {}, false);
  if (!answer.ok) return undefined;
  const theirs = (await answer.json()) as Row;
  host.store.row(action.resource, Number(answer.headers.get("version")), theirs);
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  const clash = Object.keys(values).some(
    (name) => differs(base[name], theirs[name]) && differs(values[name], theirs[name]),
  );
  return clash ? new host.shared.ConflictError(action, { ...base, ...values }, theirs, base) : undefined;
}
