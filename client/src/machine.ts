/**
 * When to connect, by what, and when to stop: a pure state machine. SPEC.md has its table, which is
 * its test as well. Does no I/O, reads no clock, draws no random numbers.
 */

/** Transports in the order in which they are tried. */
export const VIAS = ["ws", "sse", "poll"] as const;
export type Via = (typeof VIAS)[number];

export type StateName =
  | "idle"
  | "offline"
  | "frozen"
  | "frozen-offline"
  | "waiting"
  | "connecting"
  | "open"
  | "renewing"
  | "stopped";

/** `via` counts in waiting, connecting and open; `tries` is the number of attempts that failed in a row. */
export interface State {
  readonly name: StateName;
  readonly via: Via;
  readonly tries: number;
}

export type MachineEvent =
  | "start" // somebody wants to be connected
  | "stop" // nobody does any more
  | "online"
  | "offline"
  | "freeze"
  | "thaw"
  | "opened" // the channel's `open` has come
  | "failed" // an attempt ended before `open`: nobody there, or refused by something in between
  | "silent" // nothing came in time: no `open`, or no ping later
  | "lost" // the connection broke after `open`
  | "close-stop" // codes 4000 to 4099
  | "close-later" // codes 4100 to 4199
  | "close-now" // codes 4200 to 4299
  | "expired" // the token is over (4003, 401)
  | "expiring" // the token will be over soon
  | "renewed" // the callback gave a token
  | "unrenewed" // the callback failed
  | "refused" // the callback has no token to give
  | "retry" // the back-off is over
  | "upgrade"; // time to try the better transport again

export type Effect =
  | "connect" // attach by the state's transport
  | "disconnect" // drop the transport
  | "wait" // a back-off by `tries`, or what the server asked for
  | "unwait"
  | "renew" // ask the callback for a token
  | "auth"; // hand the fresh token to the open channel

/** A step: where to, and what to do. */
export type Step = readonly [State, readonly Effect[]];

export const INITIAL: State = { name: "idle", via: "ws", tries: 0 };
const NEXT_VIA: Record<Via, Via> = { ws: "sse", sse: "poll", poll: "ws" };

const at = (name: StateName, via: Via = "ws", tries = 0): State => ({ name, via, tries });

/** What an event does in a state. What is not in the table changes nothing. */
export function step(state: State, event: MachineEvent): Step {
  const { name, via, tries } = state;
  const active = name === "connecting" || name === "open";
  const nothing: Step = [state, []];
  const leave: readonly Effect[] = active ? ["disconnect"] : name === "waiting" ? ["unwait"] : [];
  const resting = name === "idle" || name === "stopped";
  const frozen = name === "frozen" || name === "frozen-offline";

  switch (event) {
    case "start":
      return resting ? [at("connecting"), ["connect"]] : nothing;
    case "stop":
      return name === "idle" ? nothing : [at("idle"), leave];
    case "offline":
      if (name === "frozen") return [at("frozen-offline"), []];
      return resting || frozen || name === "offline" ? nothing : [at("offline"), leave];
    case "online":
      if (name === "frozen-offline") return [at("frozen"), []];
      if (name === "waiting") return [at("connecting"), ["unwait", "connect"]];
      return name === "offline" ? [at("connecting"), ["connect"]] : nothing;
    case "freeze":
      if (resting || frozen) return nothing;
      return [at(name === "offline" ? "frozen-offline" : "frozen"), leave];
    case "thaw":
      if (name === "frozen-offline") return [at("offline"), []];
      return name === "frozen" ? [at("connecting"), ["connect"]] : nothing;
    case "retry":
      return name === "waiting" ? [at("connecting", via, tries), ["connect"]] : nothing;
    case "renewed":
      if (name === "open") return [state, ["auth"]];
      return name === "renewing" ? [at("connecting", via, tries), ["connect"]] : nothing;
    case "unrenewed":
      return name === "renewing" ? [at("waiting", via, tries + 1), ["wait"]] : nothing;
    case "refused":
      return name === "renewing" ? [at("stopped"), []] : nothing;
    case "upgrade":
      return name === "open" && via !== "ws"
        ? [at("connecting"), ["disconnect", "connect"]]
        : nothing;
    case "expiring":
      return name === "open" ? [state, ["renew"]] : nothing;
  }
  if (!active) return nothing;
  switch (event) {
    case "opened":
      return name === "connecting" ? [at("open", via), []] : nothing;
    case "failed":
    case "silent":
    case "lost": {
      const gone: readonly Effect[] = event === "silent" ? ["disconnect"] : [];
      if (name === "open") return [at("waiting", via, tries), [...gone, "wait"]];
      // A WebSocket fails for many reasons that a plain request does not. If that one finds nobody
      // either, nobody is there; if it is let through and then held back, polling remains.
      const goOn = via === "ws" || (via === "sse" && event === "silent");
      if (goOn) return [at("connecting", NEXT_VIA[via], tries), [...gone, "connect"]];
      return [at("waiting", "ws", tries + 1), [...gone, "wait"]];
    }
    case "close-stop":
      return [at("stopped"), leave];
    case "close-later":
      return [at("waiting", via, tries + 1), [...leave, "wait"]];
    case "close-now":
      return [at("connecting", via, tries), [...leave, "connect"]];
    case "expired":
      return [at("renewing", via, tries), [...leave, "renew"]];
  }
}

const BACKOFF_FIRST_MS = 250;
const BACKOFF_MOST_MS = 15_000;

/**
 * How long to wait before the next attempt: doubling from 250 ms to 15 s, between half and all of it.
 * `random` is at least 0 and below 1.
 */
export const backoffMs = (tries: number, random: number): number =>
  Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(tries, 20)) * (0.5 + random / 2);
