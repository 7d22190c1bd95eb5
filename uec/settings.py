"""Hides where settings come from: one TOML file becomes frozen dataclasses; an unknown key is refused.

Relative paths in the file count from its folder. Secrets never stand in it: only the names of files that hold them.
"""

import os
import re
import sysconfig
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from uec.domain.errors import InvalidSettings
from uec.domain.policy import Policy, PolicyBook, load_policy
from uec.domain.settings_rules import fault_of

DEFAULT_FILE = "uec.toml"
ENVIRONMENT = "UEC_SETTINGS"
_PATH_LISTS = {"vault_passphrase_files", "pki.weak_rsa_key_files"}


@dataclass(frozen=True)
class PkiNames:
    """The names written into the certificates of the authority."""

    country: str = "RU"
    organisation: str = "Уполномоченная организация"
    root_name: str = "UEC Root CA"
    issuing_name: str = "UEC Issuing CA"
    document_signer_name: str = "UEC Document Signer"
    # Where certificates and revocation lists are fetched, by plain http; empty: at `base_url`.
    lists_url: str = ""
    # A revocation list speaks for at most this many certificates, further ones get a list of their own; 0: one list.
    crl_part_entries: int = 0
    # Whether certificates say where their state is answered (`ocsp_url`). Needs `uec ocsp run` and `uec worker`.
    ocsp: bool = True
    # Lists of keys that a broken generator made (Debian's openssl-blacklist), one for each size of modulus.
    weak_rsa_key_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class MailSettings:
    """The mail server that takes the letters to applicants; without `smtp` they stand on the status page only."""

    # HOST:PORT; empty: no letters.
    smtp: str = ""
    sender: str = "uec@localhost"
    # starttls, always (from the first byte), or never (a server on this machine).
    tls: str = "starttls"
    # PEM; empty: the authorities that this machine trusts.
    ca_file: Path = Path()
    login: str = ""
    password_file: Path = Path("state/mail.password")
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Settings:
    """Everything an installation may choose. Paths are absolute once loaded."""

    database_url: str = ""
    state_dir: Path = Path("state")
    vault_socket: Path = Path("state/vault.sock")
    vault_path: Path = Path("state/vault.json")
    vault_passphrase_files: tuple[Path, ...] = ()
    # Keys in a token instead of the file: the module's library, and the token's label. Its PIN is two halves, entered
    # as the custodians' passphrases are. Without backup, keys made there can never be moved to another token.
    pkcs11_module: str = ""
    pkcs11_label: str = "uec"
    pkcs11_backup: bool = True
    # How many processes of `uec vault` sign with a token's keys at once: about as many as the token has cores.
    pkcs11_signers: int = 2
    secret_key_file: Path = Path("state/web.key")
    profile_dir: Path = Path("config/profiles")
    register_gateway_url: str = "http://127.0.0.1:8082"
    register_gateway_timeout_s: float = 5.0
    hub_url: str = "ws://127.0.0.1:8081"
    hub_listen: str = "127.0.0.1:8081"
    # Whether the hub speaks TLS: auto (unless it listens on loopback), always, or never (behind a proxy that does). The
    # two files are PEM; where there are none the hub makes a key of its own there, which stations pin.
    hub_tls: str = "auto"
    hub_certificate: Path = Path("state/hub.pem")
    hub_key: Path = Path("state/hub.key")
    web_listen: str = "127.0.0.1:8080"
    base_url: str = "http://127.0.0.1:8080"
    # Where `uec ocsp run` listens, and where the world reaches it, by plain http: it stands in every certificate.
    ocsp_listen: str = "127.0.0.1:8083"
    ocsp_url: str = "http://127.0.0.1:8083"
    # How many proxies of ours stand before the web process (nginx: 1): by them it knows the visitor's own address.
    trusted_proxies: int = 0
    # What a bureau's file may have when it is brought to the page, in megabytes.
    bureau_file_mb: int = 512
    card_number_prefix: str = "964360"
    default_profile: str = "uec"
    locale: str = "ru"
    timezone: str = "Asia/Yekaterinburg"
    region_ru: str = "Область"
    region_en: str = "Region"
    organisation_contact: str = ""
    # Banks an applicant may choose from; none means that the choice is not shown.
    banks: tuple[str, ...] = ()
    demo: bool = False
    pki: PkiNames = field(default_factory=PkiNames)
    mail: MailSettings = field(default_factory=MailSettings)
    policy: PolicyBook = field(default_factory=lambda: PolicyBook(Policy(zone=ZoneInfo(Settings.timezone))))
    source: Path | None = None


def shipped_profiles() -> Path:
    """The folder of card profiles that come with this software: the checkout's, else that of the installed package."""
    checkout = Path(__file__).parents[1] / "config" / "profiles"
    installed = Path(sysconfig.get_path("data")) / "share" / "uec" / "profiles"
    return checkout if checkout.is_dir() else installed


