"""Ablations with paired seeds: `python -m train.ablate --study cot|joint|rewards|algorithm|... --seeds 5`.

The data, the VQ-VAE and both judges are made once (or taken from a finished run with --benchmark) and held fixed;
every arm trains and is scored once a seed. A stage has a folder named after the hash of its settings and of all
that it reads, so arms and studies that share one train it once, and a killed study resumes. Settings of guards, and of
logging if the budgets file gives them, do not affect training and are not in the hash. Writes the table of
means and of paired differences as HTML, CSV, Markdown and JSON.
"""

import argparse
import hashlib
import json
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_scripts.locks import locked
from modeling_unimo.command_line import command
from train.engine.arguments import read_yaml
from train.engine.processes import count_gpus
from train.engine.run_folder import LOCK_SECONDS, content_key
from train.quickstart import (
    CONFIGS,
    DONE,
    WATCHING,
    Stage,
    check_run_folder,
    finished,
    read_config,
    run_stages,
    training_stage,
    without_watching,
)
from train.self_train import as_taught
from train.studies.arms import Arm, Study, studies
from train.studies.study_page import write_results
from train.studies.tables import answering_seconds, scores
from train.supervised.own_answers import CHOSEN, COUNTS

STUDIES = ("cot", "joint", "rewards", "algorithm", "self_training", "test_time", "embedding_init")
TUNE = CONFIGS / "self_train" / "sft.yaml"  # of a further supervised training
# Seconds on two CPU cores, to say beforehand what a study costs: of a training step, or of an evaluation repeat.
_SECONDS_A_STEP = {"vqvae": 0.12, "evaluator": 0.42, "sft": 0.29, "tune": 0.29, "grpo": 3.5}
_SECONDS_DATA, _SECONDS_SCORING, _SECONDS_ANSWERS = 30.0, 60.0, 120.0
COPIES = 3  # of each of a model's own answers, in a pass over the data
OTHER_CAPTIONS = 1000  # added to an arm's seed, for captions that no split has


@dataclass(frozen=True)
class Made:
    """A folder that stages read: its path, the hash of what is or will be in it, the stage that makes it if any."""

    path: Path
    key: str
    stage: str = ""


@dataclass(frozen=True)
class Benchmark:
    """What all arms share: data, codec and judges."""

    data: Made
    vqvae: Made
    evaluator: Made
    held_out: Made


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", required=True, choices=STUDIES)
    parser.add_argument("--seeds", type=int, default=5, help="paired seeds (default 5)")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="only these arms, beside the baseline")
    parser.add_argument("--output", default="runs/ablate", help="folder of all studies (default runs/ablate)")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--dataset", help="a built dataset instead of the embedded synthetic one")
    given.add_argument("--benchmark", help="a finished quickstart run to take data, VQ-VAE and judges from")
    parser.add_argument(
        "--begin_with",
        metavar="FOLDER",
        help="a supervised model that every seed begins with, of arms that do not train theirs in another way",
    )
    parser.add_argument("--config", default=str(CONFIGS / "ablation" / "ablation.yaml"), help="budget of each stage")
    parser.add_argument("--dry_run", action="store_true", help="print what would be run and how long it takes")
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1:
        parser.error(f"--seeds must be >= 1 (2 for an interval), got {arguments.seeds}")
    if Path(arguments.output).is_file():
        parser.error(f"--output must be a folder, got the file {arguments.output}")
    if arguments.begin_with and not (Path(arguments.begin_with) / "config.json").is_file():
        parser.error(f"--begin_with must be the folder of a supervised model, got {arguments.begin_with}")
    for name, content in (("dataset", ("data",)), ("benchmark", ("data", "vqvae", "evaluator", "evaluator_held_out"))):
        folder = getattr(arguments, name)
        if folder is not None and not all((Path(folder) / part).is_dir() for part in content):
            parser.error(f"--{name} must contain the folders {', '.join(content)}, got {folder}")
    return arguments


