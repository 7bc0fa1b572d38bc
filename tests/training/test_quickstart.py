"""The quickstart as a conductor: its plan, its settings, and stages that finish, fail, are killed and go on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from tiny_data import dataset_folder
from waiting import wait_until

from evaluate_unimo import run as run_parser
from train import quickstart
from train.engine.processes import MemoryWatch
from train.quickstart import (
    CONFIGS,
    DONE,
    STAGE_KEYS,
    WALL,
    Stage,
    finish,
    gather_metrics,
    headline,
    parse,
    plan,
    read_config,
    run_stages,
    wall_seconds,
)

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = {
    "data": {"num_train": 7, "attribute_pools": 1},
    "vqvae": {"config": "stage.yaml", "max_steps": 30},
    "evaluator": {"config": "stage.yaml", "max_steps": 20, "learning_rate": 0.5},
    "sft": {"config": "stage.yaml", "max_steps": 90, "processes": 2},
    "grpo": {"config": "stage.yaml", "max_steps": 3, "processes": 2},
    "evaluate": {"repeats": 3},
}


@pytest.fixture
def config_file(tmp_path):
    (tmp_path / "stage.yaml").write_text("{}")
    path = tmp_path / "quickstart.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def planned(config_file, *more: str) -> dict[str, Stage]:
    arguments = parse(["--config", str(config_file), "--output", "out", *more])
    return {stage.name: stage for stage in plan(arguments, read_config(config_file))}


def option(stage: Stage, name: str) -> str:
    return stage.command[stage.command.index(f"--{name}") + 1]


# -------------------------------------------------------------------------------------------------------------- plan


def test_stages_in_order_with_what_they_read(config_file):
    stages = planned(config_file)
    assert list(stages) == [
        "data", "vqvae", "evaluator", "evaluator_held_out", "sft", "grpo", "evaluate_sft", "evaluate_grpo",
        "evaluate_candidates", "samples",
    ]  # fmt: skip
    assert len({stage.folder for stage in stages.values()}) == len(stages)
    seen = set()
    for stage in stages.values():
        assert set(stage.after) <= seen  # nothing waits for what comes later
        seen.add(stage.name)
        if stage.training:
            assert Path(option(stage, "output_dir")) == stage.folder
            assert stage.command[stage.command.index("--config") + 1] == str(config_file.parent / "stage.yaml")
    assert option(stages["grpo"], "evaluator") == str(stages["evaluator"].folder)
    assert option(stages["grpo"], "unimo_output_dir") == "out/unimo"
    # Which watches, and never rewards.
    assert option(stages["grpo"], "held_out_evaluator") == str(stages["evaluator_held_out"].folder)
    for name in ("sft", "grpo"):
        judge = option(stages[f"evaluate_{name}"], "held_out_evaluator")
        assert judge == option(stages["evaluator_held_out"], "held_out_output_dir")
        assert judge == str(stages["evaluator_held_out"].folder)
        assert option(stages[f"evaluate_{name}"], "model") == str(stages[name].folder)


def test_other_ways_to_answer_are_scored_once(config_file, tmp_path):
    best = planned(config_file)["evaluate_candidates"]
    assert option(best, "candidates") == "8" and "--hard" not in best.command
    parsed = run_parser.parse([str(tmp_path) if word.startswith("out/") else word for word in best.command[3:]])
    assert parsed.tasks == ["t2m_hard"] and parsed.repeats == 1 and parsed.free == 0
    own = planned(config_file, "--source", "joints", "--data_dir", str(tmp_path))["evaluate_candidates"]
    assert own.command[-2:] == ["--tasks", "t2m"]
    (config_file.parent / "stage.yaml").write_text("no_thought_share: 0.2")
    plain = planned(config_file)["evaluate_plain"]
    assert option(plain, "think") == "false" and option(plain, "model") == option(best, "model")


def test_budgets_reach_their_commands(config_file):
    stages = planned(config_file, "--seed", "5")
    assert option(stages["data"], "num_train") == "7" and option(stages["evaluate_sft"], "repeats") == "3"
    assert (
        option(stages["evaluator"], "learning_rate") == option(stages["evaluator_held_out"], "learning_rate") == "0.5"
    )
    assert {option(stage, "seed") for stage in stages.values()} == {"5"}
    assert [option(stages[name], "max_steps") for name in ("vqvae", "evaluator", "sft", "grpo")] == [
        "30",
        "20",
        "90",
        "3",
    ]


def test_how_files_are_read_is_handed_to_the_build(config_file, tmp_path):
    options = ["--source", "joints", "--data_dir", str(tmp_path), "--fps", "30", "--up=-y"]
    command = planned(config_file, *options)["data"].command
    assert command[-2:] == ["--fps=30", "--up=-y"]


@pytest.mark.parametrize(
    "minutes, steps", [("30", ["60", "180", "6"]), ("5", ["10", "30", "2"]), ("0.1", ["2", "2", "2"])]
)
def test_minutes_scale_the_training_alone(config_file, minutes, steps, tmp_path):
    """Where no run is recorded beside the recipe, 15 minutes stand for its own steps."""
    arguments = parse(["--config", str(config_file), "--output", "out", "--minutes", minutes])
    scale, words = quickstart.choose_scale(arguments, read_config(config_file), tmp_path / "run")
    assert "no forecast" in words
    stages = {stage.name: stage for stage in plan(arguments, read_config(config_file), scale)}
    assert [option(stages[name], "max_steps") for name in ("vqvae", "sft", "grpo")] == steps
    assert stages["data"].command == planned(config_file)["data"].command


def test_processes(config_file, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    stages = planned(config_file)
    assert (stages["sft"].processes, option(stages["sft"], "num_processes")) == (2, "2")
    assert stages["vqvae"].processes == 1 and "accelerate.commands.launch" not in stages["vqvae"].command
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    alone = planned(config_file)
    assert alone["sft"].processes == 1 and "accelerate.commands.launch" not in alone["sft"].command


def test_a_step_learns_from_as_many_examples_in_fewer_processes(config_file, monkeypatch):
    (config_file.parent / "stage.yaml").write_text("gradient_accumulation_steps: 3")
    for gpus, accumulated in ((1, "6"), (2, None), (4, None)):
        monkeypatch.setattr(quickstart, "count_gpus", lambda gpus=gpus: gpus)
        command = planned(config_file)["sft"].command
        found = command[command.index("--gradient_accumulation_steps") + 1] if accumulated else None
        assert found == accumulated and ("--gradient_accumulation_steps" in command) == bool(accumulated)


def test_real_data(config_file, tmp_path):
    stages = planned(config_file, "--source", "bvh", "--data_dir", str(tmp_path))
    command = stages["data"].command
    assert command[command.index("--source") + 1] == "bvh" and "--num_train" not in command
    assert command[command.index("--data_dir") + 1] == str(tmp_path)
    assert "--annotator" not in command  # the build writes thoughts wherever it can: not for KIT-ML's skeleton
    assert "--hard" not in stages["evaluate_sft"].command  # such splits are the generator's
    assert "--hard" in planned(config_file)["evaluate_sft"].command


def test_every_option_is_one_of_its_command(config_file, tmp_path):
    """Nothing that the plan writes is refused by what it starts."""
    from transformers import TrainingArguments
    from trl import GRPOConfig, SFTConfig

    from datasets_scripts.build import make_parser
    from evaluate_unimo import run
    from train import evaluator, grpo, sft, vqvae
    from train.engine.arguments import known_keys
    from train.guards.arguments import GuardArguments

    stages = planned(config_file)
    classes = {
        "vqvae": (vqvae.VQVAEArguments, TrainingArguments),
        "evaluator": (evaluator.EvaluatorArguments, TrainingArguments),
        "evaluator_held_out": (evaluator.EvaluatorArguments, TrainingArguments),
        "sft": (sft.SFTArguments, SFTConfig),
        "grpo": (grpo.GRPOArguments, GuardArguments, GRPOConfig),
    }
    for name, dataclasses in classes.items():
        words = stages[name].command[stages[name].command.index("--config") + 2 :]
        assert {word[2:] for word in words[::2]} <= known_keys(dataclasses), name
    make_parser().parse_args(stages["data"].command[3:])
    words = [str(tmp_path) if word.startswith("out/") else word for word in stages["evaluate_grpo"].command[3:]]
    run.parse(words)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--source", "joints"], "--data_dir applies to --source joints, bvh or humanml3d"),
        (["--source", "humanml3d"], "--data_dir applies to"),
        (["--data_dir", "."], "--data_dir applies to"),
        (["--source", "synthetic", "--data_dir", "."], "--data_dir applies to"),
        (["--source", "bvh", "--data_dir", "/nowhere"], "--data_dir /nowhere: no such folder"),
        (["--source", "video"], "invalid choice: 'video'"),
        (["--fps", "30"], "--fps does not apply to --source synthetic"),
        (["--minutes", "0"], "got 0.0"),
        (["--minutes", "nan"], "got nan"),
        (["--minutes", "ten"], "invalid float value"),
        (["--seed", "x"], "invalid int value"),
        (["--budget", "x"], "unrecognized arguments"),
    ],
)
def test_a_command_line_that_cannot_be_meant(words, message, capsys):
    with pytest.raises(SystemExit) as raised:
        parse(words)
    assert raised.value.code == 2 and message in capsys.readouterr().err


def changed(**sections) -> str:
    return yaml.safe_dump({**CONFIG, **sections})


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "no config file at"),
        ("", "must have just the keys data, vqvae, evaluator, sft, grpo, evaluate"),
        ("data: [", "is not valid YAML"),
        (changed(rlhf={}), "must have just the keys"),
        (yaml.safe_dump({key: CONFIG[key] for key in STAGE_KEYS[:-1]}), "must have just the keys"),
        (changed(data=None), "data in .* must be a mapping"),
        (changed(sft=3), "sft in .* must be a mapping"),
        (changed(sft={"max_steps": 3}), "sft in .*: config is None; it must name a YAML file"),
        (changed(sft={"config": "none.yaml", "max_steps": 3}), "config is 'none.yaml'"),
        (changed(sft={"config": "stage.yaml"}), "max_steps is None; it must be a positive whole number"),
        (changed(sft={"config": "stage.yaml", "max_steps": 0}), "max_steps is 0"),
        (changed(sft={"config": "stage.yaml", "max_steps": 2.5}), "max_steps is 2.5"),
        (changed(sft={"config": "stage.yaml", "max_steps": 3, "processes": 0}), "processes is 0"),
        (changed(sft={"config": "stage.yaml", "max_steps": 3, "processes": True}), "processes is True"),
    ],
)
def test_budgets_that_cannot_be_read(config_file, text, message):
    config_file.unlink() if text is None else config_file.write_text(text)
    with pytest.raises(SystemExit, match=message):
        read_config(config_file)


# ------------------------------------------------------------------------------------------------------ running stages


def stub(run: Path, name: str, source: str = "", after: tuple[str, ...] = (), processes: int = 1) -> Stage:
    """A stage that notes when it began and ended, with `source` in between."""
    began = f"import time; log = open({str(run.parent / 'order')!r}, 'a'); print('began {name}', file=log, flush=True)"
    body = f"{began}\n{source}\nprint('ended {name}', file=log, flush=True)"
    return Stage(name, [sys.executable, "-c", body], run / name, after, processes)


LASTING = "import os; print(os.getpid(), flush=True); time.sleep(60)"


def until(condition: str) -> str:
    """Source that waits for an expression over `Path`, a minute at most: no stage counts on another's speed."""
    return f"from pathlib import Path\nfor _ in range(600):\n    if {condition}: break\n    time.sleep(0.1)\n"


