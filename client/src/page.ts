/** What the browser tells of the page and the network; elsewhere nothing is heard. */

type Word = "online" | "offline" | "hide" | "freeze" | "thaw";

/** Listens until what it returns is called. */
export function listenToPage(hears: Record<Word, (event: Event) => unknown>): () => void {
  const { window, document } = globalThis;
  const heard: [EventTarget | undefined, string, (event: Event) => unknown][] = [
    [window, "online", hears.online],
    [window, "offline", hears.offline],
    [window, "pagehide", hears.hide],
    [document, "freeze", hears.freeze],
    [document, "resume", hears.thaw],
    // Whoever looks at the page does not want to wait for a back-off.
    [document, "visibilitychange", (event) => document.visibilityState === "visible" && hears.online(event)],
  ];
  for (const [target, name, handler] of heard) target?.addEventListener?.(name, handler);
  return () => {
    for (const [target, name, handler] of heard) target?.removeEventListener?.(name, handler);
  };
}
