/** The channel by long-poll: one request after the other, each acknowledging what the last brought. */
import type { Attached, Transport } from "./attach.ts";
import { endOf } from "./answers.ts";
import { httpCommands } from "./commands.ts";

const WAIT_SECONDS = 25;

export const poll: Transport = (attach, hears): Attached => {
  const abort = new AbortController();
  let over = false;
  const read = async () => {
    let { after, since, first: along } = attach;
    // A poll that resumes says no `open`; the first one should, so that the sequence is known.
    let first = true;
    for (;;) {
      const url = attach.urlOf({ after, since, first: along }, { wait: first ? "0" : String(WAIT_SECONDS) });
      const answer = await attach.fetch(url, {
        headers: { Authorization: `Bearer ${token}`, Accept: "application/json" },
        cache: "no-store",
        signal: abort.signal,
      });
      if (!answer.ok) return endOf(answer);
      const text = await answer.text();
      if (over) return ["lost"] as const;
      const events = JSON.parse(text) as { type: string }[];
      if (first && events[0]?.type !== "open") {
        // Resumed where it was: the transport says it in the server's stead.
        events.unshift({ type: "open", channel_id: attach.channel, sequence: after, resumed: true } as never);
      }
      first = false;
      since = along = undefined;
      after = Number(answer.headers.get("sequence") ?? after);
      hears.lines(events.map((event) => JSON.stringify(event)).join("\n"), text.length);
      if (events.some((event) => event.type === "close")) return ["lost"] as const;
    }
  };
  let token = attach.token;
  const send = httpCommands(attach, hears);
  read().then(
    (end) => over || hears.ended(...(end as Parameters<typeof hears.ended>)),
    () => over || hears.ended("lost"),
  );
  return {
    send(command) {
      if (command.type === "auth") token = command.token;
      // Each poll acknowledges by itself.
      if (command.type !== "ack") send(command);
    },
    close() {
      over = true;
      abort.abort();
    },
  };
};
