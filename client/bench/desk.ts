/** A help desk of so many tickets for the benches, on a server of its own. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { Dev } from "../test/support/dev.ts";

/** Debian has it beside the server's programs, if not on the path. */
export function psql(): string {
  const folders = [15, 16, 17, 18].map((version) => `/usr/lib/postgresql/${version}/bin/psql`);
  return ["/usr/bin/psql", ...folders].find((each) => existsSync(each)) ?? "psql";
}

/**
 * Starts it. Organization 1 is given further tickets, each with another's subject and contact, until
 * its first user sees so many.
 */
export async function desk(tickets: number): Promise<Dev> {
  const dev = await Dev.start();
  const seen = ((await dev.call("GET", "/tickets?select=id")) as unknown[]).length;
  const sql = `insert into tickets (organization_id, mailbox_id, contact_id, assignee_id, subject, status, priority,
      created_at, updated_at)
    select 1, one.mailbox_id, other.contact_id, one.assignee_id, other.subject, one.status, other.priority,
      one.created_at - turn * interval '37 minutes 11.3 seconds', one.updated_at - turn * interval '31 minutes 7.9 seconds'
    from generate_series(1, 9) as turn
    join tickets as one on one.organization_id = 1 and not one.private
    join tickets as other on other.id = 1 + (one.id * 7 + turn * 131) % 1600
      and other.organization_id = 1 and not other.private
    order by turn, one.id limit ${tickets - seen}`;
  execFileSync(psql(), [dev.database, "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, "-c", "vacuum analyze tickets"], { stdio: "inherit" });
  const now = ((await dev.call("GET", "/tickets?select=id")) as unknown[]).length;
  if (now !== tickets) throw new Error(`${now} tickets instead of ${tickets}`);
  return dev;
}
