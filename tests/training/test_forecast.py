"""train/engine/forecast.py: what a run will take here, and the steps that fit a given time."""

import json
import subprocess

import pytest
import yaml

from train import quickstart
from train.engine import forecast
from train.quickstart import CONFIGS

TRAINED = {"seconds": 110.0, "train_seconds": 100.0, "steps": 50}
TIMING = {
    "probe_step_seconds": 0.5,
    "stages": {
        **dict.fromkeys(("data", "evaluate_sft", "evaluate_grpo", "samples"), {"seconds": 30.0}),
        **dict.fromkeys(("vqvae", "evaluator", "evaluator_held_out", "sft", "grpo"), TRAINED),
    },
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    (tmp_path / "stage.yaml").write_text("{}")
    trained = {"config": "stage.yaml", "max_steps": 50}
    config = {"data": {}, "vqvae": trained, "evaluator": trained, "sft": trained, "grpo": trained, "evaluate": {}}
    (tmp_path / "quickstart.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "timing.json").write_text(json.dumps(TIMING))
    monkeypatch.setattr(quickstart, "count_gpus", lambda: 0)
    monkeypatch.setattr(forecast, "probe_step_seconds", lambda processes: 1.0)  # half as fast as the recorded run
    return tmp_path


def chosen(recipe, *options: str):
    arguments = quickstart.parse(["--config", str(recipe / "quickstart.yaml"), *options])
    config = quickstart.read_config(recipe / "quickstart.yaml")
    return (*quickstart.choose_scale(arguments, config, recipe / "run"), arguments, config)


def test_the_longest_path_on_a_slower_machine(recipe):
    # data, two judges one after the other, sft, grpo, evaluation, samples: 30 + 4 * 110 + 30 + 30 seconds, doubled.
    scale, words, *_ = chosen(recipe)
    assert scale == 1 and words.startswith("about 18 minutes here (a step takes 2.00 ")


@pytest.mark.parametrize("minutes", [8.0, 30.0])
def test_steps_are_scaled_to_the_minutes_given(recipe, minutes):
    scale, words, arguments, config = chosen(recipe, "--minutes", str(minutes))
    stages = quickstart.plan(arguments, config, scale)
    seconds = {s.name: forecast.stage_seconds(TIMING, s.name, s.max_steps, 2.0) for s in stages}
    total = forecast.run_seconds(seconds, {s.name: s.after for s in stages})
    assert total == pytest.approx(60 * minutes, rel=0.05) and f"about {minutes:.0f} minutes" in words


def test_minutes_that_data_and_evaluation_alone_exceed(recipe):
    _, words, *_ = chosen(recipe, "--minutes", "2")
    assert "data, evaluation and start-up alone take" in words


def test_a_run_that_goes_on_keeps_its_steps(recipe, monkeypatch):
    first = chosen(recipe, "--minutes", "9")[:2]
    monkeypatch.setattr(forecast, "probe_step_seconds", lambda processes: 0.1)
    assert chosen(recipe, "--minutes", "9")[:2] == first
    assert chosen(recipe, "--minutes", "10")[0] > first[0]


def test_the_probe_times_a_step_of_this_machine():
    assert 0 < forecast.probe_step_seconds(1) < 60


def answers(tmp_path, monkeypatch, text: str) -> None:
    """A probe that prints `text`."""
    probe = tmp_path / "probe"
    probe.write_text(f"#!/bin/sh\necho '{text}'\n")
    probe.chmod(0o755)
    monkeypatch.setattr(forecast.sys, "executable", str(probe))


def test_a_probe_that_others_starve_counts_its_own_time(tmp_path, monkeypatch, capsys):
    answers(tmp_path, monkeypatch, "[2.0, 0.5]")
    assert forecast.probe_step_seconds(1) == 0.5
    assert "computed in 25% of its time; the forecast is for cores of its own" in capsys.readouterr().out
    answers(tmp_path, monkeypatch, "[0.6, 0.5]")
    assert forecast.probe_step_seconds(2) == 0.6 and not capsys.readouterr().out


def test_a_probe_without_an_answer_ends_with_its_processes(monkeypatch):
    started = []
    start = subprocess.Popen.__init__

    def remembered(self, *args, **kwargs):
        started.append(self)
        start(self, *args, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", remembered)
    monkeypatch.setattr(forecast, "WAIT_SECONDS", 0.2)
    with pytest.raises(SystemExit, match="probe took more than 0.2 s; other programs keep the machine busy"):
        forecast.probe_step_seconds(2)
    assert len(started) == 2 and all(process.returncode is not None for process in started)
    monkeypatch.setattr(forecast.sys, "executable", "/bin/false")
    monkeypatch.setattr(forecast, "WAIT_SECONDS", 60.0)
    with pytest.raises(SystemExit, match="the probe ended with exit code 1"):
        forecast.probe_step_seconds(1)


def test_a_finished_run_becomes_a_recipes_timing(tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "probe_step_seconds", lambda processes=2: 0.25)
    (tmp_path / "metrics.json").write_text(
        '{"seconds": {"data": 4.5, "sft": 9.0, "evaluate_sft": 2.0, "total": 15.5}}'
    )
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "training_summary.json").write_text('{"steps": 7, "train_runtime": 3.04}')
    assert forecast.record(tmp_path) == {
        "probe_step_seconds": 0.25,
        "stages": {
            "data": {"seconds": 4.5},
            "sft": {"seconds": 9.0, "steps": 7, "train_seconds": 3.0},
            "evaluate_sft": {"seconds": 2.0},
        },
    }


@pytest.mark.parametrize("file", CONFIGS.glob("*/timing.json"))
def test_a_recorded_timing_covers_every_stage(file):
    """By the names that the plan gives its stages, with steps for those that train; further evaluations may lack."""
    arguments = quickstart.parse(["--config", str(file.with_name("quickstart.yaml"))])
    stages = quickstart.plan(arguments, quickstart.read_config(file.with_name("quickstart.yaml")))
    timing = json.loads(file.read_text())
    names = {stage.name for stage in stages}
    assert timing["stages"].keys() <= names and names - timing["stages"].keys() <= {"evaluate_candidates"}
    assert all(("steps" in timing["stages"].get(s.name, {})) == s.training for s in stages)
    for stage in stages:
        assert forecast.stage_seconds(timing, stage.name, stage.max_steps, 1.0) > 0
