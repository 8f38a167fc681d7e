/** The channel by WebSocket: events one on a line of text messages, commands the other way. */
import type { Attached, Transport } from "./attach.ts";

export const websocket: Transport = (attach, hears): Attached => {
  if (!attach.WebSocket) {
    const timer = setTimeout(() => hears.ended("lost"), 0);
    return { send() {}, close: () => clearTimeout(timer) };
  }
  const url = attach.urlOf(attach).replace(/^http/, "ws");
  // Browsers set no headers on a WebSocket: the token travels as a subprotocol.
  const socket = new attach.WebSocket(url, ["rowcast", `bearer.${attach.token}`]);
  let over = false;
  const end = () => {
    if (!over) hears.ended("lost");
    over = true;
  };
  socket.onmessage = (message) => {
    if (!over && typeof message.data === "string") hears.lines(message.data, message.data.length);
  };
  socket.onclose = end;
  socket.onerror = end;
  return {
    send(command) {
      if (socket.readyState === 1) socket.send(JSON.stringify(command));
    },
    close() {
      over = true;
      socket.close(1000);
    },
  };
};
