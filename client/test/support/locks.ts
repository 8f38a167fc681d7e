/** Web Locks as a browser has them, for Node: one holder for each name, the others in their order. */
export function installLocks(): void {
  const queues = new Map<string, Promise<unknown>>();
  const request = (name: string, hold: () => unknown): Promise<unknown> => {
    const mine = (queues.get(name) ?? Promise.resolve()).then(hold, hold);
    queues.set(name, mine);
    return mine;
  };
  Object.defineProperty(globalThis, "navigator", { value: { onLine: true, locks: { request } }, configurable: true });
}
