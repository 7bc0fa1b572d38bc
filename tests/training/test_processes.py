"""train/engine/processes.py: what is asked of other processes, and how long an answer may take."""

import pytest

from train.engine import processes


@pytest.fixture
def count(monkeypatch):
    processes.count_gpus.cache_clear()
    yield processes.count_gpus
    processes.count_gpus.cache_clear()


def test_gpus_are_those_that_torch_sees(count, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert count() == 0


def test_a_count_that_does_not_come_is_told(count, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "GPU_SECONDS", 0.01)
    with pytest.raises(SystemExit, match="did not count the GPUs within 0.01 s: .*set CUDA_VISIBLE_DEVICES"):
        count()
    (tmp_path / "torch.py").write_text("raise ImportError('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(processes, "GPU_SECONDS", 300.0)
    with pytest.raises(SystemExit, match="torch cannot count the GPUs .exit code 1"):
        count()
