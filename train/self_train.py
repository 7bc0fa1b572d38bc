"""Learning from the best of one's own answers: `python -m train.self_train --model runs/quickstart/sft ...`.

A round samples several answers to every caption, keeps the best by the model's own reading, and fine-tunes on them as
text-to-motion alone, beside the training rows of both tasks. No true motion is needed for new captions. Rounds follow
as long as the held-out judge, which neither chooses nor rewards, finds better motions for the validation captions. The
best round's model is left in `model/`. Every stage has a folder and a log; the same command goes on after a kill.
"""

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets_scripts.templates import render
from modeling_unimo.command_line import positive_int
from modeling_unimo.files_unimo import write_json, write_text
from train.engine.arguments import read_yaml
from train.engine.processes import count_gpus
from train.engine.run_folder import SETTINGS as TRAINING
from train.engine.run_folder import content_key, locked
from train.quickstart import CONFIGS, Stage, run_stages, training_stage
from train.supervised.own_answers import CHOSEN, COUNTS, add_sampling_options, check_sampling_options

SUMMARY, PAGE, MODEL, RUN = "summary.json", "summary.html", "model", "self_training.json"
TEMPLATES = Path(__file__).parent / "report" / "templates"
FOLDERS = ("model", "vqvae", "dataset", "held_out_evaluator")
SAMPLING = ("candidates", "temperature", "new_captions", "captions_from", "training_captions", "kept_share")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder of the supervised model to begin with")
    parser.add_argument("--vqvae", required=True, help="folder of the motion VQ-VAE")
    parser.add_argument("--dataset", required=True, help="dataset folder with thoughts, splits train and validation")
    parser.add_argument("--held_out_evaluator", required=True, help="folder of the judge that ends the rounds")
    parser.add_argument("--output", default="runs/self_train", help="run folder (default runs/self_train)")
    parser.add_argument(
        "--config", default=str(CONFIGS / "self_train" / "sft.yaml"), help="recipe of a round for train/sft.py"
    )
    parser.add_argument("--rounds", type=positive_int, default=3, help="most rounds (default 3)")
    parser.add_argument("--copies", type=positive_int, default=3, help="times a chosen row is in a pass (default 3)")
    parser.add_argument("--max_steps", type=positive_int, help="steps of a round (default: the recipe's)")
    parser.add_argument("--processes", type=positive_int, default=2, help="of the fine-tuning (default 2)")
    parser.add_argument("--repeats", type=positive_int, default=3, help="repeats of a validation (default 3)")
    parser.add_argument("--pool_size", type=positive_int, default=32, help="of R-precision (default 32)")
    add_sampling_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    check_sampling_options(parser, arguments)
    for name in FOLDERS:
        if not Path(getattr(arguments, name)).is_dir():
            parser.error(f"--{name} {getattr(arguments, name)}: no such folder")
    return arguments


def claim(run: Path, arguments: argparse.Namespace) -> None:
    """Begin a run folder, or go on in one that was begun with the same settings.

    More rounds may be asked for later.

    Args:
        run: The run folder.
        arguments: The options.

    Raises:
        SystemExit: The folder holds something else, or a run with other settings.
    """
    settings = {name: value for name, value in vars(arguments).items() if name not in ("output", "rounds")}
    settings |= {f"content of {name}": content_key(Path(settings[name])) for name in FOLDERS}
    settings["recipe"] = read_yaml(Path(arguments.config))
    settings = json.loads(json.dumps(settings))
    if (run / RUN).is_file():
        before = json.loads((run / RUN).read_text(encoding="utf-8"))
        changed = sorted(name for name in {*before, *settings} if before.get(name) != settings.get(name))
        if changed:
            raise SystemExit(
                f"error: {run} holds a run with another {', '.join(changed)}; name another --output or delete it"
            )
        return
    found = sorted(path.name for path in run.iterdir() if path.name != ".lock")
    if found:
        raise SystemExit(f"error: --output {run} holds something else ({', '.join(found[:5])}); name another")
    write_json(run / RUN, settings)
    (run / "logs").mkdir()  # by which `run_stages` knows a folder of stages


