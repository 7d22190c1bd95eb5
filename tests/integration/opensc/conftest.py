"""A card that the project's own line made, in a virtual reader, and other people's programs to read it with."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from card_io.pcsc import Context
from card_io.pcscd import reader_ports
from card_io.virtual.card import VirtualCard
from card_io.virtual.vpcd import InsertedCard
from tests.support.line import blank_card, make_line
from tests.support.pcsc import READERS, PcscService, wait_until

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def made_card(tmp_path_factory: pytest.TempPathFactory) -> VirtualCard:
    """A card personalised, inspected and handed over in this process; see `tests.support.line` for its PINs."""
    line = make_line(tmp_path_factory.mktemp("line"))
    number, card = line.order(), blank_card(1)
    line.personalise(number, card)
    line.inspect(number, card)
    line.hand_over(number, card)
    line.office.vault.close()
    return card


@pytest.fixture
def uec_card(pcsc: PcscService, made_card: VirtualCard, tmp_path: Path) -> Iterator[VirtualCard]:
    """A copy of that card in the first virtual reader."""
    made_card.save(tmp_path / "card.json")
    copy = VirtualCard.load(tmp_path / "card.json")
    with InsertedCard(copy, port=reader_ports()[0]):
        wait_until(card_is_seen, "the smart card service never saw the card")
        yield copy


def card_is_seen(reader: int = 0) -> bool:
    """Whether the service sees a card in a virtual reader."""
    with Context() as context:
        slot = context.slots().get(READERS[reader])
    return slot is not None and slot.present


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a program of the machine in a folder of its own; its output, and its result for the test to look at."""
    settings = tmp_path / "opensc.conf"
    # `pkcs15-tool` refuses the default driver unless the configuration allows it; nothing is cached on disk.
    settings.write_text("app default { enable_default_driver = true; framework pkcs15 { use_file_caching = no; } }\n")
    monkeypatch.setenv("OPENSC_CONF", str(settings))

    def start(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = os.environ | environment
        return subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False
        )

    return start
