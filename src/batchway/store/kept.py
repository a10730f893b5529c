"""What was taken last, in memory that forked processes share: for those that begin later."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_DIGEST_BYTES = 32
_SIZE_BYTES = 8
_START = _DIGEST_BYTES + _SIZE_BYTES


class Kept:
    """Content, and the digest of what was refused after it. Made before the fork."""

    def __init__(self) -> None:
        self._file = _nameless_file()

    def put(self, content: bytes) -> None:
        """Keep `content`, and nothing that was before."""
        with self._locked() as handle:
            os.ftruncate(handle, 0)
            os.pwrite(handle, bytes(_DIGEST_BYTES) + len(content).to_bytes(_SIZE_BYTES, "big"), 0)
            _write(handle, content, _START)

    def get(self) -> bytes | None:
        """What was put last, by any of the processes."""
        with self._locked() as handle:
            header = os.pread(handle, _START, 0)
            size = int.from_bytes(header[_DIGEST_BYTES:], "big")
            content = _read(handle, size, _START)
        return content if len(header) == _START and len(content) == size else None

    def refuse(self, digest: bytes) -> bool:
        """Note what is refused now; whether no other process has noted the same before."""
        with self._locked() as handle:
            if os.pread(handle, _DIGEST_BYTES, 0) == digest:
                return False
            os.pwrite(handle, digest, 0)
            return True

    def close(self) -> None:
        """Free it, in this process."""
        os.close(self._file)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        # a record lock: unlike `flock`, it tells apart processes that have the file from one parent
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield self._file
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("resources")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(handle: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _read(handle: int, size: int, offset: int) -> bytes:
    pieces: list[bytes] = []
    while size and (piece := os.pread(handle, size, offset)):
        pieces.append(piece)
        size, offset = size - len(piece), offset + len(piece)
    return b"".join(pieces)
