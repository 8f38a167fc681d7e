/** What an application says to the client, and what the client says of itself. Types only. */
import type { TokenSource } from "./connection.ts";
import type { State, Via } from "./machine.ts";
import type { RequestFigures } from "./requests.ts";
import type { Keys } from "./store.ts";
import type { Fetch } from "./transport/attach.ts";

/** The types of an application's resources, as `rowcast types` writes them. */
export type Resources = Record<string, { Row: object; Insert: object; Update: object }>;
export type AnyResources = Record<string, { Row: any; Insert: any; Update: any }>;
/** The names of the resources. */
export type Name<S> = Extract<keyof S, string>;

export interface Options {
  /** The server; the page's own origin where nothing is said. */
  url?: string;
  /** The token, or where to get one. Asked again when it ends; `null` is nobody. */
  token: TokenSource;
  /** Key columns of the resources whose key is not `id`, as `rowcast types` writes them. */
  keys?: Keys;
  /** Keeps rows, cursor and unsent writes in IndexedDB. Default: where there is one. */
  persist?: boolean;
  /** Shares one connection among the tabs of this identity. Default: where the browser can. */
  shareTabs?: boolean;
  /** Whose data these are; derived from the token's claims where nothing is said. */
  identity?: string;
  /** The user as the server names them; the token's `sub` where nothing is said. */
  user?: string;
  /** Limits changes to these resources. */
  resources?: readonly string[];
  memoryBytesMax?: number;
  prefetchBytesMax?: number;
  /** Queries that nobody uses are kept warm, so many of them. */
  warmQueriesMax?: number;
  transports?: readonly Via[];
  connectTimeoutMs?: number;
  fetch?: Fetch;
  WebSocket?: typeof WebSocket;
  indexedDB?: IDBFactory;
}

export interface Status {
  /** What the connection does. */
  readonly state: State["name"];
  readonly via: Via;
  readonly isLeader: boolean;
  /** Whether what is here equals the database, as far as anybody knows. */
  readonly isCaughtUp: boolean;
  /** Writes that are not confirmed yet. */
  readonly pending: number;
  /** Why the connection stopped, in the server's words. */
  readonly reason: string | undefined;
}

/** What the client has done so far; read it whenever you like. */
export interface Figures {
  bytesReceived: number;
  /** What did not have to be fetched, because the cache had it. */
  bytesSaved: number;
  rows: number;
  changes: number;
  resets: number;
  version: number;
  /** The last requests, newest last. */
  requests: RequestFigures[];
}
