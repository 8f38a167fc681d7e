/**
 * What no first screen needs, in a file of its own: loaded once the channel is open, or when it is
 * needed. What it shares with the core is given to it.
 */
export { Prefetcher } from "./prefetcher.ts";
export { Writes } from "./writes.ts";

/** Deletes a database; other tabs close their connection to it when they hear of it. */
export const deleteDatabase = (factory: IDBFactory | undefined, name: string): Promise<void> =>
  new Promise((resolve) => {
    try {
      const request = factory?.deleteDatabase(name);
      if (request) request.onsuccess = request.onerror = () => resolve();
      else resolve();
    } catch {
      resolve();
    }
  });
