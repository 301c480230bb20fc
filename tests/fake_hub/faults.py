"""What can go wrong between a client and the Hub, on demand: `POST /-/faults` sets one, `GET` tells how many struck."""

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(kw_only=True, eq=False)
class Fault:
    """One fault, for the next requests that match.

    Attributes:
        match: a pattern in "METHOD /path".
        do: "refuse" answers with `status` and `retry_after` in the place of the Hub; "exit" ends the server as SIGKILL
            does; "drop" resets the connection; "hold" waits until the faults are cleared; "alter" flips the bits of the
            byte at `after` of the body that is served; "truncate" serves `after` bytes of it as if that were all.
        at: when exit, drop and hold strike: once `after` bytes of the "request" have come in; once the Hub has done
            what it was asked to, before it says so ("answer"); or once `after` bytes of the "response" have gone out.
        after: bytes of a body.
        times: how many requests it strikes.
    """

    match: str
    do: Literal["refuse", "exit", "drop", "hold", "alter", "truncate"]
    at: Literal["request", "answer", "response"] = "request"
    after: int = 0
    times: int = 1
    status: int = 503
    retry_after: int | None = None


class Dropped(BaseException):
    """The connection is gone, and what was working on the request should stop."""


class Faults:
    """Stands in front of the application and lets faults strike."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.faults: list[Fault] = []
        self.struck = 0
        self.cleared = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/-/faults":
            await self.control(scope, receive, send)
            return
        fault = self.next_for(f"{scope['method']} {scope['path']}")
        with contextlib.suppress(Dropped):
            await self.answer(fault, scope, receive, send)

    async def answer(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self.app(scope, receive, send)
        elif fault.do == "refuse":
            self.count(fault)
            await Request(scope, receive).body()
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            await JSONResponse({"error": "not now"}, fault.status, headers)(scope, receive, send)
        elif fault.do in ("alter", "truncate"):
            await self.app(scope, receive, Spoiled(self, fault, send))
        elif fault.at == "request":
            await self.app(scope, Interrupted(self, fault, receive, send), send)
        else:
            await self.app(scope, receive, Unfinished(self, fault, send))

    async def control(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "POST":
            self.faults.append(Fault(**await request.json()))
        elif request.method == "DELETE":
            self.faults.clear()
            self.cleared.set()
            self.cleared = asyncio.Event()
        await JSONResponse({"struck": self.struck, "waiting": len(self.faults)})(scope, receive, send)

    def next_for(self, request: str) -> Fault | None:
        return next((fault for fault in self.faults if re.search(fault.match, request)), None)

    def count(self, fault: Fault) -> bool:
        """Counts a strike; False where another request was faster."""
        if fault not in self.faults:
            return False
        self.struck += 1
        fault.times -= 1
        if fault.times <= 0:
            self.faults.remove(fault)
        return True

    async def strike(self, fault: Fault, send: Send) -> None:
        if not self.count(fault):
            return
        if fault.do == "exit":
            os._exit(1)
        elif fault.do == "drop":
            transport(send).abort()
            await asyncio.sleep(0)  # for uvicorn to see that nobody is left to answer
            raise Dropped
        else:
            await self.cleared.wait()


def transport(send: Send) -> Any:
    """The connection behind a request: ASGI has no word for dropping it, so this asks uvicorn's own object."""
    return send.__self__.transport  # type: ignore[attr-defined]


class Interrupted:
    """A request whose body stops coming in."""

    def __init__(self, faults: Faults, fault: Fault, receive: Receive, send: Send) -> None:
        self.faults, self.fault, self.receive, self.send = faults, fault, receive, send
        self.received, self.done = 0, False

    async def __call__(self) -> Message:
        message = await self.receive()
        self.received += len(message.get("body", b""))
        if not self.done and self.received >= self.fault.after:
            self.done = True
            await self.faults.strike(self.fault, self.send)
        return message


class Unfinished:
    """A response that is not sent, or not to its end."""

    def __init__(self, faults: Faults, fault: Fault, send: Send) -> None:
        self.faults, self.fault, self.send = faults, fault, send
        self.left, self.done = fault.after, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.fault.at == "answer":
                await self.strike()
        elif not self.done and self.fault.at == "response" and len(message.get("body", b"")) >= self.left:
            body = message["body"]
            await self.send({**message, "body": body[: self.left], "more_body": True})
            while transport(self.send).get_write_buffer_size():
                await asyncio.sleep(0.01)
            await self.strike()
            message = {**message, "body": body[self.left :]}
        else:
            self.left -= len(message.get("body", b""))
        await self.send(message)

    async def strike(self) -> None:
        self.done = True
        await self.faults.strike(self.fault, self.send)


class Spoiled:
    """A response whose body is not what is kept."""

    def __init__(self, faults: Faults, fault: Fault, send: Send) -> None:
        self.faults, self.fault, self.send = faults, fault, send
        self.start: Message = {}
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.body += message.get("body", b"")
        if message.get("more_body"):
            return
        body, after = self.body, self.fault.after
        if after < len(body) and self.faults.count(self.fault):
            rest = b"" if self.fault.do == "truncate" else bytes([body[after] ^ 0xFF]) + body[after + 1 :]
            body = body[:after] + rest
        length = str(len(body)).encode()
        headers = [(name, length if name == b"content-length" else value) for name, value in self.start["headers"]]
        await self.send({**self.start, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