class Planner:
    """Stages of a study, each named after the hash of its settings and of what it reads."""

    def __init__(self, arguments: argparse.Namespace):
        self.folder = Path(arguments.output) / "stages"
        self.config = read_config(Path(arguments.config))
        self.config_dir = Path(arguments.config).parent
        begun = arguments.begin_with
        self.begun = None if begun is None else Made(Path(begun), content_key(Path(begun)))
        self.stages: dict[str, Stage] = {}

    def benchmark(self, dataset: str | None, run: str | None) -> Benchmark:
        """The data, codec and judges: those of a run, or stages that make them.

        Args:
            dataset: Dataset folder to make the codec and judges for, or None.
            run: Run folder that has all of them, or None.

        Returns:
            Their folders.
        """
        if run is not None:
            folders = (Path(run) / name for name in ("data", "vqvae", "evaluator", "evaluator_held_out"))
            return Benchmark(*(Made(folder, content_key(folder)) for folder in folders))
        data = Made(Path(dataset), content_key(Path(dataset))) if dataset else self._synthetic()
        vqvae = self._train("vqvae", {}, {"dataset": data}, seed=0)
        evaluator = self._train("evaluator", {"judges": "main"}, {"dataset": data}, seed=0)
        # The second judge's folder is a setting of its own in the script, so it is filled in once its name is known.
        held_out = self._train("evaluator", {"judges": "held_out"}, {"dataset": data}, seed=0)
        self.stages[held_out.stage].command += ["--held_out_output_dir", str(held_out.path)]
        return Benchmark(data, vqvae, evaluator, held_out)

    def arm(self, arm: Arm, benchmark: Benchmark, seed: int, steps: int) -> Made:
        """Train (and score) one arm with one seed.

        Args:
            arm: The arm.
            benchmark: What all arms share.
            seed: The seed.
            steps: Supervised steps.

        Returns:
            The folder of its scores.
        """
        data = self._with_thoughts(benchmark.data, arm.style) if arm.style else benchmark.data
        shared = {"dataset": benchmark.data, "vqvae": benchmark.vqvae}
        reads = shared | {"dataset": data}
        timed = arm.time_of and arm.tune is None
        begun = steps if arm.tune is None else max(2, round(arm.steps_share * self.config["sft"]["max_steps"]))
        if self.begun is not None and not arm.sft and not arm.style and arm.steps_share == 1 and not timed:
            model = self.begun
        else:
            model = self._train("sft", arm.sft | {"max_steps": begun}, reads, seed)
        if arm.tune is not None:
            model = self._tuned(arm, reads, model, seed, steps)
        if arm.grpo is not None:
            rewarded = reads | {"sft_model": model, "evaluator": benchmark.evaluator}
            model = self._train("grpo", arm.grpo, rewarded, seed, watched_by=benchmark.held_out)
        judges = {"evaluator": benchmark.evaluator, "held_out_evaluator": benchmark.held_out}
        vague = ["t2m_vague"] if "t2m" in arm.tasks and self._has_split(benchmark.data, "vague") else []
        hard = ["--hard"] if self._has_split(benchmark.data, "hard") else []
        words = ["--tasks", *arm.tasks, *vague, *hard, "--halves"]
        words += [word for k, v in (self.config["evaluate"] | arm.score).items() for word in (f"--{k}", str(v))]
        return self._command(
            "score", ["evaluate_unimo.run", *words], shared | judges | {"model": model}, "--output", seed
        )

    def _tuned(self, arm: Arm, reads: dict[str, Made], model: Made, seed: int, steps: int) -> Made:
        """The arm's model after a further supervised training, on its own answers where the arm says so."""
        assert arm.tune is not None
        settings = arm.tune | {"max_steps": steps}
        if model is self.begun:  # as that was, whatever the models learn that the study trains
            settings["position_gaps"] = as_taught(model.path).get("position_gaps", 0.0)
        reads = reads | {"base_model": model}
        if arm.sft.get("thoughts", True) is False:
            settings["thoughts"] = False
        if arm.answers is not None:
            source = "synthetic" if self._has_split(reads["dataset"], "hard") else "clauses"
            options = {
                "captions_from": source,
                "dtype": self.config["evaluate"].get("dtype", "float32"),
                **arm.answers,
            }
            words = [word for k, v in options.items() for word in (f"--{k}", str(v))]
            answering = {"model": model, "vqvae": reads["vqvae"], "dataset": reads["dataset"]}
            answers = self._command(
                "answers", ["train.supervised.own_answers", *words], answering, "--output", seed + OTHER_CAPTIONS
            )
            reads["added_rows"] = Made(answers.path / CHOSEN, answers.key, answers.stage)
            settings["added_copies"] = COPIES
        return self._train("tune", settings, reads, seed)

    def _with_thoughts(self, data: Made, style: str) -> Made:
        """The dataset with measured thoughts of another style."""
        words = ["datasets_scripts.annotate", "--style", style, "--overwrite_thoughts", "--quiet"]
        return self._command("data", words, {"dataset": data}, "--output", 0)

    def _has_split(self, data: Made, name: str) -> bool:
        """Whether a dataset has the split test_NAME; of one that is still to be made, as it will be built."""
        if data.stage:
            from datasets_scripts.build import make_parser

            return bool(self.config["data"].get(f"num_{name}", make_parser().get_default(f"num_{name}")))
        return any((data.path / "data").glob(f"test_{name}-*"))

    def _synthetic(self) -> Made:
        words = [word for k, v in self.config["data"].items() for word in (f"--{k}", str(v))]
        return self._command("data", ["datasets_scripts.build", "--source", "synthetic", *words], {}, "--output", 0)

    def _command(self, kind: str, words: list[str], reads: dict[str, Made], output: str, seed: int) -> Made:
        made = self._made(kind, {"words": words, "seed": seed}, reads)
        if made.stage not in self.stages:
            paths = [word for name, other in reads.items() for word in (f"--{name}", str(other.path))]
            command = [sys.executable, "-m", *words, *paths, output, str(made.path), "--seed", str(seed)]
            self.stages[made.stage] = Stage(made.stage, command, made.path, self._after(reads))
        return made

    def _train(
        self, kind: str, extra: dict[str, Any], reads: dict[str, Made], seed: int, watched_by: Made | None = None
    ) -> Made:
        settings = dict(self.config["sft" if kind == "tune" else kind])
        file, processes = self.config_dir / settings.pop("config"), settings.pop("processes", 1)
        if kind == "tune":
            kept = (*WATCHING, "position_gaps")  # a model goes on reading positions as it was taught
            settings = {name: value for name, value in settings.items() if name.startswith(kept)}
            file = TUNE
        # Of a recipe the steps between two logs have always counted: left out now, no earlier result would be found.
        recipe = {name: value for name, value in read_yaml(file).items() if not name.startswith("guard_")}
        # An arm that asks for what the recipe has is trained once with those that ask for nothing.
        known = recipe | settings
        settings |= {n: value for n, value in extra.items() if known.get(n) != value or n == "max_steps"}
        made = self._made(kind, {"file": recipe, "settings": without_watching(settings), "seed": seed}, reads)
        if made.stage not in self.stages:
            if watched_by:  # after the key: a judge that only watches changes nothing that is trained
                reads = reads | {"held_out_evaluator": watched_by}
            paths = {name: str(other.path) for name, other in reads.items()}
            settings = (
                paths | {"output_dir": str(made.path), "seed": str(seed), "use_cpu": not count_gpus()} | settings
            )
            after = self._after(reads)
            script = "sft" if kind == "tune" else kind
            self.stages[made.stage] = training_stage(made.stage, script, made.path, after, file, processes, settings)
        return made

    def _made(self, kind: str, content: dict[str, Any], reads: dict[str, Made]) -> Made:
        whole = {"kind": kind, **content, "reads": {name: other.key for name, other in reads.items()}}
        key = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]
        return Made(self.folder / f"{kind}-{key}", key, f"{kind}-{key}")

    @staticmethod
    def _after(reads: dict[str, Made]) -> tuple[str, ...]:
        return tuple(other.stage for other in reads.values() if other.stage)


