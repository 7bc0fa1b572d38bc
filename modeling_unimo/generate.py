"""Command line, one direction each: motion from text, or a description of a motion.

`python -m modeling_unimo.generate --model runs/quickstart/unimo --text "a person waves" --output wave.bvh`
`python -m modeling_unimo.generate --model runs/quickstart/unimo --describe wave.npy`
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .command_line import boolean, command, exit_on_error, positive_float, positive_int
from .export_unimo import SUFFIXES, motion_suffix
from .words_unimo import UnknownWordsWarning, unknown_words_message

if TYPE_CHECKING:
    from .modeling_unimo import GeneratedMotion, MotionDescription, UniMoForConditionalGeneration
    from .processing_unimo import UniMoProcessor


DESCRIBE_OPTIONS = ("start", "end", "timeline", "body_model", "joint_map", "up", "fps")


def parse_arguments(argv: list[str] | None = None, direction: str | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: the words after the command's name.
        direction: "generate" or "describe", whose input is then positional and which takes its own options alone, as
            `unimo generate TEXT` and `unimo describe MOTION` do; None for both, by `--text` or `--describe`.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model", help="folder or Hub name of a UniMo model; default: the small one that comes with the package"
    )
    parser.add_argument("--seed", type=int, help="for the same answer every time")
    parser.add_argument("--temperature", type=positive_float, help="> 0; default: the model's")
    parser.add_argument(
        "--candidates",
        type=positive_int,
        default=1,
        help="answers to write, of which the best by the model's own reading is kept",
    )
    parser.add_argument(
        "--think", type=boolean, metavar="{true,false}", help="of a model that was taught both; default: true"
    )
    parser.set_defaults(text=None, describe=None)
    inputs = parser.add_mutually_exclusive_group(required=True) if direction is None else parser
    if direction != "describe":
        inputs.add_argument("--text" if direction is None else "text", help="what the motion should show")
        group = parser.add_argument_group("from text to motion")
        group.add_argument("--output", type=Path, help=f"file to write, {' '.join(SUFFIXES)}")
        group.add_argument("--duration", type=float, help="seconds (0.2 to 9.8); default: the model decides")
    if direction != "generate":
        name = "--describe" if direction is None else "describe"
        inputs.add_argument(
            name, type=Path, metavar="MOTION", help="a motion file as `unimo convert-motion` reads them"
        )
        group = parser.add_argument_group("from motion to text")
        group.add_argument("--start", type=float, default=0.0, help="second to start at")
        group.add_argument("--end", type=float, help="second to stop at; default: the end")
        group.add_argument("--timeline", action="store_true", help="say what happens when, in a motion of any length")
        add_reading_options(group)
    arguments = parser.parse_args(argv)
    if arguments.text is not None:
        if arguments.output is None:
            parser.error(f"a text needs --output, a file ending in one of {', '.join(SUFFIXES)}")
        check_output(parser, arguments.output)
        given = [f"--{name}" for name in DESCRIBE_OPTIONS if getattr(arguments, name, None)]
        if given:
            parser.error(f"{', '.join(given)} belong to --describe")
    elif direction is None and (arguments.output is not None or arguments.duration is not None):
        parser.error("--output and --duration belong to --text")
    return arguments


def check_output(parser: argparse.ArgumentParser, output: Path) -> None:
    """End with a usage error if no motion can be written to a file of this name.

    Args:
        parser: Parser to report the error.
        output: The file.
    """
    try:
        motion_suffix(output)
    except ValueError as error:
        parser.error(f"--output: {error}")
    if output.is_dir():
        parser.error(f"--output: {output} is a folder; name a file")


class _OptionGroup(Protocol):
    """A parser or a group of its options."""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action: ...  # noqa: D102


def add_reading_options(parser: _OptionGroup) -> None:
    """The options by which motion files are read, as `read_whole_motion` takes them.

    Args:
        parser: The parser of a command, or a group of its options.
    """
    parser.add_argument("--body_model", type=Path, help="of SMPL parameters: SMPL(-H, -X) file; default: an average")
    parser.add_argument("--joint_map", type=Path, help="of a rig: JSON file {HumanML3D joint: joint in the file}")
    parser.add_argument("--up", help="of the file: axis that points up, such as z; write --up=-y for Y down")
    parser.add_argument("--fps", type=float, help="of the file: frames per second, in place of its own")


def load_model(name: str | None) -> tuple[UniMoForConditionalGeneration, UniMoProcessor]:
    """A UniMo model and its processor, on the GPU if there is one; None for the one that comes with the package.

    Args:
        name: Folder or repository on the Hub, or None.

    Returns:
        Model and processor.

    Raises:
        FileNotFoundError, ValueError: as `model_loading.load_model`.
    """
    import torch

    from .model_loading import SHIPPED_MODEL
    from .model_loading import load_model as load
    from .modeling_unimo import UniMoForConditionalGeneration
    from .processing_unimo import UniMoProcessor

    expected = (
        "a UniMo model (a language model with the motion vocabulary becomes one with "
        "`python -m modeling_unimo.convert_checkpoint --kind unimo`)"
    )
    name = name or str(SHIPPED_MODEL)
    model = load(UniMoForConditionalGeneration, name, expected)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval(), UniMoProcessor.from_pretrained(name)


def read_whole_motion(path: Path, options: argparse.Namespace, feature_dim: int, fps: float) -> np.ndarray:
    """Raw features (T, D) of a motion file of any kind; what was assumed is printed.

    Args:
        path: The motion file.
        options: Those of `add_reading_options`.
        feature_dim: Width of the model's features.
        fps: Frames per second of the features.

    Returns:
        The features.

    Raises:
        FileNotFoundError: no such file, no such body model, or FBX without Blender.
        ImportError: USD without usd-core.
        BlenderError: Blender cannot read an FBX file.
        ValueError: the file is no motion, or an option has no effect on it.
    """
    # Files of other tools belong to the data side, which only the commands reach over to.
    from unimo.motion_files import read_motion_argument

    motion = read_motion_argument(path, options.joint_map, options.up or "auto", options.fps, options.body_model)
    try:
        return motion.features_for_model(feature_dim, fps)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_motion(arguments: argparse.Namespace, feature_dim: int, fps: float) -> np.ndarray:
    """Raw features (T, D) of the part of the file `arguments.describe` between `--start` and `--end`.

    Args:
        arguments: The options of `unimo describe`.
        feature_dim: Width of the model's features.
        fps: Frames per second of the features.

    Returns:
        The features.

    Raises:
        FileNotFoundError: no such file, or no such body model.
        ValueError: the file is no motion, or the part is empty.
    """
    path, start, end = arguments.describe, arguments.start, arguments.end
    features = read_whole_motion(path, arguments, feature_dim, fps)
    seconds = len(features) / fps
    last = seconds if end is None else min(end, seconds)
    part = features[round(start * fps) : round(last * fps)] if 0 <= start < last else features[:0]
    if not len(part):
        raise ValueError(f"{path}: nothing between --start and --end; the motion has {seconds:g} seconds")
    return part


@command
def main(argv: list[str] | None = None) -> None:
    """`python -m modeling_unimo.generate`; `SystemExit` says what is wrong with its input.

    Args:
        argv: Arguments; None takes those of the process.
    """
    run(parse_arguments(argv))


@command
def generate(argv: list[str] | None = None) -> None:
    """`unimo generate TEXT`, as `main`.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    run(parse_arguments(argv, "generate"))


