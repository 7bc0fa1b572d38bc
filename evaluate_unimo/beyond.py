"""Score motion beyond one clip: `python -m evaluate_unimo.beyond --model DIR --dataset DIR --evaluator DIR`.

Continuing and filling as in MotionGPT's prediction and in-between (the first fifth of a clip is given, or its first
and last quarter), with FID, Diversity, R-Precision of the caption, and distances to what really follows; timelines of
several captions, with R-Precision segment by segment beside that of single clips and of real clips joined in the same
way, how smoothly segments meet, skating, and drift over a minute; and long captions written as a timeline of their
clauses beside one answer. Writes `results.json` into --output after every row; the same command leaves out what stands
there.
"""

import argparse
from collections.abc import Sequence

from evaluate_unimo.options import add_folder_options, check_folders
from modeling_unimo.command_line import command, exit_on_error, positive_int


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(prog="python -m evaluate_unimo.beyond", description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="UniMo folder")
    add_folder_options(parser)
    parser.add_argument("--held_out_evaluator", help="a second judge, whose figures are called held_out_...")
    parser.add_argument("--output", required=True, help="folder for the results")
    parser.add_argument("--split", default="test")
    parser.add_argument("--hard_split", default="test_hard", help="split of long captions; left out where missing")
    parser.add_argument("--repeats", type=positive_int, default=3, help="repeats with other draws")
    parser.add_argument("--clips", type=positive_int, default=256, help="clips of each task, at most")
    parser.add_argument("--timelines", type=positive_int, default=64, help="timelines of 2 to 6 captions")
    parser.add_argument("--long_timelines", type=positive_int, default=4, help="timelines of --long_seconds")
    parser.add_argument("--long_seconds", type=float, default=60.0)
    parser.add_argument(
        "--candidates",
        type=positive_int,
        default=2,
        help="candidates for each part of a timeline (default: 2, the model's own)",
    )
    parser.add_argument("--pool_size", type=positive_int, default=32)
    parser.add_argument("--batch_size", type=positive_int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    check_folders(parser, arguments, ("model", "evaluator", "held_out_evaluator", "dataset"))
    if not 10 <= arguments.long_seconds <= 600:
        parser.error(f"--long_seconds must be in [10, 600], got {arguments.long_seconds:g}")
    return arguments


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and print the figures.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    # Here, so that --help and usage errors do not wait for torch.
    from evaluate_unimo.long_motions import evaluate, lines

    with exit_on_error():
        results = evaluate(arguments)
    print("\n".join(lines(results)))


if __name__ == "__main__":
    main()
