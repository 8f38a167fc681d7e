/**
 * A slow link: a proxy on this machine that lets so many bits through each second, each way, so much
 * later, and counts them. All connections share it, as they share a phone's.
 */
import { type AddressInfo, type Socket, connect, createServer } from "node:net";

export interface LinkOptions {
  /** Each way; `Infinity` counts only. */
  readonly bitsPerSecond: number;
  /** Each way, in milliseconds. */
  readonly delayMs: number;
}

/** What waits in front of the link at most, as in a modem; then the sender is pressed back. */
const QUEUE_MS = 200;
const PACKET_BYTES = 1_400;

/** One way: a bucket that never holds more than one packet, then the delay. */
class Way {
  bytes = 0;
  #freeAt = 0;
  #onTheWay: (() => void)[] = [];

  constructor(private readonly options: LinkOptions) {}

  /** Takes the bytes over in packets; resolves when there is room for more. */
  async pass(data: Uint8Array, from: Socket, to: Socket, notBefore: number): Promise<void> {
    const { bitsPerSecond } = this.options;
    from.pause();
    for (let at = 0; at < data.length; at += PACKET_BYTES) {
      const packet = data.subarray(at, at + PACKET_BYTES);
      this.#freeAt = Math.max(this.#freeAt, performance.now(), notBefore) + (packet.length * 8_000) / bitsPerSecond;
      this.bytes += packet.length;
      this.#arrive(() => to.write(packet));
      const aheadMs = this.#freeAt - performance.now() - QUEUE_MS;
      if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    }
    from.resume();
  }

  /** The end comes behind what was sent. */
  end(to: Socket): void {
    this.#arrive(() => to.end());
  }

  /** Timers of different lengths need not fire in order: each takes what is first in the queue. */
  #arrive(what: () => void): void {
    this.#onTheWay.push(what);
    const ms = this.#freeAt + this.options.delayMs - performance.now();
    setTimeout(() => this.#onTheWay.shift()?.(), Math.max(0, ms));
  }
}

export class SlowLink {
  readonly up: Way;
  readonly down: Way;
  #server = createServer({ noDelay: true }, (near) => this.#accept(near));
  #sockets = new Set<Socket>();

  private constructor(private readonly port: number, private readonly options: LinkOptions) {
    this.up = new Way(options);
    this.down = new Way(options);
  }

  /** A link to this port of this machine. */
  static async to(port: number, options: LinkOptions): Promise<SlowLink> {
    const link = new SlowLink(port, options);
    await new Promise<void>((resolve) => link.#server.listen(0, "127.0.0.1", resolve));
    return link;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #accept(near: Socket): void {
    // The handshake of TCP takes a round trip before anything can be said.
    const saidFrom = performance.now() + 2 * this.options.delayMs;
    const far = connect({ port: this.port, host: "127.0.0.1", noDelay: true });
    for (const [from, to, way] of [[near, far, this.up], [far, near, this.down]] as const) {
      this.#sockets.add(from);
      let turn: Promise<void> = Promise.resolve();
      from.on("data", (data) => (turn = turn.then(() => way.pass(data as unknown as Uint8Array, from, to, saidFrom))));
      from.on("end", () => void turn.then(() => way.end(to)));
      from.on("error", () => to.destroy());
      from.on("close", () => this.#sockets.delete(from));
    }
  }
}