@command
def describe(argv: list[str] | None = None) -> None:
    """`unimo describe MOTION`, as `main`.

    Args:
        argv: The words after the command's name; None takes those of the process.
    """
    run(parse_arguments(argv, "describe"))


def run(arguments: argparse.Namespace) -> None:
    """Loads the model, answers, and prints or writes the answer.

    Args:
        arguments: The options.
    """
    settings = {"seed": arguments.seed, "candidates": arguments.candidates, "think": arguments.think}
    if arguments.temperature is not None:
        settings["temperature"] = arguments.temperature
    with exit_on_error():
        model, processor = load_model(arguments.model)
        if arguments.text is not None:
            unknown = processor.unknown_words(arguments.text)
            if unknown:
                print(f"warning: {unknown_words_message(unknown)}", file=sys.stderr)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnknownWordsWarning)  # said above, without a line of code
                motion = model.generate_motion([arguments.text], processor, duration=arguments.duration, **settings)[0]
            motion.save(arguments.output)
            print_answer(motion, arguments.candidates)
            print(f"wrote {arguments.output}: {len(motion.joints)} frames, {len(motion.joints) / motion.fps:g} s")
            return
        fps = processor.feature_extractor.fps
        features = read_motion(arguments, processor.feature_extractor.feature_dim, fps)
        if arguments.timeline:
            for start, end, caption in model.describe_timeline(features, processor, **settings):
                print(f"{arguments.start + start:6.1f} to {arguments.start + end:.1f} s  {caption}")
            return
        longest = processor.max_motion_codes * processor.feature_extractor.unit_length
        if len(features) > longest:
            raise ValueError(
                f"{arguments.describe}: {len(features) / fps:g} seconds; at most {longest / fps:g} are described at "
                "once. Choose a part with --start and --end, or take --timeline."
            )
        description = model.describe_motion([features], processor, **settings)[0]
        print_answer(description, arguments.candidates)
        print(f"caption: {description.caption}")


def print_answer(answer: GeneratedMotion | MotionDescription, candidates: int) -> None:
    """What was thought, and how likely the model finds the answer where it was chosen.

    Args:
        answer: What the model answered.
        candidates: Answers that it was chosen from.
    """
    if answer.score is not None:
        print(f"score: {answer.score:.1f} (log-probability by the model's own reading, best of {candidates})")
    if answer.thought:
        print(f"thought: {answer.thought}")


if __name__ == "__main__":
    main()
