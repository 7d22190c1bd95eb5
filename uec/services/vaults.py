"""Which vault an installation has, by its settings: an encrypted file, or a PKCS#11 token.

Only the vault process and a custodian's commands open it; everyone else asks over its socket.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from card_io.secret import Secret
from issuance.keys.engine import VaultEngine
from issuance.keys.file_vault import FileVault
from uec.settings import Settings

if TYPE_CHECKING:
    from issuance.keys.pkcs11_vault import Token


def unlock(settings: Settings, passphrases: tuple[Secret, Secret]) -> VaultEngine:
    """Open the vault with both custodians' passphrases (a token: the halves of its PIN); raises a `VaultError`."""
    if not settings.pkcs11_module:
        return FileVault.unlock(settings.vault_path, passphrases)
    # The module is loaded only where a token is used.
    from issuance.keys.pkcs11_vault import Pkcs11Vault  # noqa: PLC0415

    return Pkcs11Vault.unlock(_token(settings), passphrases)


def create(settings: Settings, passphrases: tuple[Secret, Secret]) -> VaultEngine:
    """Begin an empty vault and open it; raises `VaultExists` where there is one."""
    if not settings.pkcs11_module:
        return FileVault.create(settings.vault_path, passphrases)
    from issuance.keys.pkcs11_vault import Pkcs11Vault  # noqa: PLC0415

    return Pkcs11Vault.create(_token(settings), passphrases)


def unlock_or_create(settings: Settings, passphrases: tuple[Secret, Secret]) -> VaultEngine:
    """Open the vault, or begin one where there is none yet."""
    if not settings.pkcs11_module:
        made = settings.vault_path.exists()
    else:
        from issuance.keys.pkcs11_vault import holds_vault  # noqa: PLC0415

        made = holds_vault(_token(settings), passphrases)
    return unlock(settings, passphrases) if made else create(settings, passphrases)


def _token(settings: Settings) -> "Token":
    from issuance.keys.pkcs11_vault import Token  # noqa: PLC0415

    return Token(Path(settings.pkcs11_module), settings.pkcs11_label, settings.vault_path, settings.pkcs11_backup)
