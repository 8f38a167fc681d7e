"""postgrest-py, unmodified: reads, embedded rows, writes and errors; and another organization that
sees none of it."""

import os

from postgrest import SyncPostgrestClient
from postgrest.exceptions import APIError


def of(token):
    return SyncPostgrestClient(
        os.environ["ROWCAST_URL"], headers={"Authorization": f"Bearer {token}"}
    )


db = of(os.environ["ROWCAST_TOKEN"])
other = of(os.environ["ROWCAST_OTHER_TOKEN"])


def refused(call, code):
    try:
        answer = call.execute()
    except APIError as error:
        assert error.code == code, error
        assert error.message
        return
    raise AssertionError(f"{code} was expected: {answer}")


# Reads.
opened = db.from_("tickets").select("id,subject").eq("status", "open").order("id").limit(3).execute()
assert len(opened.data) == 3
first = opened.data[0]["id"]
counted = db.from_("tickets").select("id", count="exact").order("id").range(0, 4).execute()
assert len(counted.data) == 5 and counted.count > 5
either = db.from_("tickets").select("id").or_(f"id.eq.{first},id.eq.-1").execute()
assert [row["id"] for row in either.data] == [first]

# Related rows.
related = db.from_("tickets").select("id,contact:contacts(name)").eq("id", first).single().execute()
assert isinstance(related.data["contact"]["name"], str)

# Writes.
contacts = lambda client=db: client.from_("contacts")
created = contacts().insert(
    [{"name": "Ana", "email": "ana@py.example"}, {"name": "Bo", "email": "bo@py.example"}]
).execute()
assert [row["name"] for row in created.data] == ["Ana", "Bo"]
ids = [row["id"] for row in created.data]
merged = contacts().upsert({"id": ids[0], "name": "Anna", "email": "ana@py.example"}).execute()
assert merged.data[0]["name"] == "Anna"
updated = contacts().update({"company": "Acme"}).eq("id", ids[0]).execute()
assert updated.data[0]["company"] == "Acme"

# Another organization.
assert contacts(other).select("id").in_("id", ids).execute().data == []
assert contacts(other).update({"company": "Evil"}).in_("id", ids).execute().data == []
assert contacts(other).delete().in_("id", ids).execute().data == []
refused(contacts(other).upsert({"id": ids[0], "name": "Mine"}), "RC301")

# Errors.
refused(contacts().insert({"name": "x", "email": "ana@py.example"}), "23505")
refused(db.from_("nothing").select("*"), "PGRST205")
refused(contacts().insert({"nmae": "x"}), "PGRST204")
refused(contacts().select("id").eq("id", -1).single(), "PGRST116")
refused(db.rpc("missing", {"x": 1}), "PGRST202")

# Away again.
gone = contacts().delete().in_("id", ids).execute()
assert len(gone.data) == 2
assert contacts().select("id").in_("id", ids).execute().data == []
print("nothing crossed")
