"""Which vault an installation has, by its settings: an encrypted file, or a PKCS#11 token.

Only the vault process and a custodian's commands open it; everyone else asks over its socket.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from card_io.secret import Secret
from issuance.keys import hardening, periods
from issuance.keys.engine import Clock, VaultEngine
from issuance.keys.file_vault import FileVault
from uec.settings import Settings

if TYPE_CHECKING:
    from issuance.keys.tokens import Token

log = logging.getLogger(__name__)


def serving(settings: Settings, passphrases: tuple[Secret, Secret], *, clock: Clock) -> VaultEngine:
    """Open the vault in the process that serves it: its memory is closed, and a token gets its signing processes.

    Keys whose period ends soon, or is over, are named in the log. Raises a `VaultError`.
    """
    hardening.close_memory()
    vault = unlock(settings, passphrases, clock=clock, signers=settings.pkcs11_signers)
    for info in vault.describe():
        if (where := periods.judge(info, clock())) is not periods.Period.RUNNING:
            log.warning(
                "vault: the period of key %s version %d %s on %s: make the next version",
                info.ref.purpose,
                info.ref.version,
                "ended" if where is periods.Period.OVER else "ends",
                info.expires_at,
            )
    return vault


def unlock(
    settings: Settings, passphrases: tuple[Secret, Secret], *, clock: Clock | None = None, signers: int = 0
) -> VaultEngine:
    """Open the vault with both custodians' passphrases (a token: the halves of its PIN); raises a `VaultError`.

    Without a clock no key's period is judged: for tools that only look, and for installing.
    """
    if not settings.pkcs11_module:
        return FileVault.unlock(settings.vault_path, passphrases, clock=clock)
    # The module is loaded only where a token is used.
    from issuance.keys.pkcs11_vault import Pkcs11Vault  # noqa: PLC0415

    return Pkcs11Vault.unlock(_token(settings), passphrases, signers=signers, clock=clock)


def create(settings: Settings, passphrases: tuple[Secret, Secret]) -> VaultEngine:
    """Begin an empty vault and open it; raises `VaultExists` where there is one."""
    if not settings.pkcs11_module:
        return FileVault.create(settings.vault_path, passphrases)
    from issuance.keys.pkcs11_vault import Pkcs11Vault  # noqa: PLC0415

    return Pkcs11Vault.create(_token(settings), passphrases)


def is_there(settings: Settings, passphrases: tuple[Secret, Secret]) -> bool:
    """Whether there is a vault already; a token tells that to its custodians only."""
    if not settings.pkcs11_module:
        return settings.vault_path.exists()
    from issuance.keys.pkcs11_vault import holds_vault  # noqa: PLC0415

    return holds_vault(_token(settings), passphrases)


def unlock_or_create(settings: Settings, passphrases: tuple[Secret, Secret]) -> VaultEngine:
    """Open the vault, or begin one where there is none yet."""
    return unlock(settings, passphrases) if is_there(settings, passphrases) else create(settings, passphrases)


def _token(settings: Settings) -> "Token":
    from issuance.keys.tokens import Token  # noqa: PLC0415

    return Token(Path(settings.pkcs11_module), settings.pkcs11_label, settings.vault_path, settings.pkcs11_backup)
