/**
 * What the user will need next, loaded when nothing more urgent is under way and the link can bear it.
 */

import type { LiveQuery } from "./live.ts";
import type { Spec } from "./query.ts";

const BYTES_MOST = 2 * 1024 * 1024;

/** The part of the Network Information API that is read here. */
interface NetworkInformation {
  saveData?: boolean;
  effectiveType?: string;
}

/** Whether nothing should be loaded that nobody asked for yet. */
export function isLinkScarce(connection?: NetworkInformation): boolean {
  const link = connection ?? (globalThis.navigator as { connection?: NetworkInformation } | undefined)?.connection;
  return link?.saveData === true || /2g$/.test(link?.effectiveType ?? "");
}

/** Runs prefetches one after the other within a budget of bytes. */
export class Prefetcher {
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private bytesLeft = BYTES_MOST,
    private readonly isScarce: () => boolean = isLinkScarce,
  ) {}

  /** Keeps a read true and warm, when its turn has come, and tells whether it was loaded. */
  load(spec: Spec, open: (spec: Spec) => LiveQuery): Promise<boolean> {
    return this.add(async (budget) => {
      const stop = new AbortController();
      let bytes = 0;
      const meter = (more: number) => {
        if ((bytes += more) > budget) stop.abort();
      };
      const live = open({ ...spec, priority: 7, signal: stop.signal, meter });
      await Promise.race([live.ready, new Promise((resolve) => stop.signal.addEventListener("abort", resolve))]);
      live.close();
      return bytes;
    });
  }

  /** Runs it when its turn comes, and tells whether it did. It is given what is left and tells what it took. */
  add(run: (budget: number) => Promise<number>): Promise<boolean> {
    const turn = this.#last.then(async () => {
      if (this.bytesLeft <= 0 || this.isScarce()) return false;
      this.bytesLeft -= await run(this.bytesLeft);
      return true;
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}
