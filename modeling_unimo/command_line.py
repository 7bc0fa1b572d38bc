"""Shared by the command-line programs: one-line error messages, types of options. Imports no heavy library."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from .blender_unimo import BlenderError
from .disk_errors import explain

Parameters = ParamSpec("Parameters")
Code = TypeVar("Code")


def words_of(error: BaseException) -> str:
    """What to tell the user of an error: for one of the disk the place and what to do, else what it says itself.

    Args:
        error: Any error.

    Returns:
        One sentence.
    """
    return explain(error) or str(error)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Ends the program with `error: ...`, without a traceback, where the block rejects its input.

    Yields:
        Nothing.

    Raises:
        SystemExit: In place of a ValueError, an OSError (no such file, a full disk), an ImportError (an extra is
            missing) or a BlenderError.
    """
    try:
        yield
    except (ValueError, OSError, ImportError, BlenderError) as error:
        raise SystemExit(f"error: {words_of(error)}") from error


def command(main: Callable[Parameters, Code]) -> Callable[Parameters, Code]:
    """For the main function of a command: ends it with `error: ...` if a disk or another process is in the way.

    Args:
        main: The function.

    Returns:
        The function that does so.

    Raises:
        SystemExit: In place of an error that `explain` knows, or of a `BlockingIOError` (a folder that is in use).
    """

    @wraps(main)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Code:
        try:
            return main(*args, **kwargs)
        except Exception as error:
            if explain(error) is None and not isinstance(error, BlockingIOError):
                raise
            raise SystemExit(f"error: {words_of(error)}") from error

    return run


def positive_int(value: str) -> int:
    """An integer option >= 1, as a `type` of argparse.

    Args:
        value: The word of the command line.

    Returns:
        The number.
    """
    return _int_at_least(1, value)


def non_negative_int(value: str) -> int:
    """An integer option >= 0, as a `type` of argparse.

    Args:
        value: The word of the command line.

    Returns:
        The number.
    """
    return _int_at_least(0, value)


def positive_float(value: str) -> float:
    """A number > 0 and finite, as a `type` of argparse.

    Args:
        value: The word of the command line.

    Returns:
        The number.
    """
    number = float(value)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be > 0 and finite, got {value}")
    return number


def boolean(value: str) -> bool:
    """An option true or false, as a `type` of argparse.

    Args:
        value: The word of the command line.

    Returns:
        The truth value.
    """
    if value not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {value}")
    return value == "true"


def _int_at_least(minimum: int, value: str) -> int:
    number = int(value)
    if number < minimum:
        raise argparse.ArgumentTypeError(f"must be >= {minimum}, got {value}")
    return number