def validation_stage(arguments: argparse.Namespace, number: int, model: Path) -> Stage:
    """The held-out judge on the validation captions, for the model of a round; round 0 is the one begun with.

    Args:
        arguments: The options.
        number: Number of the round.
        model: Folder of the model.

    Returns:
        The stage.
    """
    folder = Path(arguments.output) / f"round_{number}" / "validation"
    command = [sys.executable, "-m", "evaluate_unimo.run", "--model", str(model), "--vqvae", arguments.vqvae]
    command += ["--dataset", arguments.dataset, "--evaluator", arguments.held_out_evaluator, "--split", "validation"]
    command += ["--repeats", str(arguments.repeats), "--m2t_repeats", "1", "--pool_size", str(arguments.pool_size)]
    command += ["--dtype", arguments.dtype, "--seed", str(arguments.seed), "--output", str(folder)]
    return Stage(f"validation_{number}", command, folder)


def as_taught(model: Path) -> dict[str, Any]:
    """How train/sft.py wrote and read the model's answers, which further training keeps.

    Args:
        model: Folder of the model.

    Returns:
        Settings by name.
    """
    processor = json.loads((model / "processor_config.json").read_text(encoding="utf-8"))
    run = model / TRAINING
    before = json.loads(run.read_text(encoding="utf-8")) if run.is_file() else {}
    kept = {name: before[name] for name in ("position_gaps", "no_thought_share") if before.get(name)}
    return {"thoughts": processor.get("thoughts", True), **kept}


def round_stages(arguments: argparse.Namespace, number: int, model: Path) -> list[Stage]:
    """Answers of a model, the fine-tuning on the best of them, and its validation.

    Args:
        arguments: The options.
        number: Number of the round.
        model: Folder of the model that answers.

    Returns:
        The stages.
    """
    run = Path(arguments.output)
    answers, tuned = run / f"round_{number}" / "answers", run / f"round_{number}" / "sft"
    command = [sys.executable, "-m", "train.supervised.own_answers", "--model", str(model)]
    command += ["--vqvae", arguments.vqvae, "--dataset", arguments.dataset, "--output", str(answers)]
    command += [
        word
        for name in (*SAMPLING, "batch_size", "dtype")
        if getattr(arguments, name) is not None
        for word in (f"--{name}", str(getattr(arguments, name)))
    ]
    # Other draws and other new captions in every round.
    seed = arguments.seed + 1000 * number
    sampling = Stage(f"answers_{number}", [*command, "--seed", str(seed)], answers)
    steps = arguments.max_steps or read_yaml(Path(arguments.config)).get("max_steps")
    if not steps:
        raise SystemExit(f"error: {arguments.config} has no max_steps; add it, or give --max_steps")
    settings: dict[str, Any] = as_taught(Path(arguments.model)) | {
        "dataset": arguments.dataset,
        "vqvae": arguments.vqvae,
        "base_model": str(model),
        "added_rows": str(answers / CHOSEN),
        "added_copies": arguments.copies,
        "output_dir": str(tuned),
        "max_steps": steps,
        "seed": seed,
        "use_cpu": not count_gpus(),
    }
    after = (sampling.name,)
    tuning = training_stage(
        f"sft_{number}", "sft", tuned, after, Path(arguments.config), arguments.processes, settings
    )
    validation = validation_stage(arguments, number, tuned)
    validation.after = (tuning.name,)
    return [sampling, tuning, validation]


def read_round(run: Path, number: int) -> dict[str, Any]:
    """What a round chose and how it was judged.

    Args:
        run: The run folder.
        number: Number of the round.

    Returns:
        Figures by name.
    """
    folder = run / f"round_{number}"
    results = json.loads((folder / "validation" / "results.json").read_text(encoding="utf-8"))
    figures = results["t2m"]["generated"] | results["m2t"]
    names = ("r_precision_top1", "r_precision_top3", "fid", "bleu1")
    found = {name: figures[name] for name in names if name in figures}
    found = {name: value["mean"] if isinstance(value, dict) else value for name, value in found.items()}
    counts = folder / "answers" / COUNTS
    chosen = json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else {}
    return {"round": number, **chosen, **found}


