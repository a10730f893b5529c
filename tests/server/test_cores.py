"""How many workers `auto` is."""

import os
from pathlib import Path

import pytest

from batchway.config import Settings
from batchway.server.cores import cores, worker_count

HAS = len(os.sched_getaffinity(0))


def test_a_number_is_taken_as_it_is() -> None:
    assert worker_count(Settings(workers=7)) == 7


def test_auto_is_at_least_one_and_no_more_than_there_are_cores() -> None:
    assert 1 <= worker_count(Settings(workers="auto")) <= HAS


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000\n", HAS),
        ("50000 100000\n", 1),
        ("100000 100000\n", 1),
        ("110000 100000\n", min(2, HAS)),
        ("100000000 100000\n", HAS),
        ("nonsense", HAS),
        ("1 0", HAS),
        ("", HAS),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path: Path, quota: str, expected: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(quota)
    assert cores(path) == expected


def test_without_a_quota_all_cores_count(tmp_path: Path) -> None:
    assert cores(tmp_path / "missing") == HAS
