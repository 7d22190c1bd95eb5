"""The tray as a small page of its own: which card lies in which reader, and buttons to swap them.

It stands beside the office's site, not in it: the office has no way to move a card either. Standard library server on
the loopback interface; a change is taken only from a form that this page itself served (a random key in each form).
"""

import hmac
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, PackageLoader

from card_io.errors import CardError
from uec.demo.tray import NotOnTray, Tray

MAX_FORM_BYTES = 4096
TEXTS = {
    "ru": {
        "title": "Лоток с картами",
        "lead": "Здесь карты кладут в считыватели, как это сделал бы оператор у окна. Карты и считыватели "
        "виртуальные; система не отличает их от настоящих.",
        "reader": "Считыватель",
        "empty": "пусто",
        "take": "Вынуть",
        "put": "В считыватель",
        "cards": "Карты на лотке",
        "blank": "Заготовка",
        "new": "Взять новую заготовку",
        "other": "English",
        "back": "К сайту",
        "none": "Лоток пуст. Возьмите новую заготовку.",
    },
    "en": {
        "title": "Card tray",
        "lead": "Cards go into readers here, as an operator's hand would put them. Cards and readers are "
        "virtual; the system cannot tell them from real ones.",
        "reader": "Reader",
        "empty": "empty",
        "take": "Take out",
        "put": "Into reader",
        "cards": "Cards on the tray",
        "blank": "Blank",
        "new": "Take a new blank",
        "other": "Русский",
        "back": "To the site",
        "none": "The tray is empty. Take a new blank.",
    },
}
PAGES = Environment(loader=PackageLoader("uec.demo", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True)


class TrayServer(ThreadingHTTPServer):
    """Serves one tray at `http://127.0.0.1:port/`; `site_url` is where the way back leads."""

    daemon_threads = True

    def __init__(self, tray: Tray, port: int, site_url: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.tray = tray
        self.site_url = site_url
        self.key = secrets.token_urlsafe(16)

    def start(self) -> None:
        """Serve in a thread of its own until `shutdown`."""
        Thread(target=self.serve_forever, name="card tray", daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: TrayServer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who swaps a card at the demo is of no interest."""

    def _language(self) -> str:
        return "en" if parse_qs(urlsplit(self.path).query).get("lang") == ["en"] else "ru"

    def do_GET(self) -> None:
        """The page."""
        if urlsplit(self.path).path != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._page(HTTPStatus.OK)

    def do_POST(self) -> None:
        """`action` put (with `reader`, `card`), take (with `reader`) or new; then the page again."""
        length = int(self.headers.get("Content-Length") or 0)
        form = parse_qs(self.rfile.read(min(length, MAX_FORM_BYTES)).decode("utf-8", "replace"))
        if not hmac.compare_digest(form.get("key", [""])[0], self.server.key):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        try:
            self._act({name: values[0] for name, values in form.items()})
        except (NotOnTray, CardError) as error:
            self._page(HTTPStatus.CONFLICT, str(error))
            return
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/?lang={self._language()}")
        self.end_headers()

    def _act(self, form: dict[str, str]) -> None:
        reader = int(form["reader"]) if form.get("reader", "").isdigit() else -1
        match form.get("action"):
            case "put":
                self.server.tray.insert(reader, form.get("card", ""))
            case "take":
                self.server.tray.remove(reader)
            case "new":
                self.server.tray.blank()

    def _page(self, status: HTTPStatus, warning: str = "") -> None:
        page = render(self.server.tray, self._language(), self.server.key, self.server.site_url, warning).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(page)


def render(tray: Tray, language: str, key: str, site_url: str, warning: str) -> str:
    """The page as HTML; every text that comes from a card is escaped."""
    return PAGES.get_template("tray.html").render(
        language=language,
        other="en" if language == "ru" else "ru",
        words=TEXTS[language],
        readers=tray.readers,
        cards=tray.cards(),
        key=key,
        site_url=site_url,
        warning=warning,
    )
