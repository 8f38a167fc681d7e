/**
 * The channel by Server-Sent Events, read by fetch and not by EventSource, which sets no headers and
 * comes back on its own.
 */
import type { Attached, Transport } from "./attach.ts";
import { endOf } from "./answers.ts";
import { httpCommands } from "./commands.ts";

export const sse: Transport = (attach, hears): Attached => {
  const abort = new AbortController();
  let over = false;
  const read = async () => {
    const answer = await attach.fetch(attach.urlOf(attach), {
      headers: { Authorization: `Bearer ${attach.token}`, Accept: "text/event-stream" },
      cache: "no-store",
      signal: abort.signal,
    });
    if (!answer.ok || !answer.body) return endOf(answer);
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return ["lost"] as const;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
      if (data.length && !over) hears.lines(data.join("\n"), value.byteLength);
    }
  };
  read().then(
    (end) => over || hears.ended(...(end as Parameters<typeof hears.ended>)),
    () => over || hears.ended("lost"),
  );
  return {
    send: httpCommands(attach, hears),
    close() {
      over = true;
      abort.abort();
    },
  };
};
