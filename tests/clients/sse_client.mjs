// The scenario over Node's `eventsource`, which resumes with Last-Event-ID.
import { EventSource } from "eventsource";
import { Events, run, URL_BASE } from "./scenario.mjs";

async function open(token, name, after = null) {
  const events = new Events();
  let last = after;
  const source = new EventSource(`${URL_BASE}/channels/${name}`, {
    fetch: (url, init) => {
      const resumed = last === null ? {} : { "last-event-id": last };
      return fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}`, ...resumed } });
    },
  });
  source.onmessage = (message) => {
    if (message.lastEventId) last = message.lastEventId;
    events.push(JSON.parse(message.data));
  };
  await new Promise((resolve, reject) => {
    source.onopen = resolve;
    source.onerror = reject;
  });
  return {
    next: () => events.next(),
    close: () => source.close(),
    async drop() {
      source.close();
      return () => open(token, name, last);
    },
  };
}

await run(open, "node-sse");
process.exit(0);
