"""An admin key for those who have none, written where they can find it.

`yq '.deployment.admin.admin_key[0].key' conf/config.yaml` prints it afterwards.
"""

import contextlib
import errno
import os
import secrets
import string
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from batchway.config import document
from batchway.config.insertion import candidates
from batchway.config.settings import AdminKey, Settings
from batchway.errors import ConfigError

LENGTH = 32
_ALPHABET = string.ascii_letters + string.digits
_BY_HAND = "deployment: {admin: {admin_key: [{name: admin, key: '<your key>', role: admin}]}}"


def ensure_admin_key(path: Path, settings: Settings) -> tuple[Settings, bool]:
    """`settings` with at least one admin key, and whether that had to be generated.

    A generated key of 32 letters and digits, of role admin, is written to the config file first:
    all else in there stays as it is, comments and layout too. A new file, and the directories
    above it, are made as needed; only its owner can read it.
    Blocks: not for the event loop. Raises ConfigError, with what to add by hand, if the key cannot
    be written.
    """
    if settings.admin_keys or not settings.enable_admin or settings.store.kind == "yaml":
        return settings, False  # who keeps resources in a file may have nothing that can be written
    value = generate()
    text = document.read(path)
    old = None if text is None else document.parse(text, path)
    wanted = _with_key(old, value)
    if wanted is None:
        raise _failure(path, "it has changed since it was read")
    new = next((new for new in candidates(text or "", value) if _says(new, wanted, path)), None)
    if new is None:
        raise _failure(path, "it is written in a way that batchway cannot edit")
    try:
        _write(path, new)
    except OSError as error:
        raise _failure(path, error.strerror or "it cannot be written") from None
    entry = wanted["deployment"]["admin"]["admin_key"][0]
    admin = AdminKey(str(entry.get("name") or "admin"), value, "admin")
    return msgspec.structs.replace(settings, admin_keys=(admin,)), True


def generate() -> str:
    """A new random key."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def _failure(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: no admin key is configured, and none can be added: {why}; add by hand {_BY_HAND}"
    )


def _with_key(old: object, value: str) -> dict[str, Any] | None:
    """What the file should say: a copy of `old` with the key in it.

    None if a key is there already, or what is there has another shape than `load` accepts.
    """
    tree = {} if old is None else _copy(old)
    admin = tree
    for name in ("deployment", "admin"):
        if not isinstance(admin, dict):
            return None
        inner = admin.get(name)
        admin[name] = {} if inner is None else inner
        admin = admin[name]
    if not isinstance(admin, dict):
        return None
    entries = admin["admin_key"] = admin.get("admin_key") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return None
    if any(entry.get("key") for entry in entries):
        return None
    if entries and entries[0].get("role") == "admin":
        entries[0]["key"] = value
    else:
        entries.insert(0, {"name": "admin", "key": value, "role": "admin"})
    return dict(tree)


def _copy(value: Any) -> Any:
    """A copy that shares nothing, so that a change behind an alias is one change and not two."""
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    return [_copy(inner) for inner in value] if isinstance(value, list) else value


def _says(text: str, wanted: dict[str, Any], path: Path) -> bool:
    try:
        return document.parse(text, path) == wanted
    except ConfigError:
        return False


def _write(path: Path, text: str) -> None:
    """Replace the file whole, or leave it as it was. A link stays a link. Raises OSError."""
    target = path.resolve()
    if target.exists() and not os.access(target, os.W_OK):
        # It could be replaced all the same, but whoever write-protected it meant something by it.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
            _keep_access(file.fileno(), target)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _keep_access(handle: int, target: Path) -> None:
    """Give the new file the mode and, where we may, the owner of the one that it replaces."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):
        os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, old.st_mode & 0o7777)
