"""OCSP over HTTP as an RSGI application (RFC 6960 appendix A, RFC 5019 section 5): GET, HEAD, POST, conditional GET.

Hides the event loop. An answer given before is given again from memory for a few seconds, by the very bytes of its
request, so that most requests cost one look into a dictionary; everything else runs in threads, so many at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from uec.domain.errors import UecError
from uec.ocsp.desk import KEEP, Desk, Reply

log = logging.getLogger(__name__)

REMEMBERED = 50_000
"""Answers kept in memory at most, about two kilobytes each; those whose time is over go with the next that comes."""
WAITING = 64
"""Requests that may wait for database or vault at once; more are told to try later."""
MAX_REQUEST_BYTES = 4096
BODY_S = 10.0
"""How long a request's body may take: whoever stops in the middle of it holds a connection, which are not endless."""
REPORT_S = 60.0
KEEP_S = KEEP.total_seconds()
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]

Request = str | bytes
"""A GET's path, or a POST's body."""


class Headers(Protocol):
    """A request's headers, by their names in lower case."""

    def get(self, key: str) -> str | None:
        """The value of a header, or None."""


class Scope(Protocol):
    """What is known of a request before its body (RSGI 1.5)."""

    method: str
    path: str
    headers: Headers


class Exchange(Protocol):
    """One request's body, and the way its answer takes (RSGI 1.5)."""

    async def __call__(self) -> bytes:
        """The whole body."""

    def __aiter__(self) -> Any:
        """The body in pieces."""

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Answer without a body."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""


class Remembered:
    """An answer in memory: its headers, its bytes, and until when (by the monotonic clock) it is given again."""

    __slots__ = ("body", "etag", "headers", "until")

    def __init__(self, reply: Reply, until: float) -> None:
        self.body, self.headers, self.until = reply.body, list(reply.headers), until
        self.etag = dict(reply.headers).get("ETag", "")


class Responder:
    """The application. `prefix` is the path of the responder's address, without a slash at its end."""

    def __init__(self, desk: Desk, prefix: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk, self._prefix, self._clock = desk, f"{prefix}/", clock
        self._memory: dict[Request, Remembered] = {}
        self._waiting = 0
        self._again = 0
        self._reporting: asyncio.Task[None] | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to report."""
        self._reporting = loop.create_task(self._report())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop reporting."""
        if self._reporting is not None:
            self._reporting.cancel()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        method = scope.method
        request: Request
        if method in ("GET", "HEAD"):
            request = scope.path
        elif method == "POST":
            try:
                async with asyncio.timeout(BODY_S):
                    request = await _body(scope, exchange)
            except TimeoutError:
                return exchange.response_empty(408, [("Connection", "close"), *_TEXT])
        else:
            return exchange.response_empty(405, [("Allow", "GET, HEAD, POST"), *_TEXT])
        known = self._memory.get(request)
        if known is not None and known.until > self._clock():
            self._again += 1
        else:
            known = await self._find(request)
        if method != "POST" and known.etag and scope.headers.get("if-none-match") == known.etag:
            return exchange.response_empty(304, known.headers)
        return exchange.response_bytes(200, known.headers, known.body)

    async def _find(self, request: Request) -> Remembered:
        if self._waiting >= WAITING:
            return Remembered(self._desk.refuse_busy(), 0.0)
        self._waiting += 1
        try:
            reply = await asyncio.to_thread(self._ask, request)
        finally:
            self._waiting -= 1
        found = Remembered(reply, self._clock() + KEEP_S)
        if reply.keep:
            self._remember(request, found)
        return found

    def _ask(self, request: Request) -> Reply:
        if isinstance(request, bytes):
            return self._desk.answer(request)
        # An address that ends with a slash, and a client that adds one; a request itself begins with M (30 in base64).
        return self._desk.answer_path(request.removeprefix(self._prefix).lstrip("/"))

    def _remember(self, request: Request, found: Remembered) -> None:
        memory, now = self._memory, self._clock()
        memory.pop(request, None)  # the newest stand last
        while memory and (len(memory) >= REMEMBERED or next(iter(memory.values())).until <= now):
            del memory[next(iter(memory))]
        memory[request] = found

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            if self._again:
                self._desk.count("again", self._again)
                self._again = 0
            try:
                await asyncio.to_thread(self._desk.report)
            except UecError as error:
                log.warning("what was answered cannot be told to the audit: %s", error)


async def _body(scope: Scope, exchange: Exchange) -> bytes:
    """The body, or as much of it as shows that it is too long: the desk calls that malformed."""
    told = scope.headers.get("content-length")
    if told is not None and told.isdecimal() and int(told) <= MAX_REQUEST_BYTES:
        return await exchange()
    body = b""
    async for piece in exchange:
        body += piece
        if len(body) > MAX_REQUEST_BYTES:
            break
    return body
