"""Commands for motion beyond one clip: `unimo continue`, `unimo edit`, `unimo fill` and `unimo timeline`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .command_line import command, exit_on_error, positive_float, positive_int
from .export_unimo import SUFFIXES
from .generate import add_reading_options, check_output, load_model, read_whole_motion
from .words_unimo import UnknownWordsWarning

if TYPE_CHECKING:
    from .processing_unimo import UniMoProcessor


@command
def continue_(argv: list[str] | None = None) -> None:
    """`unimo continue MOTION TEXT`; `SystemExit` says what is wrong with its input.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    parser = _parser("Let a motion go on with what a text says.")
    parser.add_argument("motion", type=Path, help="file of the motion so far")
    parser.add_argument("text", help="what comes next")
    add_reading_options(parser)
    parser.add_argument("--duration", type=float, help="seconds to add (0.2 to 9.6); default: the model decides")
    arguments = _parsed(parser, argv)
    _run(
        arguments,
        lambda model, processor, settings: model.continue_motion(
            _read(arguments.motion, arguments, processor), arguments.text, processor, arguments.duration, **settings
        ),
    )


@command
def edit(argv: list[str] | None = None) -> None:
    """`unimo edit MOTION TEXT`, as `continue_`.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    parser = _parser("Write one part of a motion anew; the rest stays as it is.")
    parser.add_argument("motion", type=Path, help="file of the motion")
    parser.add_argument("text", help="what happens in the new part")
    add_reading_options(parser)
    parser.add_argument("--start", type=float, default=0.0, help="second where the part begins")
    parser.add_argument("--end", type=float, help="second where it ends; default: the end of the motion")
    arguments = _parsed(parser, argv)
    _run(
        arguments,
        lambda model, processor, settings: model.edit_motion(
            _read(arguments.motion, arguments, processor),
            arguments.text,
            processor,
            start=arguments.start,
            end=arguments.end,
            **settings,
        ),
    )


@command
def fill(argv: list[str] | None = None) -> None:
    """`unimo fill BEFORE AFTER TEXT`, as `continue_`.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    parser = _parser("Join two motions by what happens between them.")
    parser.add_argument("before", type=Path, help="file of the motion before")
    parser.add_argument("after", type=Path, help="file of the motion after")
    parser.add_argument("text", help="what happens between them")
    add_reading_options(parser)
    parser.add_argument("--duration", type=float, default=2.0, help="seconds between them (0.2 to 9.6)")
    arguments = _parsed(parser, argv)
    _run(
        arguments,
        lambda model, processor, settings: model.fill_motion(
            _read(arguments.before, arguments, processor),
            _read(arguments.after, arguments, processor),
            arguments.text,
            processor,
            arguments.duration,
            **settings,
        ),
    )


@command
def timeline(argv: list[str] | None = None) -> None:
    """`unimo timeline TEXT:SECONDS ...`, as `continue_`.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    parser = _parser("One motion for several texts in a row.")
    parser.add_argument(
        "segments", nargs="+", metavar="TEXT[:SECONDS]", help="what happens, and for how long if that is to be set"
    )
    parser.add_argument("--loop", action="store_true", help="let the motion end as it begins")
    arguments = _parsed(parser, argv)
    segments = [segment(text) for text in arguments.segments]
    _run(
        arguments,
        lambda model, processor, settings: model.generate_timeline(
            segments, processor, loop=arguments.loop, **settings
        ),
    )


def _read(path: Path, arguments: argparse.Namespace, processor: UniMoProcessor) -> np.ndarray:
    extractor = processor.feature_extractor
    return read_whole_motion(path, arguments, extractor.feature_dim, extractor.fps)


def segment(text: str) -> tuple[str, float | None]:
    """Text and seconds of "a person walks:4"; without a number behind the last colon all of it is text.

    Args:
        text: The word of the command line.

    Returns:
        The text and its seconds, or None.
    """
    words, _, seconds = text.rpartition(":")
    try:
        return words, float(seconds)
    except ValueError:
        return text, None


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--model", help="folder or Hub name of a UniMo model; default: the small one that comes with the package"
    )
    parser.add_argument("--output", type=Path, required=True, help=f"file to write, {' '.join(SUFFIXES)}")
    parser.add_argument("--seed", type=int, help="for the same answer every time")
    parser.add_argument("--temperature", type=positive_float, help="> 0; default: the model's")
    parser.add_argument(
        "--candidates",
        type=positive_int,
        help="parts to write, of which the best by the model's own reading and by how it meets the rest is kept",
    )
    return parser


def _parsed(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    arguments = parser.parse_args(argv)
    check_output(parser, arguments.output)
    return arguments


def _run(arguments: argparse.Namespace, write: Callable[[Any, Any, dict[str, Any]], Any]) -> None:
    """Load the model, let `write` make the motion, save it and say what it is."""
    settings: dict[str, Any] = {"seed": arguments.seed}
    for name in ("temperature", "candidates"):
        if getattr(arguments, name) is not None:
            settings[name] = getattr(arguments, name)
    with exit_on_error():
        model, processor = load_model(arguments.model)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UnknownWordsWarning)
            motion = write(model, processor, settings)
        for warning in caught:
            print(f"warning: {warning.message}", file=sys.stderr)
        motion.save(arguments.output)
    for start, end, text in motion.segments:
        print(f"{start:6.1f} to {end:.1f} s  {text}")
    print(f"wrote {arguments.output}: {len(motion.joints)} frames, {len(motion.joints) / motion.fps:g} s")
