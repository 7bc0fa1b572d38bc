"""The whole of UniMo in one command: data, VQ-VAE, judges, SFT, GRPO, evaluation, report (`make demo`).

Every stage is its own process with its own log and folder, exactly the command a full-scale run uses; this module only
starts them, side by side where they do not depend on each other, watches time and memory, and gathers `metrics.json`.
A stage that has finished is not run again, so a killed quickstart goes on where it stopped.
"""

import argparse
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets_scripts.locks import LOCK, locked
from modeling_unimo.command_line import command
from modeling_unimo.files_unimo import sha256_of, write_json
from train.engine import forecast
from train.engine.arguments import read_yaml
from train.engine.processes import MemoryWatch, count_gpus, start_process, stop_process, usable_cores
from train.engine.run_folder import LOCK_SECONDS

CODE = Path(__file__).parent
CONFIGS = CODE / "configs"
DONE = "stage_done.json"
WALL = "wall_seconds.json"
BUDGET = "budget.json"
BUILD_OPTIONS = ("fps", "up", "joint_map")  # how the files of a source are read
# How the names of settings begin that watch a training and change nothing of it.
WATCHING = ("guard_", "logging_", "held_out_evaluator")
CANDIDATES = 8  # for the best of several, scored on so few captions that the run takes a quarter of a minute longer
CANDIDATES_LIMIT = 96
SFT_EVALUATION = {"repeats": 2, "free": 256}  # of the model before GRPO, at most
STAGE_KEYS = ("data", "vqvae", "evaluator", "sft", "grpo", "evaluate")


@dataclass
class Stage:
    """One command with the folder it fills; `after` names the stages whose folders it reads."""

    name: str
    command: list[str]
    folder: Path
    after: tuple[str, ...] = ()
    processes: int = 1
    training: bool = False  # writes training_summary.json, in which the number of processes is checked
    settings: dict[str, Any] = field(default_factory=dict)  # what its YAML file holds
    max_steps: int | None = None  # of a training stage
    record: dict[str, Any] = field(default_factory=dict)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="runs/quickstart", help="run folder (default runs/quickstart)")
    parser.add_argument("--source", default="synthetic", choices=("synthetic", "joints", "bvh", "humanml3d"))
    parser.add_argument("--data_dir", help="folder of the source's files; not for synthetic")
    for name in BUILD_OPTIONS:
        parser.add_argument(f"--{name}", help="handed to datasets_scripts.build, which explains it")
    parser.add_argument(
        "--minutes",
        type=float,
        help="scale the steps of all training stages so that the whole run takes this long on this machine; data, "
        "evaluation and report take the same time whatever is given (default: the recipe's steps)",
    )
    parser.add_argument("--config", default=str(CONFIGS / "quickstart" / "quickstart.yaml"), help="budgets a stage")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if (arguments.source == "synthetic") == (arguments.data_dir is not None):
        parser.error("--data_dir applies to --source joints, bvh or humanml3d, which need it")
    for name in BUILD_OPTIONS:
        if arguments.source == "synthetic" and getattr(arguments, name) is not None:
            parser.error(f"--{name} does not apply to --source synthetic")
    if arguments.data_dir is not None and not Path(arguments.data_dir).is_dir():
        parser.error(f"--data_dir {arguments.data_dir}: no such folder")
    if arguments.minutes is not None and not 0.1 <= arguments.minutes <= 100_000:
        parser.error(f"--minutes must be between 0.1 and 100000, got {arguments.minutes}")
    return arguments


def read_config(path: Path) -> dict[str, dict[str, Any]]:
    """Read the budgets of the stages. Unknown keys of one stage are refused by the stage itself.

    Args:
        path: YAML file.

    Returns:
        Settings by stage.

    Raises:
        SystemExit: The file or a value in it is invalid.
    """
    config = read_yaml(path)
    if not isinstance(config, dict) or set(config) != set(STAGE_KEYS):
        raise SystemExit(f"error: {path} must have just the keys {', '.join(STAGE_KEYS)}")
    for key, settings in config.items():
        if not isinstance(settings, dict):
            raise SystemExit(f"error: {key} in {path} must be a mapping (key: value), found {settings!r}")
        if key in ("data", "evaluate"):
            continue
        file = settings.get("config")
        if not isinstance(file, str) or not (path.parent / file).is_file():
            raise SystemExit(f"error: {key} in {path}: config is {file!r}; it must name a YAML file in {path.parent}")
        for name, default in (("max_steps", None), ("processes", 1)):
            value = settings.get(name, default)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SystemExit(f"error: {key} in {path}: {name} is {value!r}; it must be a positive whole number")
    return config


