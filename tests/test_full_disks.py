"""Commands on a disk that is really full, and on one that is read-only: one line, and nothing half-written left."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from tiny_data import dataset_folder, tiny_judge
from tiny_unimo import tiny_unimo, tiny_vqvae

from train.quickstart import CONFIGS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """data/, unimo/, sft/, vqvae/, evaluator/ on a disk with room."""
    root = tmp_path_factory.mktemp("inputs")
    model, processor = tiny_unimo()
    for name, part in {"unimo": model, "sft": model.language_model, "vqvae": tiny_vqvae()}.items():
        part.save_pretrained(root / name)
        (processor if name != "vqvae" else processor.feature_extractor).save_pretrained(root / name)
    tiny_judge().save_pretrained(root / "evaluator")
    dataset_folder(root / "data", train=6, validation=2, test=8)
    np.save(root / "walk.npy", np.zeros((40, 263), np.float32))
    return root


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """`disk("size=8k")` -> a folder on a file system of its own; `disk("ro")` -> one that cannot be written."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# {in} is the folder of inputs, {out} a place on the small disk.
COMMANDS = {
    "datasets_scripts.build": "--source synthetic --num_train 8 --num_validation 0 --num_test 0 --num_hard 0"
    " --attribute_pools 0 --quiet --output {out}/data",
    "datasets_scripts.annotate": "--dataset {in}/data --quiet --output {out}/annotated",
    "datasets_scripts.thoughts.render": "--dataset {in}/data --split test --size 64 --quiet --output {out}/films",
    "datasets_scripts.thoughts.look": "--dataset {in}/data --split test --output {out}/look.html",
    "evaluate_unimo.run": "--model {in}/unimo --dataset {in}/data --evaluator {in}/evaluator --repeats 1 --m2t_limit 2"
    " --save_motions {out}/motions --output {out}/evaluation",
    "modeling_unimo.convert_checkpoint": "--kind unimo --input {in}/sft --vqvae {in}/vqvae --output {out}/unimo",
    "modeling_unimo.generate": "--model {in}/unimo --text walk --duration 3 --output {out}/walk.bvh",
    "train.vqvae": "--dataset {in}/data --output_dir {out}/vqvae --max_steps 1 --use_cpu true --report_to none",
    "train.quickstart": "--config {configs}/miniature/quickstart.yaml --output {out}/quickstart",
}


def ends_with(module: str, words: list[str], capsys) -> str:
    """The last line that a command says; it must fail, without a traceback."""
    try:
        code = import_module(module).main(words)
    except SystemExit as end:
        code = end.code
    said = code if isinstance(code, str) else capsys.readouterr().err
    assert code not in (0, None), module
    line = said.strip().splitlines()[-1]
    assert line.startswith("error: ") and "Traceback" not in said
    return line


SLOW = ("evaluate_unimo.run", "train.vqvae", "train.quickstart")  # they compute before they write
EACH = [pytest.param(module, marks=pytest.mark.slow) if module in SLOW else module for module in COMMANDS]


@pytest.mark.parametrize("module", EACH)
def test_a_full_disk_is_told_and_nothing_half_written_is_left(inputs, disk, capsys, module):
    place = disk("size=8k")
    words = [word.format(**{"in": inputs, "out": place, "configs": CONFIGS}) for word in COMMANDS[module].split()]
    line = ends_with(module, words, capsys)
    # Training knows what its model takes before it writes.
    assert ("no room left on" in line or "are free on its disk" in line) and str(place) in line
    assert "make room" in line or "Free some space" in line
    left = [path for path in place.rglob("*") if path.is_file()]
    assert not [path for path in left if "part" in path.name or path.name.endswith((".lock", ".parquet"))], left


@pytest.mark.parametrize("module", COMMANDS)
def test_a_read_only_disk_is_told(inputs, disk, capsys, module):
    place = disk("ro")
    words = [word.format(**{"in": inputs, "out": place, "configs": CONFIGS}) for word in COMMANDS[module].split()]
    line = ends_with(module, words, capsys)
    assert "its file system is read-only; choose another place" in line and str(place) in line
