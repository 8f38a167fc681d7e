/** One ticket: what was written, and what can be done with it. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Topic } from "../src/index.ts";
import { useClient, useMutation, useQuery, useRow, useStatus, useTopic } from "../src/react.ts";
import type { Label, Person, Ticket } from "./app.tsx";
import { exactly } from "./format.ts";
import { Avatar } from "./list.tsx";
import type { DemoUser } from "./main.tsx";
import type { Schema } from "./schema.ts";

type Message = Schema["messages"]["Row"];
type TicketLabel = Schema["ticket_labels"]["Row"];

const STATES = ["open", "pending", "solved", "closed"];
const PRIORITIES = ["low", "normal", "high", "urgent"];

interface Props {
  id: number;
  me: DemoUser;
  people: readonly Person[];
  labels: readonly Label[];
  back: () => void;
}

export function TicketView({ id, me, people, labels, back }: Props) {
  const client = useClient<Schema>();
  const ticket = useRow<Ticket>("tickets", id);
  const contact = useRow<Schema["contacts"]["Row"]>("contacts", ticket?.contact_id);
  const messages = useQuery<Message>(useMemo(() => client.from("messages").eq("ticket_id", id).order("id").priority(0), [client, id]));
  const attached = useQuery<TicketLabel>(useMemo(() => client.from("ticket_labels").eq("ticket_id", id).priority(0), [client, id]));
  const change = useMutation((values: Schema["tickets"]["Update"]) => client.update("tickets", id, values));
  const isAttached = new Set(attached.rows.map((row) => row.label_id));
  const toggle = useMutation((label: number) =>
    isAttached.has(label)
      ? client.remove("ticket_labels", [id, label])
      : client.insert("ticket_labels", { ticket_id: id, label_id: label }),
  );
  // The server hands on what colleagues tell each other about a ticket, and cannot read it.
  const { topic, presence } = useTopic(`tickets/${id}`, me.secret ? { secret: true } : {});
  const [typists, typing] = useTyping(topic);
  // Without a connection nobody knows who is here.
  const isConnected = useStatus().state === "open";
  const names = new Map(people.map((person) => [person.id, person.name]));
  const end = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [messages.rows.length]);
  const who = contact?.name || contact?.email || "the contact";
  if (!ticket) return <p className="nothing">Loading…</p>;
  return (
    <article className="ticket" aria-label={ticket.subject}>
      <div className="head">
        <button type="button" className="quiet back" onClick={back}>
          ← Back
        </button>
        <h2>{ticket.subject}</h2>
        <p className="about">
          #{ticket.id} · {contact?.name || "unknown"}
          {contact?.company && `, ${contact.company}`}
          {contact?.email && ` · ${contact.email}`}
          {contact && ` · ${contact.plan} plan`}
        </p>
        <div className="actions">
          <div className="segments" role="group" aria-label="Status">
            {STATES.map((status) => (
              <button type="button" key={status} data-status={status} aria-pressed={ticket.status === status} onClick={() => void change.run({ status })}>
                {status}
              </button>
            ))}
          </div>
          <label>
            <span>Assignee</span>
            <select value={ticket.assignee_id ?? ""} onChange={(event) => void change.run({ assignee_id: event.target.value ? Number(event.target.value) : null })}>
              <option value="">nobody</option>
              {people.map((person) => (
                <option key={person.id} value={person.id}>
                  {person.name}
                </option>
              ))}
            </select>
          </label>
          <label>
            <span>Priority</span>
            <select value={ticket.priority} onChange={(event) => void change.run({ priority: event.target.value })}>
              {PRIORITIES.map((priority) => (
                <option key={priority}>{priority}</option>
              ))}
            </select>
          </label>
        </div>
        <div className="labels" role="group" aria-label="Labels">
          {labels.map((label) => (
            <button type="button" key={label.id} aria-pressed={isAttached.has(label.id)} onClick={() => void toggle.run(label.id)}>
              <span className="dot" style={{ background: label.color }} aria-hidden="true" />
              {label.name}
            </button>
          ))}
        </div>
      </div>
      <div className="messages" tabIndex={0} role="region" aria-label="Messages" data-state={messages.state}>
        {messages.rows.map((message) => {
          const name = message.direction === "in" ? who : (names.get(message.user_id ?? -1) ?? "An agent");
          const isDrawn = String(message.id).startsWith("~");
          return (
            <div className={`message ${message.direction}${isDrawn ? " drawn" : ""}`} key={message.id}>
              <Avatar name={name} />
              <div>
                <p className="from">
                  <strong>{name}</strong> <span>{isDrawn ? "sending…" : exactly(message.created_at)}</span>
                </p>
                <p className="body">{message.body}</p>
              </div>
            </div>
          );
        })}
        <div ref={end} />
      </div>
      <Present
        people={presence
          .filter(({ user }) => isConnected && user !== me.user)
          .map(({ user }) => ({ name: names.get(Number(user)) ?? `User ${user}`, isTyping: typists.has(user) }))}
      />
      <Reply
        to={who}
        typing={typing}
        send={(body) => {
          const message = { ticket_id: id, user_id: Number(me.user), direction: "out", body };
          // Colleagues who look at the ticket see it before it is stored. Failures are told by the notices.
          (topic ?? client).insert("messages", message).catch(() => {});
          if (ticket.status === "open") client.update("tickets", id, { status: "pending" }).catch(() => {});
        }}
      />
    </article>
  );
}

/** Who else looks at the ticket, and who is typing. */
function Present({ people }: { people: readonly { name: string; isTyping: boolean }[] }) {
  const say = (isTyping: boolean, what: string) => {
    const names = people.filter((person) => person.isTyping === isTyping).map(({ name }) => name);
    return names.length > 0 && `${names.join(", ")} ${names.length > 1 ? "are" : "is"} ${what}`;
  };
  const words = [say(true, "typing…"), say(false, "looking")];
  return (
    <p className="present" role="status" aria-label="Who else is here">
      {words.filter(Boolean).join(" · ")}
    </p>
  );
}

