/** What an application imports. */
export { Client, createClient } from "./client.ts";
export type { AnyResources, Figures, Options, Resources, Status } from "./options.ts";
export { LiveQuery, type LiveState } from "./live.ts";
export { Query, type Priority } from "./query.ts";
export { type Heard, Topic, type TopicOptions } from "./topic.ts";
export { ProblemError, type Key, type Person, type Problem, type Row, type ServerEvent, type SignalEvent } from "./wire.ts";
export { type Action, ConflictError, type Outcome } from "./actions.ts";
export type { RequestFigures } from "./requests.ts";
