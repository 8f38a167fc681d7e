/**
 * A slow network for trying: everything that the client sends and receives is held back as a 2G link
 * would. Knows nothing of what passes.
 */

const BITS_PER_SECOND = 250_000;
const ROUND_TRIP_MS = 300;

let slow = false;
/** When the link has handed over what is already under way. */
let free = 0;

export const setSlow = (on: boolean): void => {
  slow = on;
  free = 0;
};

/** How long so many bytes take from now. */
function delayMs(bytes: number): number {
  if (!slow) return Math.max(0, free - performance.now());
  const now = performance.now();
  free = Math.max(now + ROUND_TRIP_MS / 2, free) + (bytes * 8_000) / BITS_PER_SECOND;
  return free - now;
}
const later = (ms: number, run: () => void) => (ms > 0 ? void setTimeout(run, ms) : run());

export class SlowSocket extends WebSocket {
  #handler: ((event: MessageEvent) => void) | null = null;

  override set onmessage(handler: ((event: MessageEvent) => void) | null) {
    this.#handler = handler;
    super.onmessage = (event) => later(delayMs(event.data.byteLength ?? event.data.length), () => this.#handler?.(event));
  }
  override get onmessage() {
    return this.#handler;
  }
  override send(data: string): void {
    later(slow ? ROUND_TRIP_MS / 2 : 0, () => this.readyState === 1 && super.send(data));
  }
}

export const slowFetch = async (url: string, init?: RequestInit): Promise<Response> => {
  if (slow) await new Promise((resolve) => setTimeout(resolve, ROUND_TRIP_MS));
  return fetch(url, init);
};
