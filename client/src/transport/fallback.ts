/** The transports for where no WebSocket gets through, loaded only there. */
export { poll } from "./poll.ts";
export { sse } from "./sse.ts";
