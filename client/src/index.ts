/** What an application imports. */
export { type AnyResources, Client, createClient, type Figures, type Options, type Resources, type Status } from "./client.ts";
export { LiveQuery, type LiveState } from "./live.ts";
export { Query, type Priority } from "./query.ts";
export { ProblemError, type Key, type Problem, type Row, type ServerEvent } from "./wire.ts";
export { type Action, ConflictError, type Outcome } from "./writes.ts";
export type { RequestFigures } from "./requests.ts";
