"""What can go wrong for a user. Every message is one sentence: what was wrong, and what to do.

The command line prints the message alone and exits with `exit_code`; the server answers with `http_status`. Anything that
is not a `Step1XError` is a bug of ours and keeps its traceback.
"""


class Step1XError(Exception):
    """The work could not be done for a reason outside this program: a file, a device, a full disk."""

    exit_code = 1
    http_status = 500


class UsageError(Step1XError):
    """The request itself is wrong: an empty instruction, zero steps, an unknown model."""

    exit_code = 2
    http_status = 400


class TakenError(UsageError):
    """A file of the result's name is there, and is not to be replaced; perhaps another program has made it meanwhile."""


class ImageError(Step1XError):
    """A picture cannot be read, or is not one, or is too large to open safely."""

    http_status = 400


class WeightsError(Step1XError):
    """Weights are missing, incomplete, damaged, or belong to another model."""


def first_line(error: BaseException) -> str:
    """What a library's error says in its first line, to be put into a sentence of ours, without a full stop; or its kind."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