def until_logged(run: Path, name: str) -> str:
    """Source that waits for the first line of another stage's log."""
    log = str(run / "logs" / f"{name}.log")
    return until(f"Path({log!r}).is_file() and Path({log!r}).read_text().endswith(chr(10))")


def order(run: Path) -> list[str]:
    return (run.parent / "order").read_text().splitlines()


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def test_stages_wait_for_what_they_read_and_leave_a_record(run, capsys):
    both = until(f"{{'began b', 'began c'}} <= set(Path({str(run.parent / 'order')!r}).read_text().splitlines())")
    stages = [
        stub(run, "a", "print('hello')"),
        stub(run, "b", both, ("a",)),
        stub(run, "c", both, ("a",)),
        stub(run, "d", "", ("b", "c")),
    ]
    run_stages(stages, run)
    seen = order(run)
    assert seen[:2] == ["began a", "ended a"] and seen[-2:] == ["began d", "ended d"]
    assert set(seen[2:4]) == {"began b", "began c"}  # side by side
    for stage in stages:
        record = json.loads((stage.folder / DONE).read_text())
        assert record == stage.record and record["command"] == stage.command and record["seconds"] >= 0
        assert not list(stage.folder.glob("*.part"))
    assert (run / "logs" / "a.log").read_text() == "hello\n"
    assert re.search(r"a: done in \d+ s", capsys.readouterr().out)


