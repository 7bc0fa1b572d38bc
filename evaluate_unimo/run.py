"""Score a model by the field's protocol: `python -m evaluate_unimo.run --model DIR --dataset DIR --evaluator DIR`.

Both tasks, batched, repeated; real motion beside generated; invalid answers counted, never replaced. Writes
`results.json`, `results.md` and `clips.json` (what each clip adds, for
`evaluate_unimo.compare`) into --output, and after every repeat a line of `repeats.jsonl`, from which a killed
run goes on.

`accelerate launch --multi_gpu --num_processes 8 -m evaluate_unimo.run ..`, on a CPU `accelerate launch --config_file
train/accelerate_configs/two_cpu.yaml -m evaluate_unimo.run ..`, or `torchrun` share the sampling out: the answers are
the same whatever the number of processes, which may also change when a run goes on. The first one scores and writes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from datasets_scripts.locks import locked_output
from evaluate_unimo.options import (
    FOLDERS,
    HARD_TASKS,
    OTHER_SPLITS,
    add_protocol_options,
    check_folders,
    check_protocol_options,
)
from modeling_unimo.command_line import boolean, command, exit_on_error, non_negative_int, positive_float, positive_int


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Models may also be named as they are on the Hub, owner/name.",
    )
    parser.add_argument("--model", required=True, help="UniMo folder, or with --vqvae that of a plain LM")
    parser.add_argument("--vqvae", help="VQ-VAE folder to put under a plain LM")
    add_protocol_options(parser)
    parser.add_argument("--output", required=True, help="folder for the results")
    parser.add_argument("--save_motions", metavar="DIR", help="save generated motions and captions here, for score")
    parser.add_argument(
        "--tasks",
        nargs="+",
        choices=("t2m", *OTHER_SPLITS, "m2t"),
        default=["t2m", "m2t"],
        help="t2m_hard, t2m_attributes and t2m_vague are on the splits test_hard, test_attributes and test_vague "
        "(default: t2m m2t)",
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--repeats", type=positive_int, default=20, help="repeats with other draws (published: 20)")
    parser.add_argument("--m2t_repeats", type=positive_int, help="repeats of motion-to-text (default: --repeats)")
    parser.add_argument("--hard_repeats", type=positive_int, help="repeats of the hard splits (default: --repeats)")
    parser.add_argument("--hard", action="store_true", help="beside t2m also t2m_hard and t2m_attributes")
    parser.add_argument(
        "--halves", action="store_true", help="ask one half's captions, compare FID with the other half"
    )
    parser.add_argument(
        "--free", type=non_negative_int, default=0, help="answers a task sampled without grammar, to count valid ones"
    )
    parser.add_argument(
        "--multimodality",
        type=non_negative_int,
        default=0,
        help="captions answered 30 times each for MultiModality (published: 100)",
    )
    parser.add_argument("--batch_size", type=positive_int, default=128)
    parser.add_argument("--pool_size", type=positive_int, default=32)
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), default="float32", help="numbers of the language model"
    )
    parser.add_argument("--temperature", type=positive_float, help="default: the model's own")
    parser.add_argument(
        "--candidates",
        type=positive_int,
        default=1,
        help="answers sampled for each request, of which the best by the model's own reading is scored",
    )
    parser.add_argument(
        "--think",
        type=boolean,
        metavar="{true,false}",
        help="answer with or without thoughts, of a model that was taught both (default: as its processor says)",
    )
    parser.add_argument("--t2m_limit", type=positive_int, help="ask for at most this many motions of a split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--push_to_hub",
        metavar="REPO",
        nargs="?",
        const="",
        help="add the scores to the card of this model on the Hub (default: where --model was published)",
    )
    arguments = parser.parse_args(argv)
    check_folders(parser, arguments, FOLDERS)
    check_protocol_options(parser, arguments)
    if arguments.push_to_hub == "":
        from datasets_scripts.hub.upload import published

        pushed = published(arguments.model)
        if pushed is None and Path(arguments.model).is_dir():
            parser.error(f"--push_to_hub: {arguments.model} was not published from here; name the model's repository")
        arguments.push_to_hub = pushed.repo if pushed is not None else arguments.model
    if arguments.hard and "t2m" in arguments.tasks:
        arguments.tasks = list(dict.fromkeys([*arguments.tasks, *HARD_TASKS]))
    return arguments


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and print the tables.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    # Here, so that --help and usage errors do not wait for torch.
    from evaluate_unimo.distributed import ProcessGroup
    from evaluate_unimo.evaluation import evaluate, serve
    from evaluate_unimo.push import check, push
    from evaluate_unimo.results import markdown

    with ProcessGroup.from_environment() as group, exit_on_error():
        if not group.is_main:
            serve(arguments, group)
            return
        if arguments.push_to_hub:
            check(arguments.push_to_hub, arguments.output)
        with locked_output(arguments.output):
            results = evaluate(arguments, group)
    print(markdown(results))
    if arguments.push_to_hub:
        push(arguments.output, arguments.push_to_hub)


if __name__ == "__main__":
    main()