def chosen_arms(study: Study, names: Sequence[str] | None) -> list[Arm]:
    """The arms asked for, with the baseline and what they take their time from.

    Args:
        study: The study.
        names: Names of the arms; None for all.

    Returns:
        The arms, in the study's order.

    Raises:
        SystemExit: an arm that the study does not have.
    """
    known = {arm.name: arm for arm in study.arms}
    strange = sorted(set(names or ()) - known.keys())
    if strange:
        raise SystemExit(f"error: --arms must be of {', '.join(map(repr, known))}, got {strange[0]!r}")
    wanted = {study.baseline, *(names or known)}
    for arm in study.arms:
        if arm.name in wanted and arm.time_of:
            wanted |= {arm.time_of, arm.time_from}
    return [arm for arm in study.arms if arm.name in wanted]


def steps_of(arm: Arm, budget: int) -> int:
    """Supervised steps of an arm, or where it is trained further those of that training.

    Args:
        arm: The arm.
        budget: Supervised steps of a whole training.

    Returns:
        Number of steps.
    """
    return max(2, round(arm.steps_share * budget)) if arm.tune is None else read_yaml(TUNE)["max_steps"]


def plan_study(
    planner: Planner, arms: Sequence[Arm], benchmark: Benchmark, seeds: int, steps: dict[str, int]
) -> dict[tuple[str, int], Made]:
    """Plan the stages of a study.

    Args:
        planner: Takes the stages.
        arms: The arms.
        benchmark: What all arms share.
        seeds: Number of seeds.
        steps: Supervised steps of every arm that can be planned.

    Returns:
        The folders of scores by arm and seed.
    """
    return {
        (arm.name, seed): planner.arm(arm, benchmark, seed, steps[arm.name])
        for seed in range(seeds)  # seed by seed: a study that is cut short has whole pairs
        for arm in arms
        if arm.name in steps
    }


