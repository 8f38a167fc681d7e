/**
 * The channel by WebSocket: events one on a line, commands as text messages the other way. Where this
 * side can unpack it, what the server says is compressed: its messages are then one stream of raw
 * deflate, in which an empty line ends what belongs together.
 */
import type { Attached, Transport } from "./attach.ts";

export const websocket: Transport = (attach, hears): Attached => {
  if (!attach.WebSocket) {
    const timer = setTimeout(() => hears.ended("lost"), 0);
    return { send() {}, close: () => clearTimeout(timer) };
  }
  const url = attach.urlOf(attach).replace(/^http/, "ws");
  // Browsers set no headers on a WebSocket: the token travels as a subprotocol.
  const protocols = ["rowcast", `bearer.${attach.token}`];
  let over = false;
  let bytes = 0;
  let writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  /** Resolves when everything that came is unpacked. */
  let unpacked: Promise<unknown> = Promise.resolve();
  const lines = (text: string, size: number) => {
    if (!over) hears.lines(text, size);
  };
  try {
    const stream = new DecompressionStream("deflate-raw");
    writer = stream.writable.getWriter() as WritableStreamDefaultWriter<Uint8Array>;
    void unpack(stream.readable, (text) => {
      lines(text, bytes);
      bytes = 0;
    }).catch(() => socket.close());
    protocols.unshift("rowcast.deflate");
  } catch {
    // This side cannot; then it is text.
  }
  const socket = new attach.WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  const end = () => {
    if (!over) hears.ended("lost");
    over = true;
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") return lines(data, data.length);
    bytes += data.byteLength;
    unpacked = writer?.write(new Uint8Array(data)).catch(() => socket.close()) as Promise<void>;
  };
  // The last thing said may be why.
  socket.onclose = socket.onerror = () => void unpacked.then(() => setTimeout(end, 0));
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

async function unpack(stream: ReadableStream<BufferSource>, batch: (text: string) => void): Promise<void> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    if (!text.endsWith("\n\n")) continue;
    batch(text);
    text = "";
  }
}