def test_no_more_than_two_processes_at_a_time(run):
    stages = [stub(run, "wide", "time.sleep(0.4)", processes=2), stub(run, "b", "time.sleep(0.2)"), stub(run, "c")]
    run_stages(stages, run)
    seen = order(run)
    assert seen.index("ended wide") == seen.index("began wide") + 1  # alone, for it takes both


def test_stages_get_one_thread_each_and_find_the_package(run):
    source = "import os, train.quickstart; print(os.environ['OMP_NUM_THREADS'], os.environ['TOKENIZERS_PARALLELISM'])"
    run_stages([stub(run, "a", source)], run)
    assert (run / "logs" / "a.log").read_text() == "1 false\n"


def test_what_is_finished_is_not_run_again(run, capsys):
    def stages():
        return [stub(run, "a"), stub(run, "b", after=("a",))]

    run_stages(stages(), run)
    again = stages()
    run_stages(again, run)
    assert order(run) == ["began a", "ended a", "began b", "ended b"]
    assert again[1].record["seconds"] >= 0 and "b: already there" in capsys.readouterr().out
    (run / "b" / DONE).unlink()  # was under way when the run was killed
    (run / WALL).write_text('{"seconds": 500.0}')
    third = stages()
    run_stages(third, run)
    assert order(run)[4:] == ["began b", "ended b"]
    assert wall_seconds(run) >= 500  # the time of the runs before counts