def best_round(rounds: Sequence[dict[str, Any]]) -> int:
    """The place of the round with the best R-precision by the held-out judge, of equal ones the first.

    Args:
        rounds: From `read_round`.

    Returns:
        Its index.
    """
    return max(range(len(rounds)), key=lambda place: (rounds[place]["r_precision_top1"], -place))


def write_summary(run: Path, rounds: Sequence[dict[str, Any]]) -> None:
    """`summary.json`, and a page with a table and a picture of the rounds.

    Args:
        run: The run folder.
        rounds: From `read_round`.
    """
    from train.report.charts import line_chart

    best = best_round(rounds)
    write_json(run / SUMMARY, {"best_round": best, "rounds": list(rounds)})
    labels = {"r_precision_top1": "R@1, held-out judge", "r_precision_top3": "R@3, held-out judge", "bleu1": "BLEU@1"}
    series = {
        label: [(row["round"], row[name]) for row in rounds if name in row]
        for name, label in labels.items()
        if any(name in row for row in rounds)
    }
    chart = line_chart(series, "round", "validation", "Validation after each round")
    write_text(run / PAGE, render(TEMPLATES / "self_training.html", rounds=rounds, best=best, chart=chart))


def leave_model(run: Path, rounds: Sequence[dict[str, Any]], begun_with: Path) -> Path:
    """Copy the best round's model to `model/`, its card with the table of the rounds.

    Args:
        run: The run folder.
        rounds: From `read_round`.
        begun_with: Folder of the model that the first round began with.

    Returns:
        The folder `model/`.
    """
    best = best_round(rounds)
    source = run / f"round_{best}" / "sft" if best else begun_with
    target = run / MODEL
    part = target.with_name(f"{MODEL}.part")
    for folder in (part, target):
        shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("logs", "runs", "stage_done.json", "new_base")
    shutil.copytree(source, part, ignore=ignored)
    if best and (part / "README.md").is_file():
        card = (part / "README.md").read_text(encoding="utf-8")
        added = render(TEMPLATES / "self_training.md", rounds=rounds, best=best)
        write_text(part / "README.md", f"{card.rstrip()}\n\n{added}")
    part.rename(target)
    return target


def run_rounds(arguments: argparse.Namespace, run: Path) -> None:
    """Round after round, until the judge finds no gain or there were enough.

    Args:
        arguments: The options.
        run: The run folder.
    """
    model = Path(arguments.model)
    stages = [validation_stage(arguments, 0, model)]
    run_stages(stages, run)
    rounds = [read_round(run, 0)]
    for number in range(1, arguments.rounds + 1):
        stages += round_stages(arguments, number, model)
        run_stages(stages, run)
        rounds.append(read_round(run, number))
        write_summary(run, rounds)
        before, now = rounds[best_round(rounds[:-1])], rounds[-1]
        print(
            f"round {number}: R@1 {now['r_precision_top1']:.3f} by the held-out judge, best before "
            f"{before['r_precision_top1']:.3f}; BLEU@1 {now['bleu1']:.3f}, at first {rounds[0]['bleu1']:.3f}",
            flush=True,
        )
        if now["r_precision_top1"] <= before["r_precision_top1"]:
            print(f"round {number} is no better: that ends it", flush=True)
            break
        model = run / f"round_{number}" / "sft"
    best = best_round(rounds)
    left = leave_model(run, rounds, Path(arguments.model))
    print(f"best: round {best}{'' if best else ', the model begun with'}\nmodel: {left}\nsummary: {run / PAGE}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    run = Path(arguments.output)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with locked(run):
        claim(run, arguments)
        try:
            run_rounds(arguments, run)
        except KeyboardInterrupt:
            raise SystemExit("interrupted; the same command goes on from here") from None


if __name__ == "__main__":
    main()
