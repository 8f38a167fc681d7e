/**
 * Signals that only those can read who hold the key of the row that they are about: AES-256-GCM by
 * WebCrypto. Loaded where a topic is secret. Knows no sockets; where keys come from is given to it.
 */
import type { SignalEvent } from "./wire.ts";

/** A key as the server hands it out. */
export interface RowKey {
  readonly key_id: string;
  readonly key: string;
}

/** What stands in the place of a signal's data. */
export interface Sealed {
  readonly key_id: string;
  readonly nonce: string;
  readonly cipher: string;
}

/** What is told besides the data, and cannot be changed on the way. */
export type Told = Required<Pick<SignalEvent, "topic" | "name">> & {
  readonly from: { readonly user: string; readonly channel?: string };
  readonly action_id?: string | undefined;
};

const NONCE_BYTES = 12;
/** Key ids that are not ours, so that they are not asked for again and again. */
const FOREIGN_MOST = 100;

const text = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const bytes = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));

/** What is authenticated beside the data; docs/PROTOCOL.md, "Keys". */
export const authenticated = (keyId: string, { topic, name, from, action_id }: Told): string =>
  JSON.stringify(["rowcast signal", 1, keyId, topic, name, from.user, from.channel ?? null, action_id ?? null]);

export class Secrets {
  #keys = new Map<string, Promise<CryptoKey | undefined>>();
  #current: Promise<RowKey> | undefined;

  constructor(
    /** The key in force, or, by its id, one from before; `undefined` if it is not ours to have. */
    private readonly ask: (id?: string) => Promise<RowKey | undefined>,
  ) {}

  /** The key in force is another from now on. */
  outdated(): void {
    this.#current = undefined;
  }

  /** Encrypts with the key in force. */
  async seal(told: Told, data: unknown, nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))): Promise<Sealed> {
    const { key_id } = await (this.#current ??= this.#ask());
    const key = await this.#keys.get(key_id);
    if (!key) throw new Error("The topic has no key.");
    const additionalData = new TextEncoder().encode(authenticated(key_id, told));
    const plain = new TextEncoder().encode(data === undefined ? "" : JSON.stringify(data));
    const cipher = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData }, key, plain);
    return { key_id, nonce: text(nonce), cipher: text(new Uint8Array(cipher)) };
  }

  /** Decrypts; nothing where the key is not ours, or the signal is not as it was sent. */
  async open(signal: Told & { data?: unknown }): Promise<{ data: unknown } | undefined> {
    try {
      const { key_id, nonce, cipher } = signal.data as Sealed;
      if (typeof key_id !== "string" || typeof nonce !== "string") return undefined;
      const key = await this.#keyOf(key_id);
      if (!key) return undefined;
      const additionalData = new TextEncoder().encode(authenticated(key_id, signal));
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: bytes(nonce), additionalData }, key, bytes(cipher));
      const json = new TextDecoder().decode(plain);
      return { data: json === "" ? undefined : (JSON.parse(json) as unknown) };
    } catch {
      // Plain, malformed, altered.
      return undefined;
    }
  }

  async #ask(): Promise<RowKey> {
    try {
      const key = await this.ask();
      if (!key) throw new Error("The topic has no key.");
      this.#keys.set(key.key_id, imported(key));
      return key;
    } catch (error) {
      this.#current = undefined;
      throw error;
    }
  }

  #keyOf(id: string): Promise<CryptoKey | undefined> {
    let key = this.#keys.get(id);
    if (!key) {
      if (this.#keys.size > FOREIGN_MOST) this.#keys.clear();
      key = this.#find(id);
      this.#keys.set(id, key);
    }
    return key;
  }

  /** Most often it is a new one that is in force; who cannot have that may have had this. */
  async #find(id: string): Promise<CryptoKey | undefined> {
    const current = await (this.#current = this.#ask()).catch(() => undefined);
    const key = current?.key_id === id ? current : await this.ask(id);
    return key && imported(key);
  }
}

const imported = ({ key }: RowKey): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", bytes(key), "AES-GCM", false, ["encrypt", "decrypt"]);
