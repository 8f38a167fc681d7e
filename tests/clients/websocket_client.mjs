// The scenario over Node's `ws`.
import WebSocket from "ws";
import { Events, run, URL_BASE } from "./scenario.mjs";

async function open(token, name, after = null) {
  const events = new Events();
  let sequence = after;
  const query = after === null ? "" : `?after=${after}`;
  const socket = new WebSocket(`${URL_BASE.replace("http", "ws")}/channels/${name}${query}`, ["rowcast", `bearer.${token}`]);
  socket.on("message", (data) => {
    for (const line of data.toString().split("\n").filter(Boolean)) {
      const event = JSON.parse(line);
      if (event.type === "open") sequence = event.sequence;
      else if (event.type !== "ping" && event.type !== "close") sequence += 1;
      events.push(event);
    }
  });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return {
    next: () => events.next(),
    close: () => socket.close(),
    async drop() {
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.terminate();
      await closed;
      return () => open(token, name, sequence);
    },
  };
}

await run(open, "node-websocket");
