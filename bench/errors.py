"""What makes a measurement worthless."""


class BenchError(Exception):
    """The bench cannot go on: a wrong answer, a process that ended, a tool that is missing."""
