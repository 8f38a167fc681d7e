/** Ids, and whose data these are. */
import type { TokenSource } from "./connection.ts";

/** A random id of so many characters, unguessable enough to be unique. */
export function newId(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => "0123456789abcdefghijklmnopqrstuv"[byte & 31]).join("");
}

/** Claims that differ between two tokens of one identity. */
const OF_THE_TOKEN = ["exp", "iat", "nbf", "jti"];

/** Names the identity of a token, by all claims that make it one; nothing is verified here. */
export async function identityOf(source: TokenSource): Promise<string> {
  const token = typeof source === "function" ? await source() : source;
  const part = token?.split(".")[1];
  if (!part) return "nobody";
  const bytes = Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
  const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  const own = Object.entries(claims).filter(([name]) => !OF_THE_TOKEN.includes(name));
  const text = JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)));
  // Two different hashes of 32 bits: enough to tell the few identities of one browser apart.
  let a = 0x811c9dc5, b = 5381;
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    a = Math.imul(a ^ code, 0x01000193);
    b = (Math.imul(b, 33) ^ code) | 0;
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
