"""One scenario for every Python client: a streamed GET, a PATCH and its notice, and another
organization that sees none of it.

A transport is an async context manager `open(token, channel)` whose value has `next()`, one event as a dict.
"""

import asyncio
import os

import httpx

URL = os.environ["ROWCAST_URL"]
TOKEN = os.environ["ROWCAST_TOKEN"]
OTHER_TOKEN = os.environ["ROWCAST_OTHER_TOKEN"]
PATIENCE_SECONDS = 20


async def expect(channel, kind):
    """The next event but pings, which must be of this kind."""
    while True:
        event = await asyncio.wait_for(channel.next(), PATIENCE_SECONDS)
        if event["type"] != "ping":
            assert event["type"] == kind, f"expected {kind}, got {event}"
            return event


async def run(open_channel, name):
    async with (
        httpx.AsyncClient(base_url=URL, headers={"authorization": f"Bearer {TOKEN}"}) as http,
        httpx.AsyncClient(base_url=URL, headers={"authorization": f"Bearer {OTHER_TOKEN}"}) as other_http,
        open_channel(TOKEN, name) as channel,
        open_channel(OTHER_TOKEN, name) as other,
    ):
        opened = await expect(channel, "open")
        await expect(other, "open")

        query = "/tickets?order=id&limit=25"
        accepted = await http.get(query, headers={"request-id": "r1", "channel-id": name})
        assert accepted.status_code == 202, accepted.text
        assert accepted.json() == {"request_id": "r1", "channel_id": name}
        rows = [await expect(channel, "row") for _ in range(25)]
        done = await expect(channel, "done")
        assert done["request_id"] == "r1" and done["rows"] == 25
        plain = (await http.get(query)).json()
        assert [row["row"] for row in rows] == plain

        ticket = plain[0]
        patched = await http.patch(
            f"/tickets/{ticket['id']}", json={"subject": f"Seen by {name}"}, headers={"action-id": f"a-{name}"}
        )
        assert patched.status_code == 200, patched.text
        change = await expect(channel, "change")
        assert change["op"] == "update" and change["id"] == ticket["id"]
        assert change["row"] == patched.json() and change["action_id"] == f"a-{name}"
        assert change["version"] > done["version"] >= opened["version"]

        # The other organization's first event is its own write: nothing came before it.
        theirs = (await other_http.get("/tickets?order=id&limit=1")).json()[0]
        await other_http.patch(f"/tickets/{theirs['id']}", json={"subject": "Our own"})
        change = await expect(other, "change")
        assert change["id"] == theirs["id"] and change["row"]["subject"] == "Our own"
    print(f"{name}: 25 rows, done, a notice; nothing crossed")
