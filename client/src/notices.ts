/**
 * Notices without rows: of what was announced by its key, the rows are fetched, those written since
 * the last cursor and nothing else. Loaded when the first such notice comes.
 */
import type { InboxHost } from "./inbox.ts";
import type { ChangeEvent, Key } from "./wire.ts";

/** With more keys the cursor alone says which rows are meant. */
const KEYS_MOST = 50;
const PRIORITY = 1;

/** What of a batch has to be fetched, as one path for each resource. */
export function pathsOf(
  noticed: readonly ChangeEvent[], since: string | undefined, host: Pick<InboxHost, "store" | "queries">, keyText: (key: Key) => string,
): Map<string, string> {
  const keys = new Map<string, Set<string>>();
  for (const { resource, id } of noticed) {
    const key = keyText(id);
    // What nobody has asked for is nothing that could be out of date.
    if (!host.queries.knows(resource) && !host.queries.isWatched(resource, key) && !host.store.base(resource, key)) continue;
    keys.set(resource, (keys.get(resource) ?? new Set()).add(key));
  }
  const paths = new Map<string, string>();
  for (const [resource, ids] of keys) {
    const [column, ...more] = host.store.keyColumns(resource);
    const query = new URLSearchParams();
    if (since !== undefined) query.set("modified_since", since);
    if (column && !more.length && (ids.size <= KEYS_MOST || since === undefined)) {
      query.set(column, `in.(${[...ids].map((id) => JSON.stringify(id)).join(",")})`);
    }
    paths.set(resource, `/${encodeURIComponent(resource)}?${query}`);
  }
  return paths;
}

/** Fetches them: one request for each resource. Resolves when all are in the store. What is the core's is given. */
export async function fetchNoticed(noticed: readonly ChangeEvent[], host: InboxHost, keyText: (key: Key) => string): Promise<void> {
  if (host.shared.size) {
    // Rooms are loaded by now: they are what expects rows.
    const here = await (await import("./room.ts")).sharedRows(host.shared, noticed, host.store);
    noticed = noticed.filter((event) => !here.has(event));
  }
  const paths = pathsOf(noticed, host.link?.position.cursor, host, keyText);
  const asked = [...paths].map(async ([resource, path]) => {
    try {
      // Whole rows go to the store by themselves.
      await host.requests.ask(path, PRIORITY, { row() {}, restart() {} });
    } catch {
      // The log does not reach back so far, or nobody answers: what is shown is fetched anew.
      host.queries.reset(resource);
    }
  });
  await Promise.all(asked);
}