def sampling_time(planner: Planner, score: Made) -> float:
    """Seconds that sampling took of the answers that the training behind a folder of scores learned from, or 0.

    On CPU the processor's, divided by the processes of that training, whose seconds are of each process.

    Args:
        planner: Knows the stages.
        score: The folder of scores.

    Returns:
        Seconds.
    """
    tune = _trained_by(planner, score)
    answers = [planner.stages[name] for name in tune.after if name.startswith("answers")]
    if not answers:
        return 0.0
    counts = json.loads((answers[0].folder / COUNTS).read_text(encoding="utf-8"))
    return counts["seconds"] if count_gpus() else counts["cpu_seconds"] / tune.processes


def _trained_by(planner: Planner, score: Made) -> Stage:
    """The last supervised training behind a folder of scores."""
    stage = planner.stages[score.stage]
    return next(planner.stages[name] for name in stage.after if name.startswith(("sft", "tune")))


def training_time(planner: Planner, score: Made) -> tuple[float, int, int]:
    """Seconds of the supervised training behind a folder of scores, the steps made in them, and all of its steps.

    Where a model was trained further, that training's.

    A training that was killed and resumed knows the time of its last piece alone. Loading and saving are left out. On
    CPU seconds are the processor's: the clock also counts whatever else the machine does during one arm or the other.

    Args:
        planner: Knows the stages.
        score: The folder of scores.

    Returns:
        Seconds, the steps made in them, and all steps.
    """
    sft = _trained_by(planner, score)
    summary = json.loads((sft.folder / "training_summary.json").read_text(encoding="utf-8"))
    steps = summary["steps"]
    timed = summary.get("train_steps_timed", steps)  # earlier versions kept no such number
    if not timed:  # killed as it ended: the seconds of its last piece are of no step
        return 0.0, 0, steps
    return summary["train_runtime" if count_gpus() else "train_cpu_seconds_per_process"], timed, steps


def equal_time_steps(planner: Planner, arm: Arm, planned: dict[tuple[str, int], Made], seeds: int, steps: int) -> int:
    """Supervised steps that take `arm` as long as `arm.time_of` took, by the times of a step of all seeds.

    Args:
        planner: Knows the stages.
        arm: The arm.
        planned: The folders of scores by arm and seed.
        seeds: Number of seeds.
        steps: Supervised steps of the arm compared with.

    Returns:
        Number of steps.

    Raises:
        SystemExit: the time of no step of an arm is known.
    """

    def seconds_of(name: str) -> float:
        times = [training_time(planner, planned[name, seed]) for seed in range(seeds)]
        seconds, timed, made = (sum(column) for column in zip(*times, strict=True))
        if not timed:
            raise SystemExit(
                f"error: the training time of arm {name!r} is unknown, because it was killed at its end with every "
                "seed; delete the stages behind it to train it again"
            )
        sampling = sum(sampling_time(planner, planned[name, seed]) for seed in range(seeds))
        return seconds * (made / timed) + sampling

    return max(2, round(steps * seconds_of(arm.time_of) / seconds_of(arm.time_from)))


def guard_warnings(planner: Planner, planned: dict[tuple[str, int], Made]) -> list[dict[str, Any]]:
    """What guards warned of in the trainings behind the scores: a row for each guard, training and arms that share it.

    Args:
        planner: Knows the stages.
        planned: The folders of scores by arm and seed.

    Returns:
        Rows with "arms", "stage", "guard", "said" and, for each seed it warned of, "seeds": first step, bad readings,
        readings. A training without guards, or of a version that left none of their warnings, has an empty "guard" and
        nothing for a seed.
    """
    arms: dict[tuple[str, int], list[str]] = {}
    for (arm, seed), score in planned.items():
        after = list(planner.stages[score.stage].after)
        while after:
            name = after.pop()
            if name.startswith(("sft", "tune", "grpo")):
                arms.setdefault((name, seed), []).append(arm)
                after += planner.stages[name].after
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for (name, seed), of_arms in arms.items():
        file, stage = planner.stages[name].folder / "guards.json", name.split("-")[0]
        left = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        warnings = [] if left is None else left["warnings"]
        if left is None or not left["watched"]:
            said = "not watched" if left else "trained by a version that did not keep warnings"
            warnings = [{"guard": "", "said": said}]
        else:
            warnings = warnings + left.get("seldom", [])
        for warning in warnings:
            row = {"arms": of_arms, "stage": stage, "guard": warning["guard"], "said": warning["said"], "seeds": {}}
            row = found.setdefault((*of_arms, stage, warning["guard"]), row)
            row["seeds"][seed] = {k: warning[k] for k in ("first_step", "bad", "readings") if k in warning}
    return list(found.values())


