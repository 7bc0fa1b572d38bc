"""Options that the commands of evaluation share; imports no heavy library."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from modeling_unimo.command_line import positive_int

MODELS = ("model", "vqvae", "evaluator", "held_out_evaluator")  # folders, or names on the Hub
FOLDERS = (*MODELS, "dataset", "bertscore")
OTHER_SPLITS = {"t2m_hard": "test_hard", "t2m_attributes": "test_attributes", "t2m_vague": "test_vague"}  # by task
HARD_TASKS = ("t2m_hard", "t2m_attributes")  # those that every synthetic dataset has a split for


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """Add the folders that every evaluation reads.

    Args:
        parser: The parser to add to.
    """
    parser.add_argument("--dataset", required=True, help="dataset folder (python -m datasets_scripts.build)")
    parser.add_argument("--evaluator", required=True, help="the judge: a text-motion evaluator folder")


def add_protocol_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the protocol, which do not depend on where the answers come from.

    Args:
        parser: The parser to add to.
    """
    add_folder_options(parser)
    parser.add_argument("--held_out_evaluator", help="a second judge that no reward has seen")
    parser.add_argument("--m2t_limit", type=positive_int, help="score the captions of at most this many motions")
    parser.add_argument(
        "--caption_protocols",
        nargs="+",
        choices=("unimo", "coco", "tm2t"),
        default=["unimo", "coco"],
        help="captioning protocols, shown side by side; tm2t needs spaCy (default: unimo coco)",
    )
    parser.add_argument("--spacy_model", default="en_core_web_sm", help="name or folder of tm2t's spaCy pipeline")
    parser.add_argument(
        "--interval",
        choices=("student", "published"),
        default="student",
        help="95%% half-widths by Student's t, or by the published 1.96 population deviations (default: student)",
    )
    parser.add_argument("--bertscore", help="folder of the encoder for BERTScore (published: roberta-large)")
    parser.add_argument("--bertscore_layers", type=int, default=17, help="the encoder's layer (published: 17)")
    parser.add_argument("--bertscore_raw", action="store_true", help="without roberta-large's baseline")


def check_folders(parser: argparse.ArgumentParser, arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """End with a usage error if an option does not name a folder, or --output names a file.

    Args:
        parser: Reports the error.
        arguments: The parsed options.
        names: Options that must name folders.
    """
    for name in names:
        folder = getattr(arguments, name)
        if folder is not None and not Path(folder).is_dir() and not (name in MODELS and is_hub_name(folder)):
            parser.error(f"--{name} {folder}: no such folder")
    if arguments.output is not None and Path(arguments.output).is_file():
        parser.error(f"--output {arguments.output}: is a file; name a folder")


def check_protocol_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a usage error if an option of the protocol is given without what it belongs to.

    Args:
        parser: Reports the error.
        arguments: The parsed options, those of `add_protocol_options` among them.
    """
    needed = {
        "bertscore_layers": ("--bertscore", arguments.bertscore is not None),
        "bertscore_raw": ("--bertscore", arguments.bertscore is not None),
        "spacy_model": ("--caption_protocols tm2t", "tm2t" in arguments.caption_protocols),
    }
    for name, (owner, there) in needed.items():
        if not there and getattr(arguments, name) != parser.get_default(name):
            parser.error(f"--{name} has no effect without {owner}")


def is_hub_name(name: str) -> bool:
    """Whether a name may be owner/name of a repository.

    Args:
        name: The name.

    Returns:
        Whether it may.
    """
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name) is not None
