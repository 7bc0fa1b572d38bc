"""The command that writes thoughts: `python -m datasets_scripts.annotate --dataset DIR --annotator ... --output DIR`.

Annotators: `kinematic` (measured on the joints; needs nothing), `vlm` (a vision-language model: `--server` for any
OpenAI-compatible API, such as vLLM's, or `--model` for a Qwen2.5-VL run here) and `none` (only checks existing
thoughts). Each thought is checked against the 3D motion; its consistency and its origin are written to
`thoughts.parquet` beside the data. Captions that have a thought keep it, unless `--overwrite_thoughts` is given.

A run that was stopped resumes when the same command is given again: finished clips, and every answer of a model, are
kept in the folder OUTPUT.annotation. Neither key nor address of a server is written to any file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from modeling_unimo.command_line import positive_int, words_of

if TYPE_CHECKING:
    from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
    from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator

ANNOTATORS = ("kinematic", "vlm", "none")
# What belongs to a vision-language model; on a command line with another annotator it would have no effect.
_VLM_OPTIONS = (
    "server model key_variable send views size frame_rate max_frames max_tokens temperature asks concurrency timeout "
    "attempts price_input price_output device dtype"
).split()


def make_annotator(arguments: argparse.Namespace) -> KinematicAnnotator | VlmAnnotator | None:
    """The annotator that the command line asks for.

    Args:
        arguments: The options.

    Returns:
        The annotator, or None for none.

    Raises:
        FileNotFoundError, ValueError, ImportError: a model or an option cannot be used.
    """
    from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
    from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator
    from datasets_scripts.thoughts.annotate.vlm_local import LocalModel
    from datasets_scripts.thoughts.annotate.vlm_server import ChatServer, Retries

    if arguments.annotator == "none":
        return None
    if arguments.annotator == "kinematic":
        return KinematicAnnotator(seed=arguments.seed, style=arguments.style)
    model: ChatServer | LocalModel
    if arguments.server:
        model = ChatServer(
            arguments.server,
            arguments.model,
            key_variable=arguments.key_variable,
            timeout=arguments.timeout,
            retries=Retries(arguments.attempts),
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
            send=arguments.send,
        )
    else:
        model = LocalModel(arguments.model, arguments.device, arguments.dtype, arguments.max_tokens)
    return VlmAnnotator(
        model,
        views=arguments.views,
        size=arguments.size,
        frame_rate=arguments.frame_rate,
        max_frames=arguments.max_frames,
        asks=arguments.asks,
        concurrency=arguments.concurrency if arguments.server else 1,
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line.

    Returns:
        The parser.
    """
    from datasets_scripts.thoughts.annotate.kinematic_annotator import STYLES
    from datasets_scripts.thoughts.annotate.rules import WITHOUT_THOUGHT
    from datasets_scripts.thoughts.annotate.vlm_server import SENDING
    from modeling_unimo.rendering_unimo import VIEWS

    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="dataset folder to annotate")
    parser.add_argument("--annotator", choices=ANNOTATORS, default="kinematic")
    parser.add_argument("--output", help="dataset folder to write: new, empty or an earlier build")
    parser.add_argument("--texts_only", metavar="DIR", help="folder for the thoughts alone, keyed by clip id")
    parser.add_argument(
        "--style",
        choices=STYLES,
        default=STYLES[0],
        help="of kinematic: sentences (default), or plan: the events alone, in at most half as many words",
    )
    parser.add_argument("--overwrite_thoughts", action="store_true", help="replace existing thoughts")
    parser.add_argument(
        "--min_consistency",
        type=float,
        help="leave out thoughts with a smaller share of claims that hold (0 to 1),\n"
        "and those of a model without a decidable claim",
    )
    parser.add_argument(
        "--min_coverage", type=float, help="leave out thoughts with a claim in a smaller share of sentences (0 to 1)"
    )
    parser.add_argument(
        "--without_thought",
        choices=WITHOUT_THOUGHT,
        default="drop",
        help="captions without a thought: left out except in test splits (default), or kept in all",
    )
    parser.add_argument("--splits", nargs="+", help="annotate only these and write the others unchanged")
    parser.add_argument("--limit", type=positive_int, help="maximum number of clips")
    parser.add_argument("--seed", type=int, default=0, help="of the wording; also sent to a server")
    parser.add_argument("--workers", type=positive_int, default=1, help="processes, for kinematic and none")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("vlm")
    group.add_argument("--server", metavar="URL", help="an OpenAI-compatible server, http(s)://host[:port]")
    group.add_argument("--model", help="its name on the server; without --server a Qwen2.5-VL (folder or Hub name)")
    group.add_argument(
        "--key_variable", default="OPENAI_API_KEY", metavar="NAME", help="environment variable that holds the API key"
    )
    group.add_argument("--send", choices=SENDING, default="images", help="images, or an MP4 video (vLLM; needs PyAV)")
    group.add_argument("--views", nargs="+", choices=VIEWS, default=["three-quarter"], help="shown side by side")
    group.add_argument("--size", type=positive_int, default=336, help="pixels per view (336)")
    group.add_argument("--frame_rate", type=float, default=5.0, help="frames per second that the model sees (5)")
    group.add_argument("--max_frames", type=positive_int, default=64, help="frames per clip (64)")
    group.add_argument("--max_tokens", type=positive_int, default=400, help="maximum tokens per answer (400)")
    group.add_argument("--temperature", type=float, default=0.0, help="on a server; 0 is greedy (default)")
    group.add_argument("--asks", type=positive_int, default=2, help="attempts to get a usable answer per caption (2)")
    group.add_argument("--concurrency", type=positive_int, default=8, help="parallel requests (8)")
    group.add_argument("--timeout", type=float, default=120.0, help="seconds per request (120)")
    group.add_argument("--attempts", type=positive_int, default=6, help="tries per request, with growing pauses (6)")
    group.add_argument("--price_input", type=float, help="of a million prompt tokens, for the cost")
    group.add_argument("--price_output", type=float, help="of a million completion tokens")
    group.add_argument("--device", help="for a model run here (default: cuda if available)")
    group.add_argument("--dtype", default="auto", help="of its weights (default: as saved)")
    return parser


