"""What forked processes share of a file."""

import os
import warnings

import pytest

from batchway.store.kept import Kept


@pytest.fixture
def kept() -> Kept:
    return Kept()


def in_child(work: object) -> int:
    """The exit code of a forked process that does `work`."""
    with warnings.catch_warnings():
        # A thread of an earlier test may be at its very end; the child takes no lock that it could have.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(work())  # type: ignore[operator]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_nothing_is_kept_at_first(kept: Kept) -> None:
    assert kept.get() is None


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 10_000])
def test_what_was_put_is_there(kept: Kept, content: bytes) -> None:
    kept.put(b"something longer than what comes next" * 1000)
    kept.put(content)
    assert kept.get() == content
    assert kept.get() == content


def test_a_child_sees_what_its_parent_puts_and_the_parent_what_the_child_does(kept: Kept) -> None:
    kept.put(b"parent's")
    assert in_child(lambda: 0 if kept.get() == b"parent's" else 1) == 0
    assert in_child(lambda: kept.put(b"child's") or 0) == 0  # type: ignore[func-returns-value]
    assert kept.get() == b"child's"


def test_a_refusal_is_told_once(kept: Kept) -> None:
    one, other = bytes([1] * 32), bytes([2] * 32)
    assert kept.refuse(one)
    assert in_child(lambda: int(kept.refuse(one))) == 0
    assert not kept.refuse(one)
    assert kept.refuse(other)
    kept.put(b"good")
    assert kept.refuse(other)
    assert kept.get() == b"good"