def find_settings_file(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the settings file: the argument, else `UEC_SETTINGS`, else `uec.toml` here."""
    return Path(path or os.environ.get(ENVIRONMENT) or DEFAULT_FILE)


def load_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read the settings file; raise `InvalidSettings` when it is missing, broken, or has an unknown or wrong key."""
    file = find_settings_file(path)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidSettings(
            f"There is no settings file {file}; run `uec init`, or name one by --settings or {ENVIRONMENT}.",
            key=None,
            near=None,
        ) from None
    except OSError as error:
        raise InvalidSettings(
            f"The settings file {file} cannot be read: {error.strerror}.", key=None, near=None
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"The settings file {file} is not UTF-8; save it anew.", key=None, near=None) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"The settings file {file} is not valid TOML: {error}.", key=None, near=None) from error
    return settings_from(values, file.absolute())


def settings_from(values: Mapping[str, Any], source: Path) -> Settings:
    """Build settings from parsed TOML; `source` is the file, whose folder relative paths count from."""
    given = dict(values)
    pki = replace(PkiNames(), **_checked(_section(given, "pki"), PkiNames(), "pki."))
    mail = replace(MailSettings(), **_checked(_section(given, "mail"), MailSettings(), "mail."))
    rules = _section(given, "policy")
    checked = _checked(given, Settings(), "")
    policy = load_policy(rules, zone=ZoneInfo(checked.get("timezone", Settings.timezone)))
    settings = replace(Settings(), **checked, pki=pki, mail=mail, policy=policy, source=source)
    return _absolute(settings, source.parent)


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section = values.pop(name, {})
    if not isinstance(section, dict):
        raise InvalidSettings(
            f"[{name}] must be a table; write it as [{name}] with its keys below.", key=name, near=None
        )
    return section


def _checked(values: Mapping[str, Any], defaults: Any, prefix: str) -> dict[str, Any]:
    known = {item.name for item in fields(defaults)} - {"pki", "mail", "policy", "source"}
    checked = {}
    for key, value in values.items():
        if key not in known:
            tables = set() if prefix else {"pki", "mail", "policy"}
            near = next(iter(get_close_matches(key, sorted(known | tables), n=1)), None)
            hint = f"; did you mean {prefix}{near}?" if near else f"; known are: {', '.join(sorted(known))}."
            raise InvalidSettings(f"{prefix}{key} is not a setting{hint}", key=f"{prefix}{key}", near=near)
        checked[key] = _converted(f"{prefix}{key}", value, getattr(defaults, key))
        wanted = fault_of(f"{prefix}{key}", checked[key])
        if wanted is not None:
            raise InvalidSettings(f"{prefix}{key} must be {wanted}.", key=f"{prefix}{key}", near=None)
    return checked


def _converted(key: str, value: Any, default: Any) -> Any:
    if isinstance(default, Path) and isinstance(value, str) and value:
        return Path(value)
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(Path(item) for item in value) if key in _PATH_LISTS else tuple(value)
    if isinstance(default, float) and type(value) in {int, float}:
        return float(value)
    if type(value) is type(default) and not isinstance(default, tuple):
        return value
    kinds = {
        tuple: 'a list of strings, like ["..."]',
        Path: f'a path in quotes, like "{default}"',
        bool: "true or false",
        int: f"a whole number, like {default}",
        float: f"a number, like {default}",
        str: f'a text in quotes, like "{default}"',
    }
    raise InvalidSettings(
        f"{key} must be {next(word for kind, word in kinds.items() if isinstance(default, kind))}.", key=key, near=None
    )


def _absolute(settings: Settings, folder: Path) -> Settings:
    weak = tuple(folder / path for path in settings.pki.weak_rsa_key_files)
    mail = replace(settings.mail, password_file=folder / settings.mail.password_file)
    if mail.ca_file.name:
        mail = replace(mail, ca_file=folder / mail.ca_file)
    changed: dict[str, Any] = {"pki": replace(settings.pki, weak_rsa_key_files=weak), "mail": mail}
    for item in fields(settings):
        value = getattr(settings, item.name)
        if isinstance(value, Path):
            changed[item.name] = folder / value
        elif item.name in _PATH_LISTS:
            changed[item.name] = tuple(folder / path for path in value)
    if settings.profile_dir == Settings.profile_dir and not changed["profile_dir"].is_dir():
        # Named nowhere and not beside the file: those that come with the software.
        changed["profile_dir"] = shipped_profiles()
    if "state_dir" in changed:
        state = changed["state_dir"]
        for name, file in (
            ("vault_socket", "vault.sock"),
            ("vault_path", "vault.json"),
            ("secret_key_file", "web.key"),
            ("hub_certificate", "hub.pem"),
            ("hub_key", "hub.key"),
        ):
            # Left at its default, a file of the state follows the state folder.
            if getattr(settings, name) == getattr(Settings(), name):
                changed[name] = state / file
        if not settings.database_url:
            changed["database_url"] = f"sqlite:///{state / 'uec.db'}"
    relative = re.fullmatch(r"(sqlite(?:\+pysqlite)?:///)([^/:].*)", settings.database_url)
    if relative:
        # Counted from the working folder, every process would find another, empty database.
        changed["database_url"] = f"{relative[1]}{folder / relative[2]}"
    return replace(settings, **changed)
