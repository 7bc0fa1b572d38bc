"""Shared by the command-line programs: one-line error messages and integer options. Imports no heavy library."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Ends the program with `error: ...`, without a traceback, where the block rejects its input.

    Raises:
        SystemExit: In place of a ValueError, an OSError (no such file) or an ImportError (an extra is missing).
    """
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error


def positive_int(value: str) -> int:
    """An integer option >= 1, as a `type` of argparse."""
    return _int_at_least(1, value)


def non_negative_int(value: str) -> int:
    """An integer option >= 0, as a `type` of argparse."""
    return _int_at_least(0, value)


def _int_at_least(minimum: int, value: str) -> int:
    number = int(value)
    if number < minimum:
        raise argparse.ArgumentTypeError(f"must be >= {minimum}, got {value}")
    return number