def test_other_settings_are_refused(run):
    run_stages([stub(run, "a")], run)
    with pytest.raises(SystemExit, match="a was made with other settings; name another --output or delete the folder"):
        run_stages([stub(run, "a", "print(1)")], run)
    changed = stub(run, "a")
    changed.settings = {"learning_rate": 0.5}  # the same command, whose YAML file was edited
    with pytest.raises(SystemExit, match="a was made with other settings"):
        run_stages([changed], run)
    assert order(run) == ["began a", "ended a"]


def test_a_finished_stage_may_move_to_another_checkout(run, capsys):
    run_stages([stub(run, "a")], run)
    done = run / "a" / DONE
    record = json.loads(done.read_text())
    moved = ["/elsewhere/bin/python", *record["command"][1:], "--config", "/elsewhere/train/configs/a.yaml"]
    done.write_text(json.dumps(record | {"command": moved, "code": "/elsewhere/train"}))
    here = stub(run, "a")
    here.command += ["--config", str(CONFIGS / "a.yaml")]
    run_stages([here], run)
    assert "a: already there" in capsys.readouterr().out
    here.command[-1] = str(CONFIGS / "b.yaml")
    with pytest.raises(SystemExit, match="a was made with other settings"):
        run_stages([here], run)


def test_a_finished_stage_may_be_watched_otherwise(run, capsys):
    run_stages([stub(run, "a")], run)
    changed = stub(run, "a")
    changed.command += ["--guard_stops", "", "--logging_steps", "2"]
    changed.settings = {"guard_every": 2, "logging_steps": 2}
    run_stages([changed], run)
    assert "a: already there" in capsys.readouterr().out
    changed.command += ["--guard_every", "3", "--beta", "0.1"]
    with pytest.raises(SystemExit, match="a was made with other settings"):
        run_stages([changed], run)


def test_a_stage_made_from_one_that_is_gone_is_refused(run):
    stages = [stub(run, "a"), stub(run, "b", after=("a",))]
    run_stages(stages, run)
    (run / "a" / DONE).unlink()
    with pytest.raises(SystemExit, match="b was made from an earlier a, which has to run again; delete it too"):
        run_stages(stages, run)


def test_a_folder_with_something_else_is_left_alone(run):
    run.mkdir()
    (run / "thesis.txt").write_text("three years")
    with pytest.raises(SystemExit, match=r"holds something else \(thesis.txt\); name another"):
        run_stages([stub(run, "a")], run)
    assert [path.name for path in run.iterdir()] == ["thesis.txt"]
    with pytest.raises(SystemExit, match="is a file; name a folder"):
        run_stages([stub(run / "thesis.txt", "a")], run / "thesis.txt")