/** Nobody types for so long without a word; the word that they have stopped was lost. */
const TYPING_MOST_MS = 60_000;

/** Who is typing, and how to say so: by signals, which are encrypted where the topic is secret; a state would not be. */
function useTyping(topic: Topic | undefined): [ReadonlySet<string>, (is: boolean) => void] {
  const [typists, setTypists] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    if (!topic) return;
    const timers = new Map<string, ReturnType<typeof setTimeout>>();
    const hear = (user: string, is: boolean) => {
      clearTimeout(timers.get(user));
      timers.delete(user);
      if (is) timers.set(user, setTimeout(() => hear(user, false), TYPING_MOST_MS));
      setTypists(new Set(timers.keys()));
    };
    const stop = topic.on("typing", ({ from, data }) => from && hear(from.user, (data as { is?: boolean } | undefined)?.is === true));
    return () => {
      stop();
      for (const timer of timers.values()) clearTimeout(timer);
      setTypists(new Set());
    };
  }, [topic]);
  return [typists, (is) => void topic?.send("typing", { is }).catch(() => {})];
}

/** After so long without a key nobody is typing any more. */
const TYPING_MS = 3_000;

interface ReplyProps {
  to: string;
  typing: (is: boolean) => void;
  send: (body: string) => void;
}

function Reply({ to, typing, send }: ReplyProps) {
  const [body, setBody] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const rest = () => {
    if (timer.current !== undefined) typing(false);
    clearTimeout(timer.current);
    timer.current = undefined;
  };
  const type = () => {
    if (timer.current === undefined) typing(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(rest, TYPING_MS);
  };
  const submit = () => {
    if (!body.trim()) return;
    rest();
    send(body.trim());
    setBody("");
  };
  return (
    <form
      className="reply"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <textarea
        id="reply" rows={2} value={body} aria-label={`Reply to ${to}`} placeholder={`Reply to ${to}  ( Ctrl-Enter sends )`}
        onChange={(event) => {
          setBody(event.target.value);
          type();
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
        }}
      />
      <button type="submit" className="primary" disabled={!body.trim()}>
        Send
      </button>
    </form>
  );
}
