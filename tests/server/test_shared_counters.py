"""Counters that processes share: they are as those of one process, and no kill holds them up."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from batchway.plugins.base import Counters
from batchway.plugins.counters import LocalCounters
from batchway.server.shared_counters import SharedCounters

TAKES = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "ä", "\udc80", "k" * 1000]),
        st.integers(0, 6),
        st.sampled_from([0, 1, 5, 10, 2**40]),
        st.sampled_from([0.5, 1.0, 60.0]),
        st.sampled_from([0.0, 0.25, 0.5, 1.0, 59.0, 1e6]),
    )
)


@given(TAKES)
def test_they_are_as_those_of_one_process(takes: list[tuple[str, int, int, float, float]]) -> None:
    local, shared, now = LocalCounters(), SharedCounters(100), 1000.0
    try:
        for key, cost, limit, window_s, pause_s in takes:
            now += pause_s
            expected = local.take(key, cost, limit, window_s, now)
            assert shared.take(key, cost, limit, window_s, now) == expected
    finally:
        shared.close()


def takes_one(counters: Counters, key: str, now: float) -> int:
    return counters.take(key, 1, 100, 60, now)[0]


def test_many_keys_are_apart() -> None:
    counters = SharedCounters(10_000)
    for turn in range(3):
        assert {takes_one(counters, f"key{n}", now=1) for n in range(1000)} == {99 - turn}
    counters.close()


def test_nearly_all_keys_that_it_is_made_for_find_room() -> None:
    counters = SharedCounters(1000)
    for number in range(1000):
        takes_one(counters, f"key{number}", now=1)

    kept = [takes_one(counters, f"key{number}", now=1) == 98 for number in range(1000)]
    assert sum(kept) > 950
    counters.close()


def test_when_full_the_window_that_ends_first_makes_room() -> None:
    counters = SharedCounters(1)  # one bucket of 32
    for number in range(32):
        counters.take(f"key{number}", 1, 100, 60 + number, 1)
    with capture_logs() as logs:
        assert takes_one(counters, "new", now=1) == 99
        assert takes_one(counters, "newer", now=1) == 99

    assert [takes_one(counters, f"key{number}", now=1) for number in range(2, 32)] == [98] * 30
    assert [line["event"] for line in logs] == ["counters are full: some begin anew"]
    counters.close()


def test_windows_that_are_over_make_room_without_a_word() -> None:
    counters = SharedCounters(1)
    with capture_logs() as logs:
        for number in range(100):
            assert takes_one(counters, f"key{number}", now=1 + number * 60) == 99
    assert logs == []
    counters.close()


# A process that forks may have but one thread: these run in one of their own.

EXACT = """
import os, random, time
from batchway.server.shared_counters import SharedCounters

counters = SharedCounters(100)
pids = []
for _ in range(4):
    pid = os.fork()
    if not pid:
        for number in range(2000):
            counters.take(f"key{number % 7}", 1, 10**6, 600, time.monotonic())
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
print(sum(10**6 - counters.take(f"key{n}", 0, 10**6, 600, time.monotonic())[0] for n in range(7)))
"""

LIMITED = """
import os, time
from batchway.server.shared_counters import SharedCounters

counters = SharedCounters(100)
read, write = os.pipe()
for _ in range(4):
    if not os.fork():
        took = sum(counters.take("key", 1, 1000, 600, time.monotonic())[0] >= 0 for _ in range(1000))
        os.write(write, f"{took}\\n".encode())
        os._exit(0)
for _ in range(4):
    os.wait()
print(sum(map(int, os.read(read, 1000).split())))
"""

KILLED = """
import os, random, signal, time
from batchway.server.shared_counters import SharedCounters

counters = SharedCounters(1)  # one bucket: all are after the same lock
for turn in range(40):
    pid = os.fork()
    if not pid:
        number = 0
        while True:
            counters.take(f"key{turn}-{number}", 1, 10, 1e-6, time.monotonic())
            number += 1
    time.sleep(random.uniform(0.002, 0.006))
    os.kill(pid, signal.SIGKILL)
    assert counters.take("mine", 3, 1000, 600, time.monotonic())[0] == 997 - 6 * turn
    os.waitpid(pid, 0)
    assert counters.take("mine", 3, 1000, 600, time.monotonic())[0] == 994 - 6 * turn
print("done")
"""

HALF_DONE = """
import os, signal, time
from batchway.server import shared_counters

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

counters = shared_counters.SharedCounters(1)
counters.take("before", 1, 10, 600, time.monotonic())
pid = os.fork()
if not pid:
    class Deadly:
        size = shared_counters._SLOT.size
        unpack_from = shared_counters._SLOT.unpack_from
        pack_into = killed
    shared_counters._SLOT = Deadly
    counters.take("half", 1, 10, 600, time.monotonic())
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
print([counters.take(key, 1, 10, 600, time.monotonic())[0] for key in ("half", "before", "after")])
"""


def output(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert not done.stderr
    return done.stdout.strip()


def test_what_processes_take_at_once_adds_up() -> None:
    assert output(EXACT) == "8000"


def test_a_limit_is_never_passed() -> None:
    assert output(LIMITED) == "1000"


def test_a_process_that_is_killed_holds_up_nobody() -> None:
    assert output(KILLED) == "done"


def test_what_a_killed_process_has_left_half_done_counts_for_nothing() -> None:
    assert output(HALF_DONE) == "[9, 8, 9]"
