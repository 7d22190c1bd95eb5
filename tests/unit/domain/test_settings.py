"""Settings: a file becomes frozen values, and every mistake in it is named."""

from pathlib import Path

import pytest

from uec.domain.errors import InvalidSettings
from uec.settings import Settings, load_settings, settings_from


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
