"""Speed of the road from AMASS to HumanML3D on made-up recordings, and the most memory it takes; prints JSON.

    python -m benchmarks.amass_speed --folder DIR [--clips 300] [--workers 2]

Kinematics: `joints_from_smpl` on one thread against the whole body model (6,890 vertices with pose corrections and
skinning, in torch on one thread), which is how the published notebook gets its joints. The step: the build command
from folders and from tar.bz2 archives, for two numbers of clips, whose difference is extrapolated to HumanML3D's
29,232. Both the clock and the processor time, which other programs do not change, are told.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks import amass_files
from modeling_unimo import joints_from_smpl, load_body_model
from modeling_unimo.files_unimo import write_json
from modeling_unimo.skeletons_unimo import HUMANML3D

HUMANML3D_CLIPS = 29_232
FRAMES_A_FILE, ROWS_A_FILE, FRAMES_A_ROW = 1476, 1.25, 148  # as AMASS and the index have them on average, at 120 fps
_DATASETS = ("CMU", "KIT")
_SLICE = 256  # frames that the whole body model does at once


def _frames_per_second(function: Callable[[], object], frames: int, seconds: float = 3.0) -> float:
    """How many frames a function that does `frames` at a time does in a second of processor time."""
    function()
    begun, repeats = time.process_time(), 0
    while time.process_time() - begun < seconds:
        function()
        repeats += 1
    return frames * repeats / (time.process_time() - begun)


def _whole_body(arrays: dict[str, np.ndarray], poses: torch.Tensor, betas: torch.Tensor) -> torch.Tensor:
    """Joints (T, J, 3) and, as the equations have it, the skinned vertices of a body model, float32."""
    tensors = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in arrays.items()}
    parents = arrays["kintree_table"][0]
    shaped = tensors["v_template"] + tensors["shapedirs"][..., : len(betas)] @ betas
    rest = tensors["J_regressor"] @ shaped
    vectors = poses.reshape(len(poses), -1, 3)
    angle = (vectors + 1e-8).norm(dim=-1, keepdim=True)
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    rotations = torch.eye(3) + angle.sin()[..., None] * skew + (1 - angle.cos())[..., None] * skew @ skew
    corrections = (rotations[:, 1:] - torch.eye(3)).flatten(1) @ tensors["posedirs"].flatten(0, 1).T
    posed = shaped + corrections.unflatten(-1, (-1, 3))
    local = torch.eye(4).repeat(*rotations.shape[:2], 1, 1)
    local[..., :3, :3] = rotations
    local[..., :3, 3] = rest - torch.where(torch.arange(len(rest))[:, None] > 0, rest[parents], 0.0)
    world = [local[:, 0]]
    for joint in range(1, len(rest)):
        world.append(world[parents[joint]] @ local[:, joint])
    chain = torch.stack(world, 1)
    joints = chain[..., :3, 3].clone()
    chain[..., :3, 3] -= (chain[..., :3, :3] @ rest[..., None])[..., 0]
    blended = torch.einsum("vj,tjab->tvab", tensors["weights"], chain)
    (blended[..., :3, :3] @ posed[..., None])[..., 0] + blended[..., :3, 3]
    return joints


def _kinematics(folder: Path) -> dict[str, float]:
    """Frames a second of both ways on one thread, and how far their joints differ."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    arrays = amass_files.body_model(vertices=6890)
    weights = rng.random((6890, 52))
    arrays["weights"] = weights / weights.sum(1, keepdims=True)
    arrays["posedirs"] = rng.normal(0, 1e-3, (6890, 3, 459)).astype(np.float32)
    model = load_body_model(amass_files.save(folder / "model.npz", arrays))
    poses = rng.normal(0, 0.5, (40_000, 156)).astype(np.float32)
    betas = rng.normal(size=10)
    some, shape = torch.from_numpy(poses[:_SLICE]), torch.as_tensor(betas, dtype=torch.float32)
    ours = _frames_per_second(lambda: joints_from_smpl(poses, None, betas, model), len(poses))
    whole = _frames_per_second(lambda: _whole_body(arrays, some, shape), _SLICE)
    off = _whole_body(arrays, some, shape)[:, : HUMANML3D.num_joints].numpy() - joints_from_smpl(
        poses[:_SLICE], None, betas, model
    )
    return {
        "joints_from_smpl_frames_per_second": ours,
        "whole_body_model_frames_per_second": whole,
        "ratio": ours / whole,
        "largest_difference_m": float(np.abs(off).max()),
    }


