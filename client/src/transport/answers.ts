/** What the status of an answer that is no channel means for the connection. */
import type { End } from "./attach.ts";

export function endOf(answer: Response): [End, number?] {
  const seconds = Number(answer.headers.get("retry-after"));
  if (answer.status === 401) return ["expired"];
  if (answer.status === 429 || answer.status >= 500) return ["close-later", seconds * 1000 || undefined];
  return answer.status >= 400 ? ["close-stop"] : ["lost"];
}
