"""The scenario over Python's `websockets`, the token in the subprotocol as browsers send it."""

import asyncio
import contextlib
import json

import websockets

import scenario


class Channel:
    def __init__(self, socket):
        self.socket = socket
        self.events = []

    async def next(self):
        while not self.events:
            self.events = [json.loads(line) for line in (await self.socket.recv()).splitlines()]
        return self.events.pop(0)


@contextlib.asynccontextmanager
async def open_channel(token, name):
    url = scenario.URL.replace("http", "ws", 1) + f"/channels/{name}"
    async with websockets.connect(url, subprotocols=["rowcast", f"bearer.{token}"]) as socket:
        assert socket.subprotocol == "rowcast"
        yield Channel(socket)


asyncio.run(scenario.run(open_channel, "python-websocket"))