def training_stage(
    name: str, script: str, folder: Path, after: tuple[str, ...], file: Path, processes: int, settings: dict[str, Any]
) -> Stage:
    """A stage that runs `train/{script}.py --config file` in as many processes as the machine allows.

    With fewer processes than asked for, each accumulates more, so that a step learns from as many examples.

    Args:
        name: Name of the stage.
        script: Name of the script.
        folder: Output folder.
        after: Stages it reads from.
        file: The config file.
        processes: Processes asked for.
        settings: Overrides of the file.

    Returns:
        The stage.
    """
    recipe = read_yaml(file)
    asked, allowed = processes, min(processes, count_gpus() or usable_cores())
    processes = max(n for n in range(1, allowed + 1) if asked % n == 0)
    if processes < asked:
        accumulated = (recipe | settings).get("gradient_accumulation_steps", 1)
        settings = settings | {"gradient_accumulation_steps": accumulated * asked // processes}
    launcher = [sys.executable]
    if processes > 1:  # `--multi_gpu` is how accelerate names several processes on one machine, CPU included
        launcher += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
        launcher += ["--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
    command = [*launcher, str(CODE / f"{script}.py"), "--config", str(file)]
    for key, value in settings.items():
        command += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return Stage(name, command, folder, after, processes, True, recipe, settings["max_steps"])


def plan(arguments: argparse.Namespace, config: dict[str, dict[str, Any]], scale: float = 1.0) -> list[Stage]:
    """The stages of a run with their commands.

    Args:
        arguments: The options.
        config: From `read_config`.
        scale: Factor of the steps of every training stage.

    Returns:
        The stages, in order.
    """
    run, synthetic, seed = Path(arguments.output), arguments.source == "synthetic", str(arguments.seed)
    data, vqvae, evaluator, sft, grpo = (str(run / n) for n in ("data", "vqvae", "evaluator", "sft", "grpo"))
    held_out = str(run / "evaluator_held_out")
    python = [sys.executable, "-m"]

    def train(key: str, name: str, output: str, after: tuple[str, ...], extra: dict[str, Any]) -> Stage:
        settings = dict(config[key])
        file = Path(arguments.config).parent / settings.pop("config")
        processes = settings.pop("processes", 1)
        settings["max_steps"] = max(2, round(settings["max_steps"] * scale))
        settings = (
            {"dataset": data, "output_dir": output, "seed": seed, "use_cpu": not count_gpus()} | settings | extra
        )
        return training_stage(name, key, Path(output), after, file, processes, settings)

    build = [*python, "datasets_scripts.build", "--source", arguments.source, "--output", data, "--seed", seed]
    if synthetic:
        build += [word for k, v in config["data"].items() for word in (f"--{k}", str(v))]
    else:
        build += ["--data_dir", arguments.data_dir]
        given = {name: getattr(arguments, name) for name in BUILD_OPTIONS}
        build += [f"--{name}={value}" for name, value in given.items() if value is not None]  # -y is no option
    evaluate = [*python, "evaluate_unimo.run", "--vqvae", vqvae, "--dataset", data, "--seed", seed, "--halves"]
    evaluate += ["--evaluator", evaluator, "--held_out_evaluator", held_out]
    evaluate += [word for k, v in config["evaluate"].items() for word in (f"--{k}", str(v))]
    judges = ("evaluator", "evaluator_held_out")
    samples = [*python, "train.report.samples", "--run", str(run), "--seed", seed]

    def score(name: str, model: str, *more: str) -> Stage:
        folder = run / f"evaluation_{name}"
        command = [*evaluate, "--model", str(run / model), "--output", str(folder), *more]
        return Stage(f"evaluate_{name}", command, folder, ("grpo", *judges))

    hard = ["--hard"] if synthetic else []
    # The model before GRPO is there for comparison alone.
    shorter = [
        word
        for name, most in SFT_EVALUATION.items()
        for word in (f"--{name}", str(min(most, config["evaluate"].get(name, most))))
    ]
    # The same model answering in other ways, once and under the grammar alone.
    once = ["--repeats", "1", "--m2t_repeats", "1", "--free", "0"]
    best_of = ["--candidates", str(CANDIDATES), "--t2m_limit", str(CANDIDATES_LIMIT)]
    best_of += ["--tasks", "t2m_hard" if synthetic else "t2m"]
    plain = [score("plain", "grpo", *hard, *once, "--think", "false")] if teaches_both(config, arguments) else []
    return [
        Stage("data", build, Path(data)),
        train("vqvae", "vqvae", vqvae, ("data",), {}),
        train("evaluator", "evaluator", evaluator, ("data",), {"judges": "main"}),
        train("evaluator", "evaluator_held_out", held_out, ("evaluator",), {
            "judges": "held_out", "held_out_output_dir": held_out,
        }),
        train("sft", "sft", sft, ("vqvae", *judges), {"vqvae": vqvae}),
        train("grpo", "grpo", grpo, ("sft",), {
            "sft_model": sft, "vqvae": vqvae, "evaluator": evaluator, "held_out_evaluator": held_out,
            "unimo_output_dir": str(run / "unimo"),
        }),
        score("sft", "sft", *hard, *shorter),
        score("grpo", "grpo", *hard),
        score("candidates", "grpo", *once, *best_of),
        *plain,
        Stage("samples", samples, run / "samples", ("evaluate_sft", "evaluate_grpo")),
    ]  # fmt: skip


def teaches_both(config: dict[str, dict[str, Any]], arguments: argparse.Namespace) -> bool:
    """Whether the recipe of supervised training leaves out some thoughts, so that the model answers both ways.

    Args:
        config: from `read_config`.
        arguments: The options.

    Returns:
        Whether it does.
    """
    recipe = read_yaml(Path(arguments.config).parent / config["sft"]["config"]) | config["sft"]
    return bool(recipe.get("no_thought_share", 0))


def choose_scale(arguments: argparse.Namespace, config: dict[str, dict[str, Any]], run: Path) -> tuple[float, str]:
    """Choose the scale of the training steps. It is measured once for a run folder and kept in its `budget.json`.

    Args:
        arguments: The options.
        config: From `read_config`.
        run: Folder of the run.

    Returns:
        The scale, and how long the run will take on this machine, in words.
    """
    kept = run / BUDGET
    if kept.is_file():
        budget = json.loads(kept.read_text(encoding="utf-8"))
        if budget["minutes"] == arguments.minutes:
            return budget["scale"], budget["forecast"]
    file = Path(arguments.config).parent / "timing.json"
    if not file.is_file() or count_gpus():
        why = f"no {file}" if not file.is_file() else "no run on a GPU has been recorded"
        words = f"no forecast of the time ({why})"
        if arguments.minutes is None:
            return 1.0, words
        return (
            arguments.minutes / 15,
            f"{words}; {arguments.minutes / 15:.2f} of the recipe's steps, meant for 15 minutes",
        )
    timing = json.loads(file.read_text(encoding="utf-8"))
    slowdown = forecast.probe_step_seconds(min(2, usable_cores())) / timing["probe_step_seconds"]

    def seconds_at(scale: float) -> float:
        stages = plan(arguments, config, scale)
        seconds = {s.name: forecast.stage_seconds(timing, s.name, s.max_steps, slowdown) for s in stages}
        return forecast.run_seconds(seconds, {s.name: s.after for s in stages})

    scale = 1.0 if arguments.minutes is None else forecast.scale_for(60 * arguments.minutes, seconds_at)
    least = seconds_at(0.0) / 60
    words = f"about {seconds_at(scale) / 60:.0f} minutes here (a step takes {slowdown:.2f} of the recorded run's time"
    words += ")" if arguments.source == "synthetic" else "; data and evaluation as for the demo's data)"
    if arguments.minutes is not None:
        words += f"; {scale:.2f} of the recipe's steps"
        if arguments.minutes < least:
            words += f"; data, evaluation and start-up alone take {least:.1f} minutes, more than --minutes"
    run.mkdir(parents=True, exist_ok=True)
    write_json(kept, {"minutes": arguments.minutes, "scale": scale, "slowdown": slowdown, "forecast": words})
    return scale, words


def check_run_folder(run: Path, stages: list[Stage]) -> None:
    """Refuse a folder that holds something else than a quickstart.

    Args:
        run: Folder of the run.
        stages: Its stages.

    Raises:
        SystemExit: With what was found and the remedy.
    """
    if run.exists() and not run.is_dir():
        raise SystemExit(f"error: --output {run} is a file; name a folder")
    found = {path.name for path in run.iterdir()} - {LOCK} if run.is_dir() else set()
    if found and not found & {"logs", BUDGET, *(stage.folder.name for stage in stages)}:
        raise SystemExit(f"error: --output {run} holds something else ({', '.join(sorted(found)[:5])}); name another")


def without_watching(settings: dict[str, Any]) -> dict[str, Any]:
    """Remove the settings of guards and logs, which do not change what is trained.

    Args:
        settings: The settings.

    Returns:
        The others.
    """
    return {name: value for name, value in settings.items() if not name.startswith(WATCHING)}


def same_training(stage: Stage) -> bool:
    """Whether the recorded command and settings of a stage are those of now, except for guards and logs.

    The location of the code and the Python interpreter do not count, so that runs may move to another checkout.

    Args:
        stage: The stage.

    Returns:
        Whether they are the same.
    """

    def counted(command: list[str], code: str) -> list[str]:
        watching = tuple(f"--{name}" for name in WATCHING)
        return [
            word.replace(code, "")
            for place, word in enumerate(command)
            if place and not word.startswith(watching) and not command[place - 1].startswith(watching)
        ]

    settings = stage.record.get("settings", stage.settings)
    recorded = counted(stage.record["command"], stage.record.get("code", str(CODE)))
    return recorded == counted(stage.command, str(CODE)) and (
        without_watching(settings) == without_watching(stage.settings)
    )


def finished(stages: list[Stage]) -> set[str]:
    """Find the stages that an earlier run has finished, and read their records.

    Args:
        stages: The stages.

    Returns:
        Names of those that are finished.

    Raises:
        SystemExit: One was made with other settings, except for guards and logs, or from a stage that is gone.
    """
    done: set[str] = set()
    for stage in stages:
        if not (stage.folder / DONE).is_file():
            continue
        stage.record = json.loads((stage.folder / DONE).read_text(encoding="utf-8"))
        if not same_training(stage):
            raise SystemExit(
                f"error: {stage.folder} was made with other settings; name another --output or delete the folder"
            )
        gone = sorted(set(stage.after) - done)
        if gone:
            raise SystemExit(
                f"error: {stage.folder} was made from an earlier {gone[0]}, which has to run again; delete it too"
            )
        done.add(stage.name)
    return done


class WallClock:
    """The seconds that all runs in a folder took, kept in it: a run that was killed or that failed took time, too."""

    def __init__(self, run: Path):
        self.path = run / WALL
        self.started = time.monotonic() - wall_seconds(run)
        self.kept = 0.0

    def keep(self, every: float = 0.0) -> None:
        """Write the seconds to the run folder.

        Args:
            every: Do nothing if they were written less than this many seconds ago.
        """
        seconds = time.monotonic() - self.started
        if seconds - self.kept >= every:
            write_json(self.path, {"seconds": round(seconds, 1)})
            self.kept = seconds


def wall_seconds(run: Path) -> float:
    """Seconds that a `WallClock` has kept.

    Args:
        run: Folder of the run.

    Returns:
        The seconds; 0 without a record.
    """
    return json.loads((run / WALL).read_text(encoding="utf-8"))["seconds"] if (run / WALL).is_file() else 0.0


def run_stages(stages: list[Stage], run: Path) -> None:
    """Run each stage once its inputs exist, at most two at a time, and record seconds and memory.

    Args:
        stages: The stages.
        run: Folder of the run.

    Raises:
        SystemExit: A stage failed; the end of its log is printed and the other one is stopped.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "ACCELERATE_USE_CPU": "false" if count_gpus() else "true",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
        "PYTHONUNBUFFERED": "1",
    }
    running: dict[subprocess.Popen, tuple[Stage, Path, float, MemoryWatch]] = {}
    check_run_folder(run, stages)
    done = finished(stages)
    clock = WallClock(run)
    started = clock.started
    for stage in stages:
        if stage.name in done:
            print(f"[{elapsed(started)}] {stage.name}: already there")
    waiting = [stage for stage in stages if stage.name not in done]
    (run / "logs").mkdir(parents=True, exist_ok=True)
    try:
        while waiting or running:
            for stage in [s for s in waiting if done.issuperset(s.after)]:
                if sum(s.processes for s, *_ in running.values()) + stage.processes <= 2 or not running:
                    waiting.remove(stage)
                    log = run / "logs" / f"{stage.name}.log"
                    process = start_process(stage.command, log, environment)
                    watch = MemoryWatch(process.pid)
                    watch.start()
                    running[process] = (stage, log, time.monotonic(), watch)
                    print(f"[{elapsed(started)}] {stage.name}: started (log {log})", flush=True)
            time.sleep(0.2)
            clock.keep(every=5.0)
            for process in [p for p in running if p.poll() is not None]:
                stage, log, since, watch = running.pop(process)
                finish(stage, process.returncode, log, time.monotonic() - since, watch.peak_mb)
                done.add(stage.name)
                took = f"{stage.record['seconds']:.0f} s"
                print(f"[{elapsed(started)}] {stage.name}: done in {took}{headline(stage)}", flush=True)
            if sys.stdout.isatty() and running:
                names = ", ".join(f"{s.name} {time.monotonic() - since:.0f} s" for s, _, since, _ in running.values())
                print(f"\r\033[K[{elapsed(started)}] running: {names}", end="\r", flush=True)
    finally:
        for process in running:
            stop_process(process)
        clock.keep()


def finish(stage: Stage, returncode: int, log: Path, seconds: float, peak_mb: float) -> None:
    """Check the result of a stage and record it in its folder.

    Args:
        stage: The stage.
        returncode: Exit status.
        log: Its log.
        seconds: Wall time.
        peak_mb: Peak memory.

    Raises:
        OSError: The stage failed on a disk that is full, which its log may have had no room to say.
        SystemExit: The stage failed for another reason, or ran another number of processes.
    """
    if returncode != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        if shutil.disk_usage(log.parent).free < 2**20:
            print(tail, file=sys.stderr)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(log.parent.parent))
        raise SystemExit(f"{tail}\nerror: stage {stage.name} failed (exit {returncode}); whole log: {log}")
    if stage.training:
        summary = json.loads((stage.folder / "training_summary.json").read_text(encoding="utf-8"))
        if summary["processes"] != stage.processes:
            raise SystemExit(f"error: {stage.name} ran {summary['processes']} processes, not {stage.processes}")
    if stage.name == "data":
        check_splits(stage.folder)
    stage.record = {
        "command": stage.command,
        "code": str(CODE),
        "settings": stage.settings,
        "versions": versions(),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(peak_mb),
    }
    stage.folder.mkdir(parents=True, exist_ok=True)
    write_json(stage.folder / DONE, stage.record)


def check_splits(data: Path) -> None:
    """Refuse a dataset with nothing to train on, to choose by or to score.

    Args:
        data: the dataset folder.

    Raises:
        SystemExit: a split is empty; with the remedy.
    """
    splits = json.loads((data / "build.json").read_text(encoding="utf-8"))["splits"]
    lacking = [name for name in ("train", "validation", "test") if name not in splits]
    if lacking:
        kept = sum(split["clips"] for split in splits.values())
        raise SystemExit(
            f"error: {data} holds {kept} clip{'s' if kept > 1 else ''} and none in {', '.join(lacking)}: the "
            "quickstart trains on one split, chooses by another and scores a third; give at least 3 clips, and where "
            'captions.jsonl or split files say which is in which, some in "train", "validation" and "test"'
        )


@lru_cache
def versions() -> dict[str, str]:
    """Versions that make a stage: the libraries, and the hash of this project's own code.

    Returns:
        Version by name.
    """
    packages = ("modeling_unimo", "datasets_scripts", "train", "evaluate_unimo")
    files = [file for package in packages for file in sorted((CODE.parent / package).rglob("*.py"))]
    return {"code": sha256_of(files, names=True)[:12]} | {
        name: version(name) for name in ("torch", "transformers", "trl")
    }


def headline(stage: Stage) -> str:
    """The one or two main figures of a finished training stage.

    Args:
        stage: The stage.

    Returns:
        Text for the log.
    """
    path = stage.folder / "curves.json"
    if not stage.training or not path.is_file():
        return ""
    last: dict[str, Any] = {}
    for entry in json.loads(path.read_text(encoding="utf-8")):
        last |= entry
    names = ("eval_mpjpe_mm", "eval_codes_used", "eval_r_precision_top1", "loss", "mean_token_accuracy", "reward")
    return "  " + ", ".join(f"{n.removeprefix('eval_')} {float(last[n]):.3f}" for n in names if n in last)


def elapsed(started: float) -> str:
    """Format the time since a start.

    Args:
        started: Time of the start.

    Returns:
        Minutes and seconds.
    """
    seconds = int(time.monotonic() - started)
    return f"{seconds // 60:2d}:{seconds % 60:02d}"


def gather_metrics(stages: list[Stage], run: Path, seed: int) -> dict[str, Any]:
    """Collect `metrics.json` from what the stages wrote.

    Args:
        stages: The stages.
        run: Folder of the run.
        seed: Seed of the run.

    Returns:
        The metrics.
    """
    by_name = {stage.name: stage.record for stage in stages}
    names = {"sft": "sft", "grpo": "grpo", "candidates": f"grpo_best_of_{CANDIDATES}", "plain": "grpo_without_thought"}
    results = {
        shown: json.loads((run / f"evaluation_{name}" / "results.json").read_text("utf-8"))
        for name, shown in names.items()
        if f"evaluate_{name}" in by_name
    }
    metrics: dict[str, Any] = {
        "seconds": {name: record["seconds"] for name, record in by_name.items()} | {"total": wall_seconds(run)},
        "memory_mb": {name: record["peak_memory_mb"] for name, record in by_name.items()},
        "peak_memory_mb": peak_together(stages),
        "vqvae": json.loads((run / "samples" / "reconstruction.json").read_text("utf-8")),
        "evaluator": {k: v for k, v in results["grpo"]["t2m"]["real"].items() if k.startswith("r_precision")},
    }
    for task in ("t2m", "t2m_hard", "t2m_attributes"):
        if task in results["grpo"]:
            metrics[task] = {"real": results["grpo"][task]["real"]}
            metrics[task] |= {name: result[task]["generated"] for name, result in results.items() if task in result}
    metrics["m2t"] = {name: result["m2t"] for name, result in results.items() if "m2t" in result}
    return metrics | {name: results["grpo"][name] for name in ("generation", "protocol")} | {"seed": seed}


def peak_together(stages: list[Stage]) -> int:
    """Peak memory of a run: stages that can run side by side are added up.

    Args:
        stages: The stages.

    Returns:
        MB.
    """
    memory = {stage.name: stage.record["peak_memory_mb"] for stage in stages}
    together = [("vqvae", "evaluator"), ("vqvae", "evaluator_held_out"), ("evaluate_sft", "evaluate_grpo")]
    return max([*memory.values(), *(sum(memory[name] for name in pair) for pair in together)])


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run every stage that is not finished, then write the metrics and the report.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    run = Path(arguments.output)
    config = read_config(Path(arguments.config))
    check_run_folder(run, plan(arguments, config))
    with locked(run, LOCK_SECONDS):
        run_all(arguments, config, run)


def run_all(arguments: argparse.Namespace, config: dict[str, dict[str, Any]], run: Path) -> None:
    """Run every stage that is not finished, then write the metrics and the report.

    Args:
        arguments: The options.
        config: From `read_config`.
        run: Folder of the run.

    Raises:
        SystemExit: A stage failed, or the run was interrupted.
    """
    scale, words = choose_scale(arguments, config, run)
    stages = plan(arguments, config, scale)
    # As Ctrl-C does: the stages that run are stopped; by default this process alone would end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"UniMo quickstart -> {run}: {', '.join(stage.name for stage in stages)}\nexpected: {words}", flush=True)
    try:
        run_stages(stages, run)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; run the same command to resume") from None

    from train.engine.cards import write_unimo_card
    from train.report.run_page import write_report

    curves = {}
    for stage in stages:
        if stage.training:
            curves[stage.name] = json.loads((stage.folder / "curves.json").read_text(encoding="utf-8"))
    write_json(run / "curves.json", curves, indent=None)
    recipe = Path(arguments.config).resolve()
    shown = recipe.relative_to(CODE.parent).as_posix() if recipe.is_relative_to(CODE.parent) else recipe.name
    metrics = gather_metrics(stages, run, arguments.seed) | {"config": shown}
    write_json(run / "metrics.json", metrics)
    write_unimo_card(run / "unimo", run / "grpo", metrics)
    report = write_report(run)
    print((run / "evaluation_grpo" / "results.md").read_text(encoding="utf-8"))
    print(f"metrics: {run / 'metrics.json'}\nreport:  {report}\nmodel:   {run / 'unimo'}")


if __name__ == "__main__":
    main()
