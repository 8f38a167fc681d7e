"""The scenario over Python's `httpx-sse`; also sees that ids count up by one."""

import asyncio
import contextlib
import json

import httpx
import httpx_sse

import scenario


class Channel:
    def __init__(self, stream):
        self.stream = stream
        self.sequence = None

    async def next(self):
        message = await anext(self.stream)
        event = json.loads(message.data)
        if event["type"] == "open":
            self.sequence = event["sequence"]
        elif event["type"] not in ("ping", "close"):
            self.sequence += 1
            assert int(message.id) == self.sequence, f"id {message.id}, counted {self.sequence}"
        return event


@contextlib.asynccontextmanager
async def open_channel(token, name):
    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=scenario.URL, headers=headers, timeout=60) as http,
        httpx_sse.aconnect_sse(http, "GET", f"/channels/{name}") as source,
    ):
        yield Channel(source.aiter_sse())


asyncio.run(scenario.run(open_channel, "python-sse"))
