/** What the bench draws in the browser: a list of 5,000 tickets by the client and React. */
import { createElement, memo, useMemo } from "react";
import { createRoot } from "react-dom/client";
import { type Client, createClient } from "../src/index.ts";
import { RowcastProvider, useClient, useQuery } from "../src/react.ts";

const ROW_PX = 24;
const IN_SIGHT = 40;

interface Ticket { id: number; subject: string; status: string; priority: string; updated_at: string }

const Item = memo(function Item({ ticket }: { ticket: Ticket }) {
  return createElement("li", { "data-ticket": ticket.id }, `${ticket.id} ${ticket.priority} ${ticket.subject} ${ticket.updated_at}`);
});

/** As the demonstration's list: the whole height, of which what is in sight is drawn. */
function Tickets() {
  const client = useClient();
  const query = useMemo(() => client.from("tickets").order("updated_at", { descending: true }).priority(0), [client]);
  const { rows, state } = useQuery<Ticket>(query);
  const shown = rows.slice(0, IN_SIGHT).map((ticket) => createElement(Item, { key: ticket.id, ticket }));
  return createElement("ul", { "data-state": state, "data-count": rows.length, style: { height: rows.length * ROW_PX } }, shown);
}

interface Frames { begin(): void; end(): number[] }
declare global {
  var bench: { client: Client; frames: Frames; draw(token: string): void; drawnMs: number | undefined; firstMs: number | undefined };
}

let stamps: number[] | undefined;
const frame = (now: number) => {
  stamps?.push(now);
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);

globalThis.bench = {
  client: undefined as unknown as Client,
  drawnMs: undefined,
  firstMs: undefined,
  frames: {
    begin: () => void (stamps = []),
    end: () => {
      const all = stamps ?? [];
      stamps = undefined;
      return all.slice(1).map((at, index) => at - (all[index] as number));
    },
  },
  draw(token) {
    const began = performance.now();
    const client = createClient({ token, persist: false, shareTabs: false });
    globalThis.bench.client = client;
    const root = document.getElementById("page") as HTMLElement;
    const look = () => {
      const list = root.querySelector("ul");
      const now = performance.now() - began;
      if (list?.querySelector("li")) globalThis.bench.firstMs ??= now;
      if (list?.dataset.state === "ready") globalThis.bench.drawnMs ??= now;
      else requestAnimationFrame(look);
    };
    look();
    createRoot(root).render(createElement(RowcastProvider, { client }, createElement(Tickets)));
  },
};
