/** What the client has done so far, as it happens. */
import { useEffect, useState } from "react";
import { useClient, useStatus } from "../src/react.ts";
import { bytes, ms } from "./format.ts";

const EVERY_MS = 250;
const VIA: Record<string, string> = { ws: "WebSocket", sse: "Server-Sent Events", poll: "long-poll" };

export function Figures() {
  const client = useClient();
  const status = useStatus();
  const [, draw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => draw((count) => count + 1), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const { figures } = client;
  const list = figures.requests.findLast((request) => request.path.startsWith("/resources/tickets?"));
  const rows: [string, string][] = [
    ["Connection", `${VIA[status.via]}${status.isLeader ? ", held by this tab" : ", shared"}`],
    ["Equal to the database", status.isCaughtUp ? "yes" : "not yet"],
    ["Version", figures.version.toLocaleString("en")],
    ["Received", bytes(figures.bytesReceived)],
    ["Saved by the cache", bytes(figures.bytesSaved)],
    ["Rows received", figures.rows.toLocaleString("en")],
    ["Notices", figures.changes.toLocaleString("en")],
    ["Resets", figures.resets.toLocaleString("en")],
    ["Rows in memory", `${client.store.size.toLocaleString("en")} (${bytes(client.store.bytes)})`],
    ["Unsent writes", String(status.pending)],
  ];
  return (
    <aside className="figures" aria-label="Figures">
      <h2>The last list</h2>
      <dl>
        <Figure name="Accepted (202)" value={list?.acceptedMs === undefined && list ? "by WebSocket" : ms(list?.acceptedMs)} />
        <Figure name="First row" value={ms(list?.firstRowMs)} />
        <Figure name="Done" value={ms(list?.doneMs)} />
        <Figure name="Rows" value={list ? `${list.rows.toLocaleString("en")} (${bytes(list.bytes)})` : "from cache"} />
      </dl>
      <h2>So far</h2>
      <dl>
        {rows.map(([name, value]) => (
          <Figure key={name} name={name} value={value} />
        ))}
      </dl>
      <h2>Requests</h2>
      <ol className="requests" tabIndex={0} aria-label="Requests">
        {figures.requests.slice(-12).reverse().map((request, at) => (
          <li key={`${request.path}${at}`}>
            <code>{request.path.replace("/resources", "").slice(0, 64)}</code>
            <span>
              {request.rows} rows, {bytes(request.bytes)}, {ms(request.doneMs)}
            </span>
          </li>
        ))}
      </ol>
    </aside>
  );
}

const Figure = ({ name, value }: { name: string; value: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
);