def _make_data(folder: Path, clips: int, archived: bool) -> Path:
    """A ROOT of `clips` clips, mirrored ones included, in folders or archives."""
    rng = np.random.default_rng(0)
    rows, sources = [], {}
    for place in range(round(clips / 2 / ROWS_A_FILE)):
        key = f"{_DATASETS[place % 2]}/{place:04d}/walk_poses"
        sources[key] = {k: np.asarray(v) for k, v in amass_files.recording(FRAMES_A_FILE, 120.0, seed=place).items()}
        sources[key]["poses"] = sources[key]["poses"].astype(np.float64)  # as most of AMASS
    keys = list(sources)
    for row in range(clips // 2):
        length = int(rng.integers(40, 2 * FRAMES_A_ROW - 40 + 1))
        length = min(length, FRAMES_A_FILE // 6)
        rows.append((keys[row % len(keys)], 0, length, f"{row:06d}"))
    root = amass_files.make_root(folder, sources, rows)
    for dataset in _DATASETS if archived else ():
        members = {f"{key}.npz": arrays for key, arrays in sources.items() if key.startswith(dataset)}
        amass_files.archive(root / "amass_data" / f"{dataset}.tar.bz2", members)
        shutil.rmtree(root / "amass_data" / dataset)
    return root


def _build(root: Path, output: Path, workers: int, *options: str) -> dict[str, float]:
    """Seconds of the build command by the clock and of processors, and its peak memory with its processes' in MB."""
    command = [sys.executable, "-m", "datasets_scripts.build", "--source", "amass", "--data_dir", str(root), "--quiet"]
    command += ["--output", str(output), "--official_layout", f"{output}-official", "--workers", str(workers)]
    import resource  # on Unix alone

    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = psutil.Popen([*command, *options], stdout=subprocess.DEVNULL, env=environment)
    peak = 0
    while process.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in tree))
        except psutil.NoSuchProcess:
            pass  # it ended between two looks
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"error: the build of {root} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"clock": time.perf_counter() - begun, "processor": processor, "peak_mb": peak / 1e6}


def _extrapolated(roots: dict[int, Path], folder: Path, workers: int, thoughts: str) -> dict[str, object]:
    """What builds of two sizes took, and the minutes of all of HumanML3D after the difference between them."""
    took = {
        n: _build(root, folder / f"{root.name}-{thoughts}", workers, "--annotator", thoughts)
        for n, root in roots.items()
    }
    few, many = took
    minutes = {}
    for kind, share in (("clock", 1), ("processor", workers)):
        each = (took[many][kind] - took[few][kind]) / (many - few)
        minutes[kind] = (took[few][kind] + each * (HUMANML3D_CLIPS - few)) / 60 / share
    return {"seconds": took, "minutes_for_humanml3d": minutes}


def _result(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures with the table that documentation shows of them."""
    speed = figures["kinematics"]
    rows = [
        ["joints from SMPL-H parameters, one thread", f"{speed['joints_from_smpl_frames_per_second']:,.0f} frames/s"],
        ["the whole body model, one thread", f"{speed['whole_body_model_frames_per_second']:,.0f} frames/s"],
    ]
    for kind, figure in figures.items():
        if "minutes_for_humanml3d" in figure:
            minutes = figure["minutes_for_humanml3d"]
            told = f"{minutes['clock']:.1f} min by the clock, {minutes['processor']:.1f} min of each processor"
            rows.append([f"29,232 clips from {kind}", told])
        elif "peak_mb" in figure:
            rows.append([f"peak memory, {kind}", f"{figure['peak_mb'] / 1000:.2f} GB"])
    return {
        "kind": "table",
        "commands": ["python -m benchmarks.amass_speed --folder DIR --output docs/results/amass-speed.json"],
        "columns": ["", "measured"],
        "rows": rows,
        "figures": figures,
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print the figures and write them.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="new folder for the made-up data and what is built")
    parser.add_argument("--clips", type=int, default=300, help="from folders; a third of it from archives")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="JSON file to write the figures to as well")
    arguments = parser.parse_args(argv)
    folder, workers = arguments.folder, arguments.workers
    figures: dict[str, Any] = {"kinematics": _kinematics(folder)}
    for kind, clips in (("folders", arguments.clips), ("archives", arguments.clips // 3)):
        roots = {n: _make_data(folder / f"{kind}{n}", n, kind == "archives") for n in (clips // 5, clips)}
        for thoughts in ("none", "kinematic") if kind == "folders" else ("none",):
            figures[f"{kind}, annotator {thoughts}"] = _extrapolated(roots, folder, workers, thoughts)
        figures[f"{kind}, one worker"] = _build(roots[clips], folder / f"{kind}-alone", 1, "--annotator", "none")
    found = _result(figures)
    print(json.dumps(found, indent=1))
    if arguments.output is not None:
        write_json(arguments.output, found, indent=1)


if __name__ == "__main__":
    main()
