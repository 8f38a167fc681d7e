/** How the page writes numbers, moments and names. */

export const bytes = (count: number): string =>
  count < 1_000 ? `${count} B` : count < 1_000_000 ? `${(count / 1_000).toFixed(1)} kB` : `${(count / 1_000_000).toFixed(2)} MB`;

export const ms = (time: number | undefined): string =>
  time === undefined ? "–" : time < 10 ? `${time.toFixed(1)} ms` : `${Math.round(time)} ms`;

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [["minute", 60], ["hour", 3_600], ["day", 86_400], ["month", 2_629_800], ["year", 31_557_600]];

export function ago(moment: string | undefined): string {
  if (!moment) return "now";
  const seconds = (Date.parse(moment) - Date.now()) / 1_000;
  let [unit, length] = UNITS[0] as [Intl.RelativeTimeFormatUnit, number];
  if (Math.abs(seconds) < length) return "now";
  for (const [name, size] of UNITS) if (Math.abs(seconds) >= size) [unit, length] = [name, size];
  return relative.format(Math.round(seconds / length), unit);
}

export const exactly = (moment: string | undefined): string =>
  moment ? new Date(moment).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "just now";

export const initials = (name: string): string =>
  name.split(/\s+/).map((word) => word[0] ?? "").slice(0, 2).join("").toUpperCase();

/** A hue that stays with a name. */
export const hue = (name: string): number => {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 360;
  return sum;
};