def test_a_failing_stage_shows_its_log_and_stops_the_others(run):
    # The one that goes on has a child of its own, as launchers have.
    child = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    lasting = f"{child}; print(p.pid, flush=True); time.sleep(60)"
    failing = until_logged(run, "lasting") + "[print('line', i) for i in range(50)]\nraise ValueError('no luck')"
    stages = [stub(run, "lasting", lasting), stub(run, "failing", failing), stub(run, "late", after=("failing",))]
    with pytest.raises(SystemExit) as raised:
        run_stages(stages, run)
    message = str(raised.value)
    assert "ValueError: no luck" in message and "error: stage failing failed (exit 1)" in message
    assert str(run / "logs" / "failing.log") in message and "line 49" in message and "line 3\n" not in message
    assert "ended lasting" not in order(run) and "began late" not in order(run)
    assert not psutil.pid_exists(int((run / "logs" / "lasting.log").read_text()))
    assert not list(run.glob(f"*/{DONE}"))  # nothing half-done is left looking whole
    run_stages([stub(run, "failing"), stub(run, "late", after=("failing",))], run)
    assert "ended late" in order(run)


def test_two_failures_at_once_are_one_failure(run):
    both = until(f"len(Path({str(run.parent / 'order')!r}).read_text().splitlines()) == 2")
    stages = [stub(run, name, f"{both}raise SystemExit(3)") for name in "ab"]
    with pytest.raises(SystemExit, match=r"stage [ab] failed \(exit 3\)"):
        run_stages(stages, run)


def test_a_stage_that_does_not_listen_is_killed(run):
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LASTING}"
    failing = until_logged(run, "deaf") + "raise SystemExit(1)"
    with pytest.raises(SystemExit, match="stage failing failed"):
        run_stages([stub(run, "deaf", deaf), stub(run, "failing", failing)], run)
    assert not psutil.pid_exists(int((run / "logs" / "deaf.log").read_text()))


STARTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C and hands that on
sys.path[:0] = {paths!r}
from pathlib import Path
from train import quickstart
from test_quickstart import stub
run = Path({run!r})
quickstart.choose_scale = lambda *_: (1.0, "no forecast")
quickstart.plan = lambda *_: [stub(run, "a", {source!r})]
quickstart.main(["--output", str(run), "--config", {config!r}])
"""


def started(run: Path, config: Path) -> subprocess.Popen:
    """A quickstart of one stage that lasts, once that stage runs."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    source = STARTED.format(paths=paths, run=str(run), source=LASTING, config=str(config))
    process = subprocess.Popen([sys.executable, "-c", source], cwd=REPOSITORY)
    log = run / "logs" / "a.log"
    try:
        wait_until(lambda: process.poll() is not None or (log.is_file() and log.read_text().endswith("\n")), "a stage")
        assert process.poll() is None
    except BaseException:
        process.kill()
        raise
    return process


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_ending_the_quickstart_ends_its_stages(run, config_file, ending):
    process = started(run, config_file)
    process.send_signal(ending)
    assert process.wait(timeout=60) != 0
    assert not psutil.pid_exists(int((run / "logs" / "a.log").read_text()))
    assert not (run / "a" / DONE).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel for a signal")
def test_a_killed_quickstart_takes_its_stages_with_it(run, config_file):
    process = started(run, config_file)
    stage = psutil.Process(int((run / "logs" / "a.log").read_text()))
    process.kill()
    process.wait(60)
    assert psutil.wait_procs([stage], timeout=60)[1] == []


def test_one_quickstart_at_a_time_works_in_a_folder(run, config_file, monkeypatch):
    monkeypatch.setattr("train.quickstart.LOCK_SECONDS", 0.1)
    process = started(run, config_file)
    try:
        with pytest.raises(SystemExit, match="another process works in"):
            quickstart.main(["--output", str(run), "--config", str(config_file)])
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("ran, expected", [(2, None), (1, "a ran 1 processes, not 2")])
def test_a_training_stage_must_have_run_all_its_processes(run, ran, expected):
    stage = stub(run, "a", "", processes=2)
    stage.training = True
    stage.folder.mkdir(parents=True)
    (stage.folder / "training_summary.json").write_text(json.dumps({"processes": ran}))
    if expected is None:
        run_stages([stage], run)
    else:
        with pytest.raises(SystemExit, match=expected):
            run_stages([stage], run)
    assert (stage.folder / DONE).is_file() == (expected is None)


# ------------------------------------------------------------------------------------------------- memory and figures


