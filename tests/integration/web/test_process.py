"""The web process opens no reader and no vault: it does not even load the code that could."""

import subprocess
import sys

FORBIDDEN = {
    "smartcard",
    "card_io.pcsc",
    "card_io.virtual.card",
    "issuance.keys.file_vault",
    "issuance.keys.service",
    "issuance.keys.client",
    "uec.services.production_office",
}


def test_no_reader_and_no_vault_is_loaded() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, uec.web.app; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(said.stdout.split())
    assert "uec.web.app" in loaded
    assert loaded & FORBIDDEN == set()
