/** The HTTP twins of the commands, for transports that only listen. */
import type { Command } from "../wire.ts";
import type { Attach, Hears } from "./attach.ts";

/** Sends commands as requests of their own. */
export function httpCommands(attach: Attach, hears: Hears): (command: Command) => void {
  let token = attach.token;
  const channel = encodeURIComponent(attach.channel);
  const call = (path: string, init: RequestInit, headers: Record<string, string> = {}) =>
    attach.fetch(attach.base + path, {
      ...init,
      headers: { Authorization: `Bearer ${token}`, ...headers },
    });
  const post = (path: string, body: object) =>
    call(path, { method: "POST", body: JSON.stringify(body) }, { "Content-Type": "application/json" });

  const get = async (id: string, path: string, priority?: number) => {
    const headers = {
      "Request-Id": id,
      "Channel-Id": attach.channel,
      ...(priority === undefined ? {} : { Priority: `u=${priority}` }),
    };
    const answer = await call(path, {}, headers).catch(ignored);
    if (answer?.status === 202) return hears.local({ type: "accepted", request_id: id });
    // It was asked before, and is on its way.
    if (answer?.status === 409) return;
    hears.local({ type: "error", request_id: id, problem: await attach.problemOf(answer) });
  };

  return (command) => {
    switch (command.type) {
      case "get":
        return void get(command.request_id, command.path, command.priority);
      case "cancel": {
        const path = `/requests/${encodeURIComponent(command.request_id)}?channel=${channel}`;
        return void call(path, { method: "DELETE" }).catch(ignored);
      }
      case "ack":
        return void post(`/channels/${channel}/ack`, { sequence: command.sequence }).catch(ignored);
      case "join":
      case "leave": {
        const path = `/channels/${channel}/topics/${command.topic}`;
        if (command.type === "leave") return void call(path, { method: "DELETE" }).catch(ignored);
        const init = { method: "PUT", body: JSON.stringify({ state: command.state ?? null }) };
        return void call(path, init, { "Content-Type": "application/json" }).catch(ignored);
      }
      case "signal": {
        const { type: _, ...signal } = command;
        const init = { method: "POST", body: JSON.stringify(signal) };
        return void call("/signals", init, { "Content-Type": "application/json", "Channel-Id": attach.channel }).catch(ignored);
      }
      case "auth":
        return void post(`/channels/${channel}/auth`, { token: command.token }).then(() => {
          token = command.token;
        }, ignored);
    }
  };
}

/** These may fail: the same is said again, or the connection's end says it. */
const ignored = () => undefined;