def test_memory_of_a_whole_process_tree():
    inner = "import sys; x = bytearray(120_000_000); sys.stdin.read()"
    source = f"import subprocess, sys; y = bytearray(60_000_000); subprocess.run([sys.executable, '-c', {inner!r}])"
    process = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE)
    watch = MemoryWatch(process.pid)
    watch.start()
    for _ in range(600):  # both are there until their input ends
        if watch.peak_mb > 180e6 / 2**20:
            break
        time.sleep(0.1)
    process.communicate()
    assert 180e6 / 2**20 < watch.peak_mb < 260
    watch.join(timeout=5)
    assert not watch.is_alive()  # it ends with what it watches


@pytest.mark.parametrize("splits", [{"train": 1}, {"train": 2, "test": 1}, {"validation": 1, "test": 1}])
def test_data_without_one_of_the_splits_is_refused_before_training(run, splits):
    data = Stage("data", [], dataset_folder(run / "data", **splits))
    lacking = ", ".join(name for name in ("train", "validation", "test") if name not in splits)
    with pytest.raises(SystemExit, match=f"and none in {lacking}: the quickstart trains on one split"):
        finish(data, 0, run / "log", 1.0, 1.0)
    assert not (data.folder / DONE).exists()


def test_headline(run):
    stage = Stage("vqvae", [], run, training=True)
    run.mkdir()
    (run / "curves.json").write_text(json.dumps([{"loss": 0.5, "step": 1}, {"loss": 0.25}, {"eval_mpjpe_mm": 12.0}]))
    assert headline(stage) == "  mpjpe_mm 12.000, loss 0.250"
    stage.training = False
    assert headline(stage) == ""


def evaluation(level: float) -> dict:
    scores = {"r_precision_top1": {"mean": level, "ci95": 0.1}, "fid": {"mean": 1.0, "ci95": 0.1}, "n": 9}
    t2m = {"real": scores, "generated": {**scores, "valid": {"mean": 1.0, "ci95": 0.0}, "held_out": scores}}
    return {
        "t2m": t2m,
        "t2m_hard": t2m,
        "m2t": {"bleu1": {"mean": level, "ci95": 0.0}},
        "generation": {"temperature": 0.7},
        "protocol": {"evaluator": "x"},
    }


def test_metrics_are_gathered_from_the_stages(run, config_file):
    for name, level in {"sft": 0.5, "grpo": 0.75, "candidates": 0.9}.items():
        (run / f"evaluation_{name}").mkdir(parents=True)
        (run / f"evaluation_{name}" / "results.json").write_text(json.dumps(evaluation(level)))
    best = {task: scores for task, scores in evaluation(0.9).items() if task != "m2t"}
    (run / "evaluation_candidates" / "results.json").write_text(json.dumps(best))
    (run / "samples").mkdir()
    (run / "samples" / "reconstruction.json").write_text('{"mpjpe_mm": 9.0}')
    stages = list(planned(config_file).values())
    for stage in stages:
        stage.record = {"seconds": 10.0, "peak_memory_mb": 100}
    (run / WALL).write_text('{"seconds": 70.0}')
    metrics = gather_metrics(stages, run, 3)
    assert metrics["seconds"]["total"] == 70.0 and metrics["seconds"]["vqvae"] == 10.0
    assert metrics["memory_mb"]["sft"] == 100 and metrics["peak_memory_mb"] == 200  # two stages side by side
    assert metrics["vqvae"] == {"mpjpe_mm": 9.0} and metrics["seed"] == 3
    assert [metrics["t2m"][side]["r_precision_top1"]["mean"] for side in ("real", "sft", "grpo")] == [0.75, 0.5, 0.75]
    assert metrics["evaluator"] == {"r_precision_top1": {"mean": 0.75, "ci95": 0.1}}
    assert metrics["t2m"]["grpo_best_of_8"]["r_precision_top1"]["mean"] == 0.9 and set(metrics["m2t"]) == {
        "sft",
        "grpo",
    }
    assert set(metrics["t2m_hard"]) == {"real", "sft", "grpo", "grpo_best_of_8"} and "t2m_attributes" not in metrics
    assert metrics["m2t"]["grpo"]["bleu1"]["mean"] == 0.75 and metrics["generation"] == {"temperature": 0.7}


def test_the_report_is_not_imported_before_it_is_needed():
    """The conductor stays small: what it imports counts against the memory and start of every run."""
    source = (
        "import sys, train.quickstart; print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "[]"
    assert quickstart.CONFIGS.is_dir()
