"""Training on two machines, as two network namespaces that share a disk: it ends as on one, also when one is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from tiny_data import dataset_folder
from tiny_unimo import feature_extractor, tiny_vqvae
from waiting import wait_until

from train.engine.checkpoints import last_checkpoint
from train.engine.processes import stop_process

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = {
    "vqvae": {
        "model": {
            "architecture": "patch", "width": 16, "code_dim": 4, "down_t": 1, "stride_t": 4, "depth": 1,
            "codebook_size": 24,
        },
        "window": 16, "remove_unused_columns": False,
    },
    "sft": {
        "new_model": {
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
            "intermediate_size": 16, "max_position_embeddings": 1024,
        },
        "new_vocab_size": 300, "max_length": 400, "bf16": False, "gradient_checkpointing": False,
    },
}  # fmt: skip
# It makes network namespaces, and gloo may abort at exit on a busy machine: it runs only where asked for.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("UNIMO_TWO_MACHINES"), reason="set UNIMO_TWO_MACHINES=1 to run it, as root"),
]


def ip(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["ip", *words], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def machines() -> Iterator[list[tuple[str, str]]]:
    """(network namespace, interface) of two machines with the addresses 10.77.0.1 and 10.77.0.2."""
    names = [(f"unimo{os.getpid()}{side}", f"u{os.getpid()}{side}") for side in "ab"]
    try:
        made = [ip("netns", "add", name) for name, _ in names]
    except FileNotFoundError:
        pytest.skip("no ip command here")
    try:
        if any(done.returncode for done in made):
            pytest.skip(f"no network namespaces here: {made[0].stderr.strip()}")
        (first, one), (second, other) = names
        ip("link", "add", one, "netns", first, "type", "veth", "peer", "name", other, "netns", second)
        for number, (name, interface) in enumerate(names, start=1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", interface)
            for device in (interface, "lo"):
                assert ip("-n", name, "link", "set", device, "up").returncode == 0
        yield names
    finally:
        for name, _ in names:
            ip("netns", "del", name)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("machines")
    dataset_folder(folder / "data", train=18, validation=4)
    tiny_vqvae().save_pretrained(folder / "vqvae")
    feature_extractor().save_pretrained(folder / "vqvae")
    return folder


def launch(machines, inputs: Path, output: Path, stage: str, **settings) -> list[subprocess.Popen]:
    """One process on each machine."""
    settings = CONFIGS[stage] | {
        "dataset": str(inputs / "data"), "output_dir": str(output), "use_cpu": True, "report_to": "none",
        "disable_tqdm": True, "per_device_train_batch_size": 2, "logging_steps": 1, "save_strategy": "no",
    } | settings  # fmt: skip
    config = output.with_name(f"{output.name}.yaml")
    config.write_text(yaml.safe_dump(settings))
    running = []
    for rank, (name, interface) in enumerate(machines):
        words = ["ip", "netns", "exec", name, sys.executable, "-m", "accelerate.commands.launch"]
        words += ["--config_file", str(REPOSITORY / "train" / "accelerate_configs" / "two_cpu.yaml")]
        words += ["--num_machines", "2", "--machine_rank", str(rank), "--num_processes", "2"]
        words += ["--main_process_ip", "10.77.0.1", "--main_process_port", "29512"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "GLOO_SOCKET_IFNAME": interface}
        log = output.with_name(f"{output.name}.{rank}.log").open("ab")
        command = [*words, str(REPOSITORY / "train" / f"{stage}.py"), "--config", str(config)]
        running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
    return running


def ended(running: list[subprocess.Popen], output: Path) -> list[int]:
    try:
        return [process.wait(300) for process in running]
    finally:
        for process in running:
            stop_process(process)
        logs = {rank: output.with_name(f"{output.name}.{rank}.log").read_text()[-3000:] for rank in (0, 1)}
        print(*logs.values(), sep="\n")


@pytest.mark.parametrize("stage", ["vqvae", "sft"])
def test_two_machines_train_together(machines, inputs, tmp_path, stage):
    settings = {"vqvae": str(inputs / "vqvae")} if stage == "sft" else {}
    output = tmp_path / "run"
    assert ended(launch(machines, inputs, output, stage, max_steps=3, **settings), output) == [0, 0]
    assert json.loads((output / "training_summary.json").read_text())["processes"] == 2


def test_a_machine_that_is_lost_ends_the_other_with_a_message_and_the_run_continues(machines, inputs, tmp_path):
    output = tmp_path / "run"
    settings = {"max_steps": 600, "save_strategy": "steps", "save_steps": 20, "save_total_limit": 1}
    running = launch(machines, inputs, output, "vqvae", **settings)
    try:
        wait_until(lambda: last_checkpoint(output) or any(p.poll() is not None for p in running), "a checkpoint")
        (trains,) = psutil.Process(running[1].pid).children()
        trains.kill()
    except BaseException:
        for process in running:
            stop_process(process)
        raise
    assert 0 not in ended(running, output)
    assert "another process of this training ended" in (tmp_path / "run.0.log").read_text()
    assert ended(launch(machines, inputs, output, "vqvae", **settings), output) == [0, 0]
    assert json.loads((output / "training_summary.json").read_text())["train_steps_timed"] < 600
