"""The load of the benchmark ``serving``, in a process of its own: python open_loop.py PORT BODY RATE SECONDS CLIENTS.

Requests are due at moments of a Poisson process, RATE a second and BURST times as many in the first second of every
EVERY; each is sent by the next of the clients that is free, over the connection that it keeps. A request's time counts
from when it was due, so that a server that falls behind is seen to. Prints, as JSON, the percentiles and the errors.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

BURST, EVERY = 5, 5.0
PATIENCE_S = 5.0
"""A request that has no answer then is an error."""


def due(rate: float, seconds: float) -> list[float]:
    """When requests are due, in seconds from the start."""
    numbers = random.Random(7)
    moments, now = [], 0.0
    while now < seconds:
        # By thinning: candidates at the highest rate, of which the quiet seconds keep one in BURST.
        now += numbers.expovariate(rate * BURST)
        if now % EVERY < 1 or numbers.random() < 1 / BURST:
            moments.append(now)
    return moments


class Client(asyncio.Protocol):
    """One connection that is kept, with one request at a time."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bool] | None = None
        self._got = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def ask(self, request: bytes) -> bool:
        """Whether it was answered as it should be."""
        self.answered = asyncio.get_running_loop().create_future()
        self._got.clear()
        self._transport.write(request)
        async with asyncio.timeout(PATIENCE_S):
            return await self.answered

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, ended, body = bytes(self._got).partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        if ended and len(body) >= int(length):
            self._answer(head.startswith(b"HTTP/1.1 200") and b"PRESENT" in body and b"NOT_FOUND" not in body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer(False)

    def _answer(self, right: bool) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(right)


async def load(port: int, body: str, rate: float, seconds: float, clients: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    free: asyncio.LifoQueue[Client] = asyncio.LifoQueue()

    async def connect() -> None:
        free.put_nowait((await loop.create_connection(Client, "127.0.0.1", port))[1])

    for _ in range(clients):
        await connect()
    head = "POST /get-online-features HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    times: list[float] = []
    errors = 0

    async def ask(at: float) -> None:
        nonlocal errors
        client = await free.get()
        try:
            right = await client.ask(request)
        except (TimeoutError, OSError):
            right = False
        times.append(time.perf_counter() - at)
        errors += not right
        if right:
            free.put_nowait(client)
        else:
            client.close()
            await connect()

    began = time.perf_counter() + 0.1
    asked = []
    for moment in due(rate, seconds):
        if (wait := began + moment - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        asked.append(asyncio.create_task(ask(began + moment)))
    await asyncio.gather(*asked)
    times.sort()
    at = {name: times[int(len(times) * part)] * 1000 for name, part in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}
    return {"asked": len(times), "errors": errors, **at, "cpu_s": time.process_time()}


if __name__ == "__main__":
    port, text, rate, seconds, clients = sys.argv[1:]
    print(json.dumps(asyncio.run(load(int(port), text, float(rate), float(seconds), int(clients)))))
