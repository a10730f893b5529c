import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchway.config import load
from batchway.config.data_encryption import Keyring, NotOurs, key_file, load_keyring, read_keyring
from batchway.config.settings import DataEncryption
from batchway.errors import ConfigError

OLD, NEW = "edd1c9f0985e76a2", "qeddd145sfvddff3"  # of APISIX's own documentation
PLACE = "plugins.key-auth.key"


# --- the keyring


@pytest.mark.parametrize("text", ["", "secret", "ünd € 😀", "a\0b", "\ud800", "x" * 100_000, "encrypted:"])
def test_what_was_sealed_is_opened(text: str) -> None:
    sealed = Keyring([OLD]).seal(text, PLACE)

    assert sealed.startswith("encrypted:")
    assert text not in sealed.removeprefix("encrypted:") or not text
    assert Keyring([OLD]).open(sealed, PLACE) == text


def test_the_same_text_is_never_sealed_alike() -> None:
    keyring = Keyring([OLD])
    assert keyring.seal("secret", PLACE) != keyring.seal("secret", PLACE)


def test_the_first_key_seals_and_any_key_opens() -> None:
    old, new = Keyring([OLD]).seal("secret", PLACE), Keyring([NEW, OLD]).seal("secret", PLACE)

    assert Keyring([NEW, OLD]).open(old, PLACE) == "secret"
    assert Keyring([NEW]).open(new, PLACE) == "secret"
    with pytest.raises(NotOurs):
        Keyring([OLD]).open(new, PLACE)


def test_a_text_in_the_clear_is_opened_as_it_is() -> None:
    assert Keyring([OLD]).open("secret", PLACE) == "secret"
    assert Keyring().open("secret", PLACE) == "secret"


@pytest.mark.parametrize(
    "keyring", [Keyring(), Keyring([OLD], encrypts=False)], ids=["no key", "switched off"]
)
def test_without_encryption_nothing_is_sealed(keyring: Keyring) -> None:
    assert keyring.seal("secret", PLACE) == "secret"


def test_a_keyring_that_is_switched_off_still_opens() -> None:
    sealed = Keyring([OLD]).seal("secret", PLACE)
    assert Keyring([OLD], encrypts=False).open(sealed, PLACE) == "secret"


def test_another_place_is_not_opened() -> None:
    sealed = Keyring([OLD]).seal("secret", PLACE)
    with pytest.raises(NotOurs, match="not with a key of apisix.data_encryption.keyring"):
        Keyring([OLD]).open(sealed, "plugins.known.token")


def test_no_bit_can_be_changed() -> None:
    keyring = Keyring([OLD])
    data = bytearray(base64.b64decode(keyring.seal("s", PLACE).removeprefix("encrypted:")))
    for index in range(len(data)):
        changed = bytes(data[:index]) + bytes([data[index] ^ 1]) + bytes(data[index + 1 :])
        with pytest.raises(NotOurs):
            keyring.open("encrypted:" + base64.b64encode(changed).decode(), PLACE)


@pytest.mark.parametrize("rest", ["", "abc", "ä", "A" * 4, "QUJD" * 9 + "=", "!" * 40])
def test_what_only_begins_like_it_is_told(rest: str) -> None:
    with pytest.raises(NotOurs) as caught:
        Keyring([OLD]).open(f"encrypted:{rest}", PLACE)
    assert caught.value.message == "it says that it is encrypted, but is not in that form"


def test_no_repr_shows_a_key() -> None:
    assert OLD not in repr(Keyring([OLD]))
    assert OLD not in repr(DataEncryption(keyring=(OLD,)))
    assert OLD not in str(DataEncryption(keyring=(OLD,)).__rich_repr__())


# --- the generated key


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "batchway.db"


def test_a_key_is_generated_once_for_its_owner_only(store: Path) -> None:
    sealed = load_keyring(DataEncryption(), store).seal("secret", PLACE)

    path = key_file(store)
    assert path == store.parent / "batchway.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) >= 32
    assert load_keyring(DataEncryption(), store).open(sealed, PLACE) == "secret"
    assert [file.name for file in store.parent.iterdir()] == ["batchway.key"]


