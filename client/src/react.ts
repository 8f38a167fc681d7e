/** Hooks: queries, rows, writes and the status as React sees them, on useSyncExternalStore. */
import {
  createContext, createElement, type ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState,
  useSyncExternalStore,
} from "react";
import type { Client } from "./client.ts";
import type { LiveQuery, LiveState } from "./live.ts";
import type { AnyResources, Resources, Status } from "./options.ts";
import type { Query } from "./query.ts";
import type { Topic, TopicOptions } from "./topic.ts";
import type { Key, Person } from "./wire.ts";

const Context = createContext<unknown>(undefined);

/** Gives the client to the hooks below it. */
export function RowcastProvider(props: { client: unknown; children?: ReactNode }): ReactNode {
  return createElement(Context.Provider, { value: props.client }, props.children);
}

/** The client that was given. */
export function useClient<S extends Resources = AnyResources>(): Client<S> {
  const client = useContext(Context);
  if (!client) throw new Error("There is no RowcastProvider above.");
  return client as Client<S>;
}

export interface QueryResult<R> {
  rows: readonly R[];
  state: LiveState;
  error: Error | undefined;
}

const nothing: QueryResult<never> = { rows: [], state: "ready", error: undefined };

/** A live query; `null` asks for nothing. Queries of one text share one result. */
export function useQuery<R extends object>(query: Query<R> | null): QueryResult<R> {
  const name = query?.toString();
  const latest = useRef(query);
  latest.current = query;
  const [live, setLive] = useState<{ name: string | undefined; query: LiveQuery<R> } | undefined>();
  useEffect(() => {
    const opened = latest.current?.live();
    if (!opened) return;
    setLive({ name, query: opened });
    return () => opened.close();
  }, [name]);
  const current = live?.name === name ? live?.query : undefined;
  const last = useRef<QueryResult<R>>(nothing);
  const subscribe = useCallback((listener: () => void) => current?.subscribe(listener) ?? (() => {}), [current]);
  const snapshot = useCallback((): QueryResult<R> => {
    if (!current) return name === undefined ? nothing : loading;
    const { rows, state, error } = current;
    const before = last.current;
    if (before.rows !== rows || before.state !== state || before.error !== error) last.current = { rows, state, error };
    return last.current;
  }, [current, name]);
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}
const loading: QueryResult<never> = { rows: [], state: "loading", error: undefined };

/** One row, loaded if it is not here; `undefined` while it is not, or where there is none. */
export function useRow<R extends object = Record<string, unknown>>(resource: string, key: Key | null | undefined): R | undefined {
  const client = useClient();
  const text = key === null || key === undefined ? undefined : String(key);
  useEffect(() => {
    // What fails here shows as a row that is not there; the status tells why.
    if (text !== undefined && !text.startsWith("~")) client.load(resource, key as string | number).catch(() => {});
  }, [client, resource, text]);
  const drawn = useRef<R | undefined>(undefined);
  const subscribe = useCallback(
    (listener: () => void) => (text === undefined ? () => {} : client.watch(resource, key as Key, listener)),
    [client, resource, text],
  );
  const snapshot = useCallback(() => {
    const row = text === undefined ? undefined : (client.get(resource, key as Key) as R | undefined);
    // A row with something drawn over it is made anew at each look.
    if (JSON.stringify(row) !== JSON.stringify(drawn.current)) drawn.current = row;
    return drawn.current;
  }, [client, resource, text]);
  return useSyncExternalStore(subscribe, snapshot, snapshot);
}

export interface Mutation<A extends unknown[], T> {
  run: (...given: A) => Promise<T | undefined>;
  pending: boolean;
  error: Error | undefined;
}

/** Runs a write and follows it: `useMutation((id) => client.update("tickets", id, { status: "closed" }))`. */
export function useMutation<A extends unknown[], T>(write: (...given: A) => Promise<T>): Mutation<A, T> {
  const [running, setRunning] = useState(0);
  const [error, setError] = useState<Error | undefined>();
  const latest = useRef(write);
  latest.current = write;
  const run = useCallback(async (...given: A) => {
    setRunning((count) => count + 1);
    setError(undefined);
    try {
      return await latest.current(...given);
    } catch (problem) {
      setError(problem as Error);
      return undefined;
    } finally {
      setRunning((count) => count - 1);
    }
  }, []);
  return useMemo(() => ({ run, pending: running > 0, error }), [run, running, error]);
}

/** What the connection does, and how many writes wait. */
export function useStatus(): Status {
  const client = useClient();
  const subscribe = useCallback((listener: () => void) => client.onStatus(listener), [client]);
  return useSyncExternalStore(subscribe, () => client.status, () => client.status);
}

/** A topic while the component is there, and who else is; `null` is none. */
export function useTopic(name: string | null, options?: TopicOptions): { topic: Topic | undefined; presence: readonly Person[] } {
  const client = useClient();
  const [seen, setSeen] = useState<{ topic: Topic | undefined; presence: readonly Person[] }>(nowhere);
  const latest = useRef(options);
  latest.current = options;
  useEffect(() => {
    if (name === null) return;
    const topic = client.topic(name, latest.current);
    setSeen({ topic, presence: topic.presence });
    const stop = topic.on("presence", () => setSeen({ topic, presence: topic.presence }));
    return () => {
      stop();
      void topic.close();
      setSeen(nowhere);
    };
  }, [client, name]);
  return seen;
}
const nowhere = { topic: undefined, presence: [] };
