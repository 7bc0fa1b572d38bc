"""The check for a GPU, with tiny shapes on a CPU: every part runs and leaves its figures in one file."""

import json

import pytest
from forked import fork_server

from benchmarks import full_size_check, gpu_check
from benchmarks.timing import Unavailable


@pytest.mark.slow
def test_a_dry_run_measures_every_part(tmp_path, monkeypatch):
    monkeypatch.setattr(full_size_check, "CLIPS", 8)
    forks = fork_server()
    monkeypatch.setattr("multiprocessing.get_context", lambda _: forks)
    assert gpu_check.main(["--dry_run", "--output", str(tmp_path / "check")]) == 0
    results = json.loads((tmp_path / "check" / "gpu_check.json").read_text())
    assert set(results["parts"]) | set(results["unavailable"]) == {"training", *gpu_check.ITEMS}
    assert set(results["unavailable"]) <= {"sft_head"}  # the TRL of Python 3.10 has no fused head
    assert results["failed"] == {} and results["not_reached"] == []
    for stage in ("sft", "grpo"):
        assert results["parts"]["training"][stage]["seconds_per_step"] > 0
    assert all(way["rate"] > 0 for part in results["parts"].values() for way in part.get("ways", ()))


def test_without_a_gpu_only_a_dry_run_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu_check.main(["--output", str(tmp_path / "check")])
    assert "--dry_run" in capsys.readouterr().err and not (tmp_path / "check").exists()


def test_parts_beyond_the_time_are_named_and_a_failure_costs_the_others_nothing(tmp_path, monkeypatch, capsys):
    def failing(*_):
        raise RuntimeError("too little memory")

    monkeypatch.setattr(gpu_check, "train", failing)
    monkeypatch.setattr(gpu_check, "bench", lambda output, dry_run, item: {"name": item})
    assert gpu_check.main(["--dry_run", "--output", str(tmp_path / "a")]) == 1
    results = json.loads((tmp_path / "a" / "gpu_check.json").read_text())
    assert results["failed"] == {"training": "RuntimeError: too little memory"} and len(results["parts"]) > 3
    assert gpu_check.main(["--dry_run", "--output", str(tmp_path / "b"), "--minutes", "-1"]) == 0
    assert "not reached in -1 minutes: training, decode_step" in capsys.readouterr().out


def test_what_a_library_lacks_is_told_and_is_no_failure(tmp_path, monkeypatch, capsys):
    def lacking(output, dry_run, item):
        raise Unavailable("the fused head needs TRL 1.16")

    monkeypatch.setattr(gpu_check, "train", lambda *_: {})
    monkeypatch.setattr(gpu_check, "bench", lacking)
    assert gpu_check.main(["--dry_run", "--output", str(tmp_path / "check")]) == 0
    results = json.loads((tmp_path / "check" / "gpu_check.json").read_text())
    assert set(results["unavailable"]) == set(gpu_check.ITEMS) and set(results["parts"]) == {"training"}
    assert "sft_head was not measured: the fused head needs TRL 1.16" in capsys.readouterr().out
