"""Settings: a file becomes frozen values, and every mistake in it is named."""

from datetime import date
from pathlib import Path

import pytest

from uec.domain.errors import InvalidSettings
from uec.domain.settings_rules import RULES, fault_of, split_address
from uec.services import rules
from uec.settings import Settings, load_settings, settings_from, shipped_profiles


def write(folder: Path, text: str) -> Path:
    path = folder / "uec.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_follow_the_state_folder(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, 'state_dir = "here"\n'))
    assert settings.state_dir == tmp_path / "here"
    assert settings.vault_socket == tmp_path / "here" / "vault.sock"
    assert settings.secret_key_file == tmp_path / "here" / "web.key"
    assert settings.database_url == f"sqlite:///{tmp_path / 'here' / 'uec.db'}"
    assert settings.source == tmp_path / "uec.toml"


def test_defaults_without_any_key_are_absolute(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""))
    assert settings.vault_path == tmp_path / "state" / "vault.json"
    assert settings.database_url == f"sqlite:///{tmp_path / 'state' / 'uec.db'}"


def test_given_values_stand(tmp_path: Path) -> None:
    text = """
        database_url = "postgresql://host/uec"
        vault_path = "/elsewhere/vault"
        vault_passphrase_files = ["one", "/two"]
        register_gateway_timeout_s = 3
        demo = true
        banks = ["Банк А", "Банк Б"]
        [pki]
        root_name = "Корень"
        [policy]
        validity_years = 4
        [[policy.changes]]
        from = 2015-01-01
        production_days = 20
    """
    settings = load_settings(write(tmp_path, text))
    assert settings.database_url == "postgresql://host/uec"
    assert settings.vault_path == Path("/elsewhere/vault")
    assert settings.vault_passphrase_files == (tmp_path / "one", Path("/two"))
    assert (settings.register_gateway_timeout_s, settings.demo) == (3.0, True)
    assert settings.banks == ("Банк А", "Банк Б")
    assert settings.pki.root_name == "Корень"
    assert settings.policy.first.validity_years == 4
    assert settings.policy.changes[0][1].production_days == 20


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ('databse_url = "x"', "databse_url", "database_url"),
        ('zzz = "x"', "zzz", None),
        ('[pki]\nrot_name = "x"', "pki.rot_name", "root_name"),
        ("demo = 1", "demo", None),
        ("state_dir = 5", "state_dir", None),
        ('pki = "x"', "pki", None),
        ("vault_passphrase_files = [1]", "vault_passphrase_files", None),
        ('[polcy]\nx = "x"', "polcy", "policy"),
    ],
)
def test_a_mistake_is_named_with_its_neighbour(tmp_path: Path, text: str, key: str, near: str | None) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(write(tmp_path, text))
    assert (caught.value.key, caught.value.near) == (key, near)
    assert key in caught.value.message


BAD_VALUES: dict[str, list[object]] = {
    "database_url": ["sqlite://", "sqlite:///:memory:"],
    "web_listen": ["nonsense", "8080", ":8080", "127.0.0.1:", "127.0.0.1:65536", "::1:80 80", "127.0.0.1:٣"],
    "hub_listen": ["x", "host:-1", "[::1:8081"],
    "hub_tls": ["yes", "", "AUTO"],
    "hub_url": ["http://host", "ws://", "ws://host:x"],
    "base_url": ["ftp://host", "host", "http://[::1"],
    "register_gateway_url": ["nonsense", "http://", "http://host:99999"],
    "register_gateway_timeout_s": [0, -1.0, float("nan"), float("inf"), 301],
    "timezone": ["Mars/Base", "", "../etc/passwd", "/etc/localtime"],
    "locale": ["de", "RU", ""],
    "card_number_prefix": ["", "abc", "12345678901", "９６"],
    "default_profile": ["", "../../x", "uec.toml", "a/b"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD_VALUES.items() for value in values])
def test_a_value_of_no_use_is_found_at_once(key: str, value: object) -> None:
    with pytest.raises(InvalidSettings, match=f"^{key} must be ") as caught:
        settings_from({key: value}, Path("/somewhere/uec.toml"))
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("key", "value"),
    [("country", "rus"), ("country", ""), ("organisation", "Ж" * 65), ("organisation", " "), ("root_name", "a\nb")],
)
def test_names_must_fit_into_certificates(key: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=f"^pki.{key} must be "):
        settings_from({"pki": {key: value}}, Path("/somewhere/uec.toml"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("web_listen", "[::1]:8080"),
        ("web_listen", "localhost:0"),
        ("hub_listen", "0.0.0.0:8081"),
        ("hub_url", "wss://hub.example:443/station"),
        ("base_url", "https://card.example"),
        ("register_gateway_timeout_s", 300),
        ("timezone", "Europe/Moscow"),
        ("locale", "en"),
    ],
)
def test_values_of_use_stand(key: str, value: object) -> None:
    assert getattr(settings_from({key: value}, Path("/somewhere/uec.toml")), key) == value


@pytest.mark.parametrize(
    ("address", "split"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8080", ("::1", 8080)), ("h:0", ("h", 0))]
)
def test_an_address_is_split(address: str, split: tuple[str, int]) -> None:
    assert split_address(address) == split


@pytest.mark.parametrize(
    ("given", "loaded"),
    [
        ("sqlite:///state/uec.db", "sqlite:////somewhere/state/uec.db"),
        ("sqlite+pysqlite:///uec.db", "sqlite+pysqlite:////somewhere/uec.db"),
        ("sqlite:////var/uec.db", "sqlite:////var/uec.db"),
        ("postgresql://host/uec", "postgresql://host/uec"),
    ],
)
def test_a_relative_database_lies_beside_the_settings(given: str, loaded: str) -> None:
    assert settings_from({"database_url": given}, Path("/somewhere/uec.toml")).database_url == loaded


@pytest.mark.parametrize("content", [b"state_dir = ", b"\xff\xfe"])
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "uec.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"uec\.toml"):
        load_settings(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UEC_SETTINGS", str(tmp_path / "nowhere.toml"))
    with pytest.raises(InvalidSettings, match="uec init"):
        load_settings()


def test_settings_cannot_be_changed() -> None:
    settings = settings_from({}, Path("/somewhere/uec.toml"))
    with pytest.raises(AttributeError):
        settings.demo = True  # type: ignore[misc]
    assert isinstance(settings, Settings)


def test_every_default_keeps_the_rules_and_every_rule_has_a_key() -> None:
    defaults = settings_from({}, Path("/somewhere/uec.toml"))
    for key in RULES:
        table, _dot, name = key.rpartition(".")
        holder = getattr(defaults, table) if table else defaults
        assert fault_of(key, getattr(holder, name)) is None


def test_profiles_that_are_named_nowhere_are_those_of_the_software(tmp_path: Path) -> None:
    file = tmp_path / "uec.toml"
    file.write_text('database_url = "postgresql://uec@localhost/uec"\n')
    assert load_settings(file).profile_dir == shipped_profiles()
    assert rules.working_calendar(load_settings(file)).is_working(date(2026, 3, 2))
    own = tmp_path / "config" / "profiles"
    own.mkdir(parents=True)
    assert load_settings(file).profile_dir == own, "what lies beside the file goes first"
    file.write_text('profile_dir = "mine"\n')
    assert load_settings(file).profile_dir == tmp_path / "mine", "a folder that is named is the one, there or not"
