/** The list of tickets: only what is in sight is drawn, and what is in sight is prefetched. */
import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { LiveState } from "../src/index.ts";
import { useClient, useRow } from "../src/react.ts";
import type { Person, Ticket } from "./app.tsx";
import { ago, hue, initials } from "./format.ts";
import type { Schema } from "./schema.ts";

const ROW_PX = 80;
const BEYOND = 6;
/** So many tickets' messages are fetched by one request. */
const PREFETCH = 25;

interface ListProps {
  tickets: readonly Ticket[];
  state: LiveState;
  people: readonly Person[];
  chosen: number | undefined;
  choose: (id: number) => void;
}

export function TicketList({ tickets, state, people, chosen, choose }: ListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [span, setSpan] = useState({ top: 0, height: 800 });
  useLayoutEffect(() => {
    const element = scroller.current as HTMLDivElement;
    const measure = () => setSpan({ top: element.scrollTop, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useEffect(() => {
    const at = tickets.findIndex((ticket) => ticket.id === chosen);
    const element = scroller.current;
    if (at < 0 || !element) return;
    const top = at * ROW_PX;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_PX > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW_PX - element.clientHeight;
    // Only when another is chosen: rows that move above it must not move the list.
  }, [chosen]);

  const first = Math.max(0, Math.floor(span.top / ROW_PX) - BEYOND);
  const last = Math.min(tickets.length, Math.ceil((span.top + span.height) / ROW_PX) + BEYOND);
  usePrefetch(tickets, Math.floor(span.top / ROW_PX));
  const names = new Map(people.map((person) => [person.id, person.name]));
  return (
    <div className="scroller" ref={scroller} tabIndex={0} role="region" aria-label="List of tickets" aria-busy={state === "loading"}>
      {tickets.length === 0 && <p className="nothing">{state === "loading" ? "Loading…" : "Nothing here."}</p>}
      <ul style={{ height: tickets.length * ROW_PX }}>
        {tickets.slice(first, last).map((ticket, at) => (
          <li key={ticket.id} style={{ transform: `translateY(${(first + at) * ROW_PX}px)` }}>
            <Item ticket={ticket} assignee={names.get(ticket.assignee_id ?? -1)} isChosen={ticket.id === chosen} choose={choose} />
          </li>
        ))}
      </ul>
    </div>
  );
}

const Item = memo(function Item(props: { ticket: Ticket; assignee: string | undefined; isChosen: boolean; choose: (id: number) => void }) {
  const { ticket, assignee, isChosen, choose } = props;
  const contact = useRow<Schema["contacts"]["Row"]>("contacts", ticket.contact_id);
  const who = contact ? contact.name || contact.email || "Unknown caller" : ticket.contact_id === null ? "No contact" : "…";
  return (
    <button type="button" className="item" data-ticket={ticket.id} aria-current={isChosen} onClick={() => choose(ticket.id)}>
      <Avatar name={who} />
      <span className="who">{who}</span>
      <span className="when">{ago(ticket.updated_at)}</span>
      <span className="subject">{ticket.subject}</span>
      <span className="marks">
        {ticket.priority !== "normal" && <span className={`tag ${ticket.priority}`}>{ticket.priority}</span>}
        {ticket.private && <span className="tag">private</span>}
        {assignee && <span className="to">{assignee}</span>}
      </span>
    </button>
  );
});

export function Avatar({ name }: { name: string }) {
  return (
    <span className="avatar" aria-hidden="true" style={{ "--hue": hue(name) } as React.CSSProperties}>
      {initials(name)}
    </span>
  );
}

/** The messages of the tickets that are in sight, and of a few after them. */
function usePrefetch(tickets: readonly Ticket[], top: number): void {
  const client = useClient<Schema>();
  const asked = useRef(new Set<number>());
  useEffect(() => {
    const timer = setTimeout(() => {
      const wanted = tickets.slice(top, top + PREFETCH).filter((ticket) => !asked.current.has(ticket.id));
      if (wanted.length === 0) return;
      for (const ticket of wanted) asked.current.add(ticket.id);
      const ids = wanted.map((ticket) => ticket.id).sort((a, b) => a - b);
      void client.prefetch(client.from("messages").in("ticket_id", ids));
      void client.prefetch(client.from("ticket_labels").in("ticket_id", ids));
    }, 250);
    return () => clearTimeout(timer);
  }, [client, tickets, top]);
}
