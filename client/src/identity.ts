/** Ids, and whose data these are. */
import type { TokenSource } from "./connection.ts";

/** A random id of so many characters, unguessable enough to be unique. */
export function newId(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => "0123456789abcdefghijklmnopqrstuv"[byte & 31]).join("");
}

/** Claims that differ between two tokens of one identity. */
const OF_THE_TOKEN = /^(exp|iat|nbf|jti)$/;

/** Names the identity of a token: all claims that make it one, as they are. Nothing is verified here. */
export async function identityOf(source: TokenSource): Promise<string> {
  const token = typeof source === "function" ? await source() : source;
  const part = token?.split(".")[1] ?? "";
  const claims = JSON.parse(atob(part.replace(/-/g, "+").replace(/_/g, "/")) || "{}") as Record<string, unknown>;
  const own = Object.entries(claims).filter(([name]) => !OF_THE_TOKEN.test(name));
  return JSON.stringify(own.sort(([a], [b]) => (a < b ? -1 : 1)));
}
