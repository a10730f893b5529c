"""Secrets at rest: what the store holds of a password is readable with a key of the keyring only.

Source: APISIX, `apisix.data_encryption`. Its AES-128-CBC tells nobody that a value was changed, or
moved to another place; here it is AES-256-GCM, with the place as associated data.
"""

import base64
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from batchway.config.schema import MIN_KEY_LENGTH
from batchway.config.settings import DataEncryption
from batchway.errors import BatchwayError, ConfigError

PREFIX = "encrypted:"
"""Before every value that is encrypted: what was stored in the clear goes on working."""
_NONCE_BYTES = 12
_TAG_BYTES = 16


class NotOurs(BatchwayError):
    """The value is encrypted with no key of the keyring, or for another place, or was changed."""

    code = "cannot_decrypt"


class Keyring:
    """Encrypts with its first key and decrypts with any. Its repr shows none."""

    def __init__(self, keys: Sequence[str] = (), *, encrypts: bool = True) -> None:
        """Without keys, or unless it `encrypts`, what is sealed stays in the clear."""
        self._ciphers = [AESGCM(_derive(key)) for key in keys]
        self._encrypts = encrypts and bool(keys)

    def seal(self, text: str, place: str) -> str:
        """`text` for the store. `place` names the property; only there can it be opened again."""
        if not self._encrypts:
            return text
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, text.encode("utf-8", "surrogatepass"), place.encode())
        return PREFIX + base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, text: str, place: str) -> str:
        """What `seal` was given for that place; a text without PREFIX as it is. Raises NotOurs."""
        if not text.startswith(PREFIX):
            return text
        data = _bytes(text.removeprefix(PREFIX))
        for cipher in self._ciphers:
            with suppress(InvalidTag):
                plain = cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], place.encode())
                return plain.decode("utf-8", "surrogatepass")
        raise NotOurs("it is encrypted, but not with a key of apisix.data_encryption.keyring")


def _derive(key: str) -> bytes:
    """256 bits of a key of any length: APISIX's have 16 characters."""
    return HKDF(SHA256(), length=32, salt=None, info=b"batchway data encryption 1").derive(key.encode())


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error is one, and so is what other characters than ASCII raise
        data = b""
    if len(data) < _NONCE_BYTES + _TAG_BYTES:
        raise NotOurs("it says that it is encrypted, but is not in that form")
    return data


# --- where the keys are


def load_keyring(settings: DataEncryption, store: Path) -> Keyring:
    """The configured keys; else the one that is kept beside the store, generated when first needed.

    Blocks: not for the event loop. Raises ConfigError if that one can be neither read nor written.
    """
    keys = settings.keyring
    if not keys:
        path = key_file(store)
        kept = _read(path)
        if kept is None and settings.enabled:
            kept = _generate(path)
        keys = () if kept is None else (kept,)
    return Keyring(keys, encrypts=settings.enabled)


def read_keyring(settings: DataEncryption, store: Path) -> Keyring:
    """Like `load_keyring`, but nothing is written."""
    kept = None if settings.keyring else _read(key_file(store))
    return Keyring(settings.keyring or (() if kept is None else (kept,)), encrypts=settings.enabled)


def key_file(store: Path) -> Path:
    """Where the generated key is: `data/batchway.key` for `data/batchway.db`."""
    return store.with_suffix(".key")


def _read(path: Path) -> str | None:
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{path}: the key of encrypted data cannot be read: {why}") from None
    if len(text) < MIN_KEY_LENGTH:
        raise ConfigError(f"{path}: expected a key of at least {MIN_KEY_LENGTH} characters")
    return text


def _generate(path: Path) -> str:
    """A new key, on disk before anything is encrypted with it, for its owner's eyes only.

    Of two processes that start at once, both go on with the key of one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its mode is 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(name, path)  # unlike a rename, it replaces nothing
        finally:
            os.unlink(name)
    except OSError as error:
        raise ConfigError(
            f"{path}: the key of encrypted data cannot be written: {error.strerror}"
        ) from None
    kept = _read(path)
    if kept is None:
        raise ConfigError(f"{path}: the key of encrypted data has gone")
    return kept
