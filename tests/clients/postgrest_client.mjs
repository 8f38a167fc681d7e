// postgrest-js, unmodified: reads, embedded rows, writes and errors; and another organization that
// sees none of it.
import assert from "node:assert/strict";
import { PostgrestClient } from "@supabase/postgrest-js";

const of = (token) =>
  new PostgrestClient(process.env.ROWCAST_URL, { headers: { Authorization: `Bearer ${token}` } });
const db = of(process.env.ROWCAST_TOKEN);
const other = of(process.env.ROWCAST_OTHER_TOKEN);

const good = (answer) => {
  assert.equal(answer.error, null, JSON.stringify(answer.error));
  return answer.data;
};
const refused = (answer, code) => {
  assert.equal(answer.data, null);
  assert.equal(answer.error?.code, code, JSON.stringify(answer.error));
  assert.ok(answer.error.message.length > 0);
  return answer.error;
};

// Reads.
const open = good(
  await db.from("tickets").select("id,subject,status").eq("status", "open").order("id").limit(3),
);
assert.equal(open.length, 3);
assert.ok(open.every((row) => row.status === "open"));
const some = good(await db.from("tickets").select("id").in("id", open.map((row) => row.id)));
assert.equal(some.length, 3);
const either = good(
  await db.from("tickets").select("id").or(`id.eq.${open[0].id},id.eq.${open[1].id}`),
);
assert.equal(either.length, 2);
const page = await db.from("tickets").select("id", { count: "exact" }).order("id").range(0, 4);
assert.equal(good(page).length, 5);
assert.ok(page.count > 5);

// Related rows.
const [withContact] = good(
  await db.from("tickets").select("id,contact:contacts(id,name)").eq("id", open[0].id),
);
assert.equal(typeof withContact.contact.name, "string");
const single = good(await db.from("tickets").select("id,subject").eq("id", open[0].id).single());
assert.equal(single.subject, open[0].subject);

// Writes.
const created = good(
  await db.from("contacts").insert({ name: "Zoë", email: "zoe@js.example" }).select().single(),
);
assert.equal(created.name, "Zoë");
const many = good(
  await db
    .from("contacts")
    .insert([{ name: "One", email: "one@js.example" }, { name: "Two", email: "two@js.example" }])
    .select("id,name"),
);
assert.deepEqual(many.map((row) => row.name), ["One", "Two"]);
const merged = good(
  await db
    .from("contacts")
    .upsert([{ id: many[0].id, name: "Uno", email: "one@js.example" }])
    .select("id,name,email"),
);
assert.deepEqual(merged, [{ id: many[0].id, name: "Uno", email: "one@js.example" }]);
const passed = good(
  await db
    .from("contacts")
    .upsert([{ name: "Dos", email: "two@js.example" }], {
      onConflict: "organization_id,email",
      ignoreDuplicates: true,
    })
    .select("id"),
);
assert.deepEqual(passed, []);
const updated = good(
  await db.from("contacts").update({ company: "Acme" }).eq("id", created.id).select("id,company"),
);
assert.deepEqual(updated, [{ id: created.id, company: "Acme" }]);

// Another organization.
assert.deepEqual(good(await other.from("contacts").select("id").eq("id", created.id)), []);
assert.deepEqual(
  good(await other.from("contacts").update({ company: "Evil" }).eq("id", created.id).select("id")),
  [],
);
assert.deepEqual(good(await other.from("contacts").delete().eq("id", created.id).select("id")), []);
refused(
  await other.from("contacts").upsert({ id: created.id, name: "Mine" }).select(),
  "RC301",
);
const still = good(await db.from("contacts").select("name,company").eq("id", created.id).single());
assert.deepEqual(still, { name: "Zoë", company: "Acme" });

// Errors.
refused(await db.from("contacts").insert({ name: "x", email: "zoe@js.example" }).select(), "23505");
refused(await db.from("nothing").select(), "PGRST205");
refused(await db.from("contacts").insert({ nmae: "x" }).select(), "PGRST204");
refused(await db.from("contacts").select().eq("id", -1).single(), "PGRST116");
refused(await db.rpc("missing", { x: 1 }), "PGRST202");

// Away again.
const ids = [created.id, ...many.map((row) => row.id)];
const gone = good(await db.from("contacts").delete().in("id", ids).select("id"));
assert.equal(gone.length, 3);
console.log("nothing crossed");
