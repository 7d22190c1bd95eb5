"""Hides a register gateway for demonstrations and tests: real HTTP, answers from an export, trouble on request.

`POST /control` takes any of `{"delay_s": 1.5, "down": true, "drop": true, "mismatch_share": 0.1, "registers":
["SNILS"]}`: slow, answering 503, closing without an answer, saying no to a fixed share of people; for the named
registers or (empty) all. `GET /control` tells the present state, `GET /health` that it is alive. Listens on the
machine itself only, unless told otherwise.
"""

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from uec.domain.errors import GatewayUnavailable, InvalidInput
from uec.domain.lifecycle import CheckOutcome, CheckRegister
from uec.gateways.questions import CheckAnswer
from uec.gateways.truth import Truth

BODY_LIMIT_BYTES = 4 << 20
LONGEST_DELAY_S = 60.0


@dataclass(frozen=True)
class Trouble:
    """What is to go wrong; the beginning is that nothing does."""

    delay_s: float = 0.0
    down: bool = False
    drop: bool = False
    mismatch_share: float = 0.0
    registers: tuple[CheckRegister, ...] = ()

    def concerns(self, register: CheckRegister) -> bool:
        """Tell whether the register is one of those in trouble."""
        return not self.registers or register in self.registers

    def changed(self, values: Mapping[str, Any]) -> "Trouble":
        """Return the trouble after a request to `/control`; raise `InvalidInput` for what cannot be asked."""
        try:
            wanted = dict(values)
            if "registers" in wanted:
                wanted["registers"] = tuple(CheckRegister(name) for name in wanted["registers"])
            trouble = replace(self, **wanted)
            fits = 0 <= trouble.delay_s <= LONGEST_DELAY_S and 0 <= trouble.mismatch_share <= 1
            if not fits or type(trouble.down) is not bool or type(trouble.drop) is not bool:
                raise ValueError("out of range")
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"There is no such trouble to make: {error}.", values=dict(values)) from error
        return trouble


class StandIn:
    """The server; use it as a context, or `start` and `stop` it."""

    def __init__(self, truth: Truth, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the address (port 0: any free one); raise `GatewayUnavailable` when it is taken."""
        self.truth = truth
        self.trouble = Trouble()
        self.questions = 0
        self._lock = threading.Lock()
        standin = self

        class Handler(_Handler):
            """Knows its stand-in."""

            owner = standin

        try:
            self._server = _Server((host, port), Handler)
        except OSError as error:
            raise GatewayUnavailable(
                f"The stand-in cannot listen on {host}:{port} ({error.strerror}); choose another port.",
                gateway="standin",
            ) from error
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to give to `RegisterGateway`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Answer in a thread of its own."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="standin", daemon=True)
        self._thread.start()

    def serve_forever(self) -> None:
        """Answer in this thread until `stop` is called from another one, or the process is interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Stop answering and close the port."""
        self._server.shutdown()
        self._server.server_close()
        if self._thread is not None:
            self._thread.join()

    def make_trouble(self, **values: Any) -> None:
        """Change what goes wrong, as `/control` does."""
        with self._lock:
            self.trouble = self.trouble.changed(values)

    def state(self) -> dict[str, Any]:
        """Return the present trouble and counts, as `/control` tells them."""
        return {**asdict(self.trouble), "people": len(self.truth), "questions": self.questions}

    def answer(self, register: CheckRegister, person: Mapping[str, str]) -> CheckAnswer:
        """Answer one question, trouble included (but for delays)."""
        with self._lock:
            self.questions += 1
        trouble = self.trouble
        if trouble.concerns(register) and _unlucky(person, trouble.mismatch_share):
            return CheckAnswer(CheckOutcome.MISMATCH, "said on request")
        return self.truth.answer(register, person)


def _unlucky(person: Mapping[str, str], share: float) -> bool:
    """Pick a fixed share of people: the same person gets the same answer every time."""
    if not share:
        return False
    who = f"{person.get('surname')}|{person.get('name')}|{person.get('birth_date')}"
    return int.from_bytes(hashlib.sha256(who.encode()).digest()[:4]) < share * 2**32


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that goes away in the middle is no news.
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that hang up."""


class _Dropped(Exception):
    """The connection is closed without an answer, on request."""


class _Handler(BaseHTTPRequestHandler):
    owner: StandIn
    protocol_version = "HTTP/1.1"
    timeout = 65
    # Answer and headers leave together, and do not wait for the other side's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests hold personal data."""

    def do_GET(self) -> None:
        """Tell the state."""
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == "/control":
            self._send(200, self.owner.state())
        else:
            self._send(404, {"error": "there is no such page"})

    def do_POST(self) -> None:
        """Answer questions, or take an order to make trouble."""
        body = self._body()
        if body is None:
            return
        try:
            if self.path == "/control":
                self.owner.make_trouble(**body)
                self._send(200, self.owner.state())
            elif self.path == "/v1/checks":
                checks = [(CheckRegister(item["register"]), _person(item)) for item in body["checks"]]
                self._answer(checks, many=True)
            elif self.path.startswith("/v1/checks/"):
                self._answer([(CheckRegister(self.path.rpartition("/")[2]), _person(body))], many=False)
            else:
                self._send(404, {"error": "there is no such page"})
        except InvalidInput as error:
            self._send(400, {"error": error.message})
        except (KeyError, TypeError, ValueError, AttributeError):
            self._send(400, {"error": "the question cannot be read"})
        except _Dropped:
            self.close_connection = True

    def _answer(self, checks: list[tuple[CheckRegister, dict[str, str]]], *, many: bool) -> None:
        trouble = self.owner.trouble
        if any(trouble.concerns(register) for register, _ in checks):
            if trouble.delay_s:
                time.sleep(trouble.delay_s)
            if trouble.drop:
                raise _Dropped
            if trouble.down:
                self._send(503, {"error": "the register is down"})
                return
        answers = [asdict(self.owner.answer(register, person)) for register, person in checks]
        self._send(200, {"answers": answers} if many else answers[0])

    def _body(self) -> dict[str, Any] | None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_LIMIT_BYTES:
            self.close_connection = True
            self._send(413 if length > 0 else 411, {"error": "give a body of at most 4 MB with its length"})
            return None
        try:
            body = json.loads(self.rfile.read(length))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            self._send(400, {"error": "the body must be one JSON object"})
            return None
        return body

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def _person(item: dict[str, Any]) -> dict[str, str]:
    person = item["person"]
    if not isinstance(person, dict) or not all(isinstance(value, str) for value in person.values()):
        raise ValueError("a person is an object of strings")
    return person


def serve(path: Path, *, host: str = "127.0.0.1", port: int = 8082) -> StandIn:
    """Return a bound stand-in that knows the residents of an export; call `serve_forever` on it."""
    return StandIn(Truth.of_file(path, datetime.now(UTC).date()), host=host, port=port)
