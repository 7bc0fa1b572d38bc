"""Score any system: `python -m evaluate_unimo.score --motions DIR | --captions FILE --dataset DATA --evaluator EV`.

The same tables, protocol tags, intervals and judges as `evaluate_unimo.run`, from files instead of a model of ours;
the motions that `run --save_motions` wrote give the figures of `run`. A motion is ID.npy, or for several samples of a
caption ID_0.npy or ID/0.npy and so on: features as the dataset's, joints (T, 22, 3) in metres, or .bvh; it answers the
clip's first caption unless DIR/captions.jsonl names another ({"id", "sample", "caption": index or text}). Clips
without an answer and answers that cannot be used count as invalid, and are listed with the reason.
"""

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from datasets_scripts.locks import locked_output
from evaluate_unimo.options import add_protocol_options, check_folders, check_protocol_options
from modeling_unimo.command_line import command, positive_float, positive_int

FOLDERS = ("evaluator", "held_out_evaluator", "dataset", "bertscore", "motions")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Options of the draws default to those that `run --save_motions` left in the folder of motions.",
    )
    parser.add_argument("--motions", help="folder of .npy features, .npy joints or BVH, named by clip id")
    parser.add_argument("--captions", help='JSON Lines file of {"id": .., "caption": ..}')
    add_protocol_options(parser)
    parser.add_argument("--output", help="folder for the results (default: they are printed only)")
    parser.add_argument(
        "--fps", type=positive_float, default=20.0, help="frames per second of joints in .npy (default: 20)"
    )
    parser.add_argument("--split", help="split whose clips are answered (default: test)")
    parser.add_argument("--seed", type=int, help="seed of the draws (default: 0)")
    parser.add_argument("--halves", action="store_true", default=None, help="half the clips, FID to the other half")
    parser.add_argument("--pool_size", type=positive_int, help="motions in a pool of R-Precision (default: 32)")
    arguments = parser.parse_args(argv)
    if arguments.motions is None and arguments.captions is None:
        parser.error("one of --motions and --captions is required")
    check_folders(parser, arguments, FOLDERS)
    check_protocol_options(parser, arguments)
    if arguments.captions is not None and not Path(arguments.captions).is_file():
        parser.error(f"--captions {arguments.captions}: no such file")
    return arguments


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and print the tables.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    # Here, so that --help and usage errors do not wait for torch.
    from evaluate_unimo.answer_scoring import score
    from evaluate_unimo.results import markdown

    with locked_output(arguments.output) if arguments.output else nullcontext():
        results = score(arguments)
    print(markdown(results))


if __name__ == "__main__":
    main()
