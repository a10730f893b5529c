"""What goes wrong in a command, and the exit code that says so."""

from batchway.errors import BatchwayError, ConfigError


class BadFile(BatchwayError):
    """A file that the user named is not what the command expects: file, position and expectation."""

    code = "bad_file"


class NoAnswer(BatchwayError):
    """The endpoint gave no answer that could be shown: its URL, what is wrong, and what to do."""

    code = "no_answer"


class BatchNotRun(BatchwayError):
    """The endpoint refused the batch."""

    code = "batch_not_run"


def exit_code(error: BatchwayError) -> int:
    """2 for what the user gave us, as for wrong usage; 1 for anything else."""
    return 2 if isinstance(error, BadFile | ConfigError) else 1