def stages_by_version(planner: Planner) -> dict[str, int]:
    """Number of stages by version of code and libraries; arms of different versions are less comparable.

    Args:
        planner: Knows the stages.

    Returns:
        Number of stages by version.
    """
    records = (stage.record.get("versions") for stage in planner.stages.values())
    named = (" ".join(f"{k} {v}" for k, v in found.items()) if found else "not recorded" for found in records)
    return dict(Counter(named))


def announce(planner: Planner) -> None:
    """Print what is left to run and roughly how long it takes on two CPU cores.

    Args:
        planner: Knows the stages.
    """
    left = [stage for stage in planner.stages.values() if not (stage.folder / DONE).is_file()]
    seconds = 0.0
    for stage in left:
        kind = stage.name.split("-")[0]
        if kind in _SECONDS_A_STEP:
            steps = int(stage.command[stage.command.index("--max_steps") + 1])
            seconds += 30 + steps * _SECONDS_A_STEP[kind]
        else:
            seconds += {"data": _SECONDS_DATA, "answers": _SECONDS_ANSWERS}.get(kind, _SECONDS_SCORING)
    shared = len(planner.stages) - len(left)
    print(
        f"{len(left)} stages to run, {shared} already there; about {seconds / 60:.0f} min on two CPU cores", flush=True
    )


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    planner = Planner(arguments)
    sft, grpo = (
        read_yaml(planner.config_dir / planner.config[stage]["config"]) | planner.config[stage]
        for stage in ("sft", "grpo")
    )
    study = studies(sft.get("t2m_only_fraction", 0.5), sft.get("t2m_share", 0.5), grpo.get("rewards", ""))[
        arguments.study
    ]
    arms = chosen_arms(study, arguments.arms)
    try:
        benchmark = planner.benchmark(arguments.dataset, arguments.benchmark)
    except FileNotFoundError as error:
        raise SystemExit(f"error: {error}") from error
    steps = {arm.name: steps_of(arm, sft["max_steps"]) for arm in arms if not arm.time_of}

    print(f"{study.question}  {arguments.seeds} seeds, arms: {', '.join(arm.name for arm in arms)}", flush=True)
    planned = plan_study(planner, arms, benchmark, arguments.seeds, steps)
    announce(planner)
    timed = [arm.name for arm in arms if arm.time_of]
    if timed:
        print(f"and then, once the times are known: {', '.join(timed)}", flush=True)
    if arguments.dry_run:
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = Path(arguments.output)
    check_run_folder(run, list(planner.stages.values()))
    try:
        with locked(run, LOCK_SECONDS):
            run_stages(list(planner.stages.values()), run)
            if timed:
                for arm in arms:
                    if arm.time_of:
                        whole = steps[arm.time_from]
                        steps[arm.name] = equal_time_steps(planner, arm, planned, arguments.seeds, whole)
                planned = plan_study(planner, arms, benchmark, arguments.seeds, steps)
                finished(list(planner.stages.values()))
                run_stages(list(planner.stages.values()), run)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; run the same command to resume") from None

    results = {
        arm.name: [scores(planned[arm.name, seed].path / "results.json") for seed in range(arguments.seeds)]
        for arm in arms
    }
    made = stages_by_version(planner)
    if len(made) > 1:
        print(f"note: the stages were made by {len(made)} versions of the code or of libraries, see the results")
    about = {
        "study": arguments.study,
        "question": study.question,
        "seeds": arguments.seeds,
        "supervised_steps": steps,
        "dataset": content_key(benchmark.data.path),
        "vqvae": content_key(benchmark.vqvae.path),
        "evaluator": content_key(benchmark.evaluator.path),
        "held_out_evaluator": content_key(benchmark.held_out.path),
        "stages_by_version": made,
    }
    warnings = guard_warnings(planner, planned)
    of_arms = {}
    if all("candidates" in arm.score for arm in arms):  # quality is drawn over time where each arm says how many
        of_arms = {
            arm.name: answering_seconds([planned[arm.name, s].path / "results.json" for s in range(arguments.seeds)])
            for arm in arms
        }
    written = write_results(run / arguments.study, about, study.baseline, results, warnings, of_arms)
    print((run / arguments.study / "results.md").read_text(encoding="utf-8"))
    print("written: " + ", ".join(map(str, written)))


if __name__ == "__main__":
    main()