def _check_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if not arguments.output and not arguments.texts_only:
        parser.error("--output or --texts_only is required")
    if arguments.annotator != "vlm":
        for name in _VLM_OPTIONS:
            if getattr(arguments, name) != parser.get_default(name):
                parser.error(f"--{name} has no effect with --annotator {arguments.annotator}")
    if arguments.annotator != "kinematic" and arguments.style != parser.get_default("style"):
        parser.error(f"--style has no effect with --annotator {arguments.annotator}")
    if arguments.annotator == "vlm" and not arguments.model:
        parser.error("--annotator vlm requires --model (and --server, unless the model runs here)")
    if arguments.annotator == "vlm" and arguments.workers > 1:
        parser.error("--workers has no effect with --annotator vlm; use --concurrency")
    if (arguments.price_input is None) != (arguments.price_output is None):
        parser.error("--price_input and --price_output must be given together")


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        0, 1 if a model left captions unanswered, or 2 for input that cannot be used.
    """
    parser = make_parser()
    arguments = parser.parse_args(argv)
    _check_options(parser, arguments)

    from datasets_scripts.thoughts.annotate.rules import Rules
    from datasets_scripts.thoughts.annotate.run import annotate_dataset
    from datasets_scripts.thoughts.annotate.vlm_prompt import ModelUnusable

    settings = {"seed": arguments.seed}
    if arguments.annotator == "kinematic":
        settings |= {"style": arguments.style}
    if arguments.annotator == "vlm":
        # Neither address nor key: they do not change what a model says.
        names = ("send", "size", "frame_rate", "max_frames", "max_tokens", "temperature", "asks")
        settings |= {name: getattr(arguments, name) for name in names}
    place = Path(arguments.output or arguments.texts_only)
    kept = f"finished work is kept in {place.name}.annotation; run the same command to resume"
    try:
        summary = annotate_dataset(
            arguments.dataset,
            make_annotator(arguments),
            arguments.output,
            arguments.texts_only,
            Rules(arguments.min_consistency, arguments.without_thought, arguments.min_coverage),
            overwrite=arguments.overwrite_thoughts,
            splits=arguments.splits,
            limit=arguments.limit,
            workers=arguments.workers,
            prices=None if arguments.price_input is None else (arguments.price_input, arguments.price_output),
            settings=settings,
            progress=not arguments.quiet,
        )
    except ModelUnusable as error:
        print(f"error: {error} ({kept})", file=sys.stderr)
        return 2
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; {kept}", file=sys.stderr)
        return 130
    if summary.build is not None:
        print(summary.build.table())
    print(summary.table())
    for folder in (arguments.output, arguments.texts_only):
        if folder:
            print(f"-> {folder}" + (f" ({summary.texts} thoughts)" if folder == arguments.texts_only else ""))
    if summary.unanswered:
        print("run the same command to ask again for what was not answered")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