def test_two_stores_have_two_keys(tmp_path: Path) -> None:
    sealed = load_keyring(DataEncryption(), tmp_path / "a.db").seal("secret", PLACE)
    with pytest.raises(NotOurs):
        load_keyring(DataEncryption(), tmp_path / "b.db").open(sealed, PLACE)


def test_all_that_start_at_once_have_one_key(store: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keyrings = list(threads.map(lambda _: load_keyring(DataEncryption(), store), range(16)))

    sealed = keyrings[0].seal("secret", PLACE)
    assert {keyring.open(sealed, PLACE) for keyring in keyrings} == {"secret"}


@pytest.mark.parametrize(
    "settings", [DataEncryption(keyring=(OLD,)), DataEncryption(enabled=False)], ids=["configured", "off"]
)
def test_no_key_is_generated_that_nobody_needs(settings: DataEncryption, store: Path) -> None:
    load_keyring(settings, store)
    assert not key_file(store).exists()


def test_who_only_reads_generates_nothing(store: Path) -> None:
    assert read_keyring(DataEncryption(), store).seal("secret", PLACE) == "secret"
    assert not key_file(store).exists()

    sealed = load_keyring(DataEncryption(), store).seal("secret", PLACE)
    assert read_keyring(DataEncryption(), store).open(sealed, PLACE) == "secret"


def test_a_generated_key_opens_when_encryption_is_switched_off(store: Path) -> None:
    sealed = load_keyring(DataEncryption(), store).seal("secret", PLACE)
    off = load_keyring(DataEncryption(enabled=False), store)

    assert off.open(sealed, PLACE) == "secret"
    assert off.seal("secret", PLACE) == "secret"


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_key_file_without_a_key_is_named(store: Path, content: bytes) -> None:
    store.parent.mkdir()
    key_file(store).write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_keyring(DataEncryption(), store)
    assert caught.value.message.startswith(f"{key_file(store)}: ")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be (read|written): Not a directory"):
        load_keyring(DataEncryption(), tmp_path / "file" / "batchway.db")


# --- config.yaml


def read(directory: Path, text: str) -> DataEncryption:
    path = directory / "config.yaml"
    path.write_text(f"apisix: {{data_encryption: {text}}}\n")
    loaded = load(path, known_plugins=(), environ={"DATA_KEY": NEW})
    assert not loaded.warnings
    return loaded.settings.data_encryption


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", DataEncryption()),
        ("{enable_encrypt_fields: false}", DataEncryption(enabled=False)),
        (f"{{keyring: [{NEW}, {OLD}]}}", DataEncryption(keyring=(NEW, OLD))),
        (f"{{enable_encrypt_fields: true, keyring: {OLD}}}", DataEncryption(keyring=(OLD,))),
        ("{keyring: ['${{DATA_KEY}}']}", DataEncryption(keyring=(NEW,))),
        ("{keyring: []}", DataEncryption()),
    ],
)
def test_the_keyring_is_configured_as_in_apisix(
    tmp_path: Path, text: str, expected: DataEncryption
) -> None:
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{keyring: [geheim]}", "keyring[0]: expected at least 16 characters"),
        ("{keyring: [1234567890123456]}", "keyring[0]: expected a string, in quotes, got a value without"),
        ("{keyring: ['']}", "keyring[0]: expected a string that is not empty, got a string"),
        ("{enable_encrypt_fields: 1}", "enable_encrypt_fields: expected true or false, got 1"),
        ("{keyrings: []}", "keyrings: unknown key"),
    ],
)
def test_a_wrong_keyring_is_named_but_not_shown(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert f"apisix.data_encryption.{message}" in caught.value.message
    for secret in ("geheim", "1234567890123456"):
        assert secret not in caught.value.message
