"""Children that are forked, talk to their parent, and end in every way."""

import subprocess
import sys

import pytest

# A process that forks may have but one thread, so each of these runs in one of its own.
BEGIN = """
import os, selectors, signal, sys, time
import structlog
from batchway.server.channel import Closed
from batchway.server.crew import Crew
from batchway.server.messages import Applied, Failed, Hurry, Ready, Settled, Stop

structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
selector = selectors.DefaultSelector()
said = []

def turn(seconds=30.0):
    for key, mask in selector.select(seconds):
        key.data(mask)

def until_reaped(crew, count):
    ended = []
    give_up = time.monotonic() + 30
    while len(ended) < count and time.monotonic() < give_up:
        turn(0.01)
        ended += crew.reap()
    return sorted((member.number, os.waitstatus_to_exitcode(status)) for member, status in ended)

def messages(channel):
    while True:
        yield from channel.receive()
        time.sleep(0.001)

def hear(member, message):
    said.append((member.number, message))
"""

ANSWER = """
def become(number, channel):
    for message in messages(channel):
        if message == Stop():
            return number
        channel.send(Applied(message.revision * number))

crew = Crew(selector, become, hear)
crew.start(1)
crew.start(2)
crew.tell_all(Settled(10))
crew.say(2, Settled(20))
crew.say(3, Settled(30))  # there is none
while len(said) < 3:
    turn()
print(sorted((number, message.revision) for number, message in said))
crew.tell_all(Stop())
print(until_reaped(crew, 2), len(crew))
crew.say(1, Stop())
"""

LAST_WORDS = """
def become(number, channel):
    channel.send(Failed("x" * 100_000, is_config=False))
    return 3

crew = Crew(selector, become, hear)
crew.start(1)
os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
((member, status),) = crew.reap()
print(os.waitstatus_to_exitcode(status), [len(message.message) for _, message in said])
"""

FAULTS = """
def become(number, channel):
    if number == 1:
        raise KeyboardInterrupt
    if number == 2:
        sys.exit(7)
    os.kill(os.getpid(), signal.SIGKILL)

crew = Crew(selector, become, hear)
for number in (1, 2, 3):
    crew.start(number)
print(until_reaped(crew, 3))
"""

DEAF = """
def become(number, channel):
    time.sleep(60)

crew = Crew(selector, become, hear)
crew.start(1)
while not next(iter(crew)).is_cut:
    crew.say(1, Failed("x" * 1_000_000, is_config=False))
print(until_reaped(crew, 1))
"""

PARENT_ENDS = """
def become(number, channel):
    try:
        for _ in messages(channel):
            pass
    except Closed:
        os.write(1, b"%d is alone\\n" % number)
        return 0

crew = Crew(selector, become, hear)
for number in (1, 2):
    crew.start(number)
os._exit(0)
"""

CLOSED = """
def become(number, channel):
    time.sleep(60)

crew = Crew(selector, become, hear)
crew.start(1)
pid = next(iter(crew)).pid
crew.close()
try:
    os.kill(pid, 0)
except ProcessLookupError:
    print("gone")
"""


PARTS = [ANSWER, LAST_WORDS, FAULTS, DEAF, CLOSED]


@pytest.fixture(scope="module")
def outputs() -> list[str]:
    """What each of the parts has written; one process for all, since its start takes the time."""
    return output('\nprint("---")\nsaid.clear()\n'.join(PARTS)).split("---\n")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (ANSWER, "[(1, 10), (2, 20), (2, 40)]\n[(1, 1), (2, 2)] 0\n"),
        (LAST_WORDS, "3 [100000]\n"),
        (FAULTS, "[(1, 1), (2, 1), (3, -9)]\n"),
        (DEAF, "[(1, -9)]\n"),
        (CLOSED, "gone\n"),
    ],
    ids=["answers", "last words", "faults", "deaf", "closed"],
)
def test_children(outputs: list[str], part: str, expected: str) -> None:
    assert outputs[PARTS.index(part)] == expected


def test_no_child_outlives_its_parent_unknowing() -> None:
    lines = output(PARENT_ENDS).splitlines()
    assert sorted(lines) == ["1 is alone", "2 is alone"]


def output(script: str) -> str:
    """What it and its children have written."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, timeout=50
    )
    assert not done.stderr
    return done.stdout
