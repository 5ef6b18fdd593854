"""The server on a free loopback port, within the test's own event loop."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import h2.events
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from h2.config import H2Configuration
from h2.connection import H2Connection

import durable_trio as dt
from durable_trio.abc import Command, Entry, Input
from durable_trio_restate import Endpoint, ServerLimits, serve
from durable_trio_restate._entries import FIRST_COMMAND, decode_command, encode_command
from durable_trio_restate._frames import FrameBuffer
from durable_trio_restate._messages import (
    CONTROL_CODECS,
    SUSPENSION_TYPE,
    StartMessage,
    decode_suspension,
    encode_control,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Iterable


@attrs.define(eq=False)
class Served:
    """Where it listens, and how to have it end."""

    port: int
    stop: anyio.Event = attrs.field(factory=anyio.Event)
    stopped: anyio.Event = attrs.field(factory=anyio.Event)
    clients: list[ByteStream] = attrs.field(factory=list[ByteStream])

    async def connect(self, context: ssl.SSLContext | None = None) -> ByteStream:
        """A new connection, which is closed when the block is left."""
        stream: ByteStream = await anyio.connect_tcp("127.0.0.1", self.port)
        if context is not None:
            stream = await TLSStream.wrap(
                stream, hostname="127.0.0.1", ssl_context=context, standard_compatible=False
            )
        self.clients.append(stream)
        return stream


@asynccontextmanager
async def served(
    app: Endpoint,
    *,
    limits: ServerLimits | None = None,
    tls: ssl.SSLContext | None = None,
    shutdown_timeout: float = 10.0,
) -> AsyncGenerator[Served]:
    """Serve an endpoint until the block is left; everything has ended then, within seconds."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    server = Served(listening.getsockname()[1])

    async def run() -> None:
        await serve(
            app,
            [listening],
            until=server.stop.wait,
            limits=limits,
            tls=tls,
            shutdown_timeout=shutdown_timeout,
        )
        server.stopped.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            try:
                yield server
            finally:
                for client in server.clients:
                    await anyio.aclose_forcefully(client)
            server.stop.set()


@attrs.define(eq=False)
class Http2Client:
    """A client over a socket. Bodies and ends are kept by stream."""

    stream: ByteStream
    http: H2Connection = attrs.field(init=False)
    events: list[h2.events.Event] = attrs.field(factory=list[Any])
    bodies: dict[int, bytes] = attrs.field(factory=dict[int, bytes])
    ended: set[int] = attrs.field(factory=set[int])
    reads: int = 0
    """How many pieces came from the socket."""

    @classmethod
    async def over(cls, stream: ByteStream) -> Http2Client:
        """Begin HTTP/2 on a connection."""
        client = cls(stream)
        client.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        client.http.initiate_connection()
        await client.flush()
        return client

    async def flush(self) -> None:
        """Send what there is."""
        data = self.http.data_to_send()
        if data:
            await self.stream.send(data)

    async def request(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        body: bytes = b"",
        end: bool = True,
    ) -> int:
        """Send a request; its stream."""
        number = self.http.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "me"), (":path", path)]
        self.http.send_headers(number, [*pseudo, *headers], end_stream=end and not body)
        if body:
            self.http.send_data(number, body, end_stream=end)
        await self.flush()
        return number

    async def write(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send a piece of body."""
        self.http.send_data(number, data, end_stream=end)
        await self.flush()

    async def read(self) -> None:
        """Take in one piece from the socket. ``EndOfStream`` when the server has closed."""
        data = await self.stream.receive()
        self.reads += 1
        for event in self.http.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived):
                number = event.stream_id
                self.bodies[number] = self.bodies.get(number, b"") + event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, number)
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self.ended.add(event.stream_id)
        await self.flush()

    async def until_ended(self, *numbers: int) -> None:
        """Return when these responses have ended."""
        while not self.ended.issuperset(numbers):
            await self.read()

    async def until_body(self, number: int, size: int) -> bytes:
        """The body of a response, once it has this many bytes."""
        while len(self.bodies.get(number, b"")) < size:
            await self.read()
        return self.bodies[number]

    def status(self, number: int) -> str:
        """The status of a response."""
        for event in self.events:
            if isinstance(event, h2.events.ResponseReceived) and event.stream_id == number:
                status: Any = dict[Any, Any](event.headers)[":status"]
                return str(status)
        raise AssertionError(f"no response on stream {number}")


greeter = dt.Service("Greeter")
gates: dict[str, anyio.Event] = {}


@greeter.handler
async def greet(_ctx: dt.Context, name: str) -> str:
    """Greets."""
    return f"hello {name}"


@greeter.handler
async def nap(_ctx: dt.Context) -> None:
    """Sleeps for an hour."""
    await dt.sleep(3600)


@greeter.handler
async def wait(ctx: dt.Context) -> str:
    """Waits for what nobody sends, without a word."""
    _id, future = ctx.awakeable(str)
    text: str = await future
    return text


@greeter.handler
async def blob(_ctx: dt.Context, size: int) -> str:
    """Answers at length."""
    return "x" * size


@greeter.handler
async def work(ctx: dt.Context) -> str:
    """Is at work until the test opens the gate."""
    return await ctx.run(_work, name="work")


async def _work() -> str:
    gates["started"].set()
    try:
        await gates["go"].wait()
    except BaseException:
        gates["aborted"].set()
        raise
    return "done"


def start_of(*entries: Entry) -> bytes:
    """An attempt's request: its start message and its journal, an empty input if none is given."""
    journal = entries or (Input(b""),)
    message = StartMessage(id=bytes(24), debug_id="inv_1", known_entries=len(journal))
    commands = [entry for entry in journal if isinstance(entry, Command)]
    assert len(commands) == len(journal)
    return encode_control(message) + b"".join(map(encode_command, commands))


def read(data: bytes) -> list[Any]:
    """The messages of an attempt's response: commands and how it ended."""
    buffer = FrameBuffer()
    buffer.feed(data)
    found: list[Any] = []
    while (frame := buffer.next()) is not None:
        if frame.type >= FIRST_COMMAND:
            found.append(decode_command(frame.type, frame.payload))
        elif frame.type == SUSPENSION_TYPE:
            found.append(decode_suspension(frame.payload, 6))
        else:
            found.append(CONTROL_CODECS[frame.type].decode(frame.payload))
    assert buffer.is_empty
    return found
