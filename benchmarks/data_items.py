"""Building a dataset of HumanML3D's size: peak memory, and time over the number of clips."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.motion_items import swaying_bodies
from benchmarks.networks import CAPTIONS, Setting
from benchmarks.timing import Figure, Item, Way, growth_figures
from datasets_scripts.captions import tokenize_caption
from modeling_unimo import joints_to_features

GOAL = 2**30
_DIFFERENT = 50  # motions on disk; the others are links to them


def humanml3d_folder(folder: Path, clips: int) -> None:
    """Make a folder in the official layout: motions of 40 to 196 frames for training, three captions each.

    Args:
        folder: New folder.
        clips: How many; some are links to others.
    """
    rng = np.random.default_rng(0)
    motions, texts = folder / "new_joint_vecs", folder / "texts"
    motions.mkdir(parents=True)
    texts.mkdir()
    (folder / "originals").mkdir()
    swaying = joints_to_features(swaying_bodies(min(_DIFFERENT, clips), 197))
    for i, motion in enumerate(swaying):
        np.save(folder / "originals" / f"{i}.npy", motion[: rng.integers(40, 197)].astype(np.float32))
        lines = [CAPTIONS[(i + k) % len(CAPTIONS)] for k in range(3)]
        lines = [f"{line}#{' '.join(tokenize_caption(line))}#0.0#0.0" for line in lines]
        (folder / "originals" / f"{i}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = [f"{i:06d}" for i in range(clips)]
    for i, name in enumerate(names):
        for target, suffix in ((motions, "npy"), (texts, "txt")):
            os.symlink(folder / "originals" / f"{i % len(swaying)}.{suffix}", target / f"{name}.{suffix}")
    (folder / "train.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def joints_folder(folder: Path, clips: int) -> None:
    """Make an archive of joints of clips of 40 to 196 frames, with three captions each and without thoughts.

    Args:
        folder: New folder.
        clips: How many.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    different = swaying_bodies(min(_DIFFERENT, clips), 197)
    lengths = rng.integers(41, 198, clips)
    np.savez(
        folder / "joints.npz",
        joints=np.concatenate([different[i % len(different), :length] for i, length in enumerate(lengths)]),
        offsets=np.cumsum([0, *lengths]),
        names=np.array([f"{i:06d}" for i in range(clips)]),
        fps=20.0,
    )
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for i in range(clips):
            captions = [CAPTIONS[(i + k) % len(CAPTIONS)] for k in range(3)]
            file.write(json.dumps({"id": f"{i:06d}", "captions": captions, "split": "train"}) + "\n")


def _in_own_process(folder: Path, *words: str) -> dict[str, Any]:
    """What `benchmarks.dataset_memory` measured.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    command = [sys.executable, "-m", "benchmarks.dataset_memory", "--folder", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[1])
    if done.returncode:
        told = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{told[0]} ({' '.join(command[1:])})")
    return json.loads(done.stdout.splitlines()[-1])


def dataset_memory(setting: Setting) -> Item:
    """Peak memory of building the dataset of 15,000 clips from joints with thoughts, against loading all of one.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        The build in clips a second, and peaks of memory in MiB.
    """
    clips = 20 if setting.tiny else 1500 if setting.quick else 15_000
    workers, fewer = 2, max(20, clips // 30)  # what a process holds is reached within some hundred clips
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        humanml3d_folder(folder / "humanml3d", clips)
        published = _in_own_process(folder / "humanml3d", "--published")
        joints_folder(folder / "joints", clips)
        ours = _in_own_process(folder / "joints", "--output", str(folder / "built"))
        joints_folder(folder / "fewer", fewer)
        words = ("--output", str(folder / "by_workers"), "--workers", str(workers))
        shared = _in_own_process(folder / "fewer", *words)
    item = Item("dataset_memory", f"building a dataset of {clips:,} clips from joints, thoughts written", "clips")
    item.ways = [Way("ours, one process (the default), written as Parquet", ours["seconds"], ours["clips"])]
    item.figures = [
        Figure("peak memory of ours, one process (the default)", ours["peak"] / 2**20, "MiB", GOAL / 2**20),
        Figure(
            f"peak memory of ours with --workers {workers}, all processes, {fewer:,} clips",
            shared["peak"] / 2**20,
            "MiB",
        ),
        Figure("peak memory of the published loader, which holds all clips", published["peak"] / 2**20, "MiB"),
    ]
    item.facts = {"seconds that the published loader takes at the start of every training": published["seconds"][0]}
    item.note = (
        "Ours converts, annotates and writes once what is memory-mapped from then on; the published loader reads "
        "ready features, so their speeds are of different work. Pages that several processes share count for each."
    )
    return item


def dataset_growth(setting: Setting) -> Item:
    """Seconds of building a dataset of ready features over its clips.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        A way for each number of clips, in clips a second, and the power by which seconds grow.
    """
    base, factors = (10, (1, 2)) if setting.tiny else (100, (1, 4, 16)) if setting.quick else (125, (1, 4, 16))
    item = Item("dataset_growth", "building a dataset by number of clips (ready features)", "clips")
    repeats = str(setting.repeats(3))
    for factor in factors:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "humanml3d"
            humanml3d_folder(folder, base * factor)
            words = ("--source", "humanml3d", "--annotator", "none", "--repeats", repeats)
            told = _in_own_process(folder, *words, "--output", str(Path(temporary) / "built"))
        item.ways.append(Way(f"{base * factor:,} clips", told["seconds"], told["clips"]))
        item.facts[f"peak memory with {base * factor:,} clips, MiB"] = round(told["peak"] / 2**20)
    points = [(way.amount, way.amount / way.rate) for way in item.ways]
    item.figures = growth_figures(points)
    item.note = "Every size is built in a process of its own, its repeats one after the other, after a warm-up."
    item.series = {"Building a dataset": {"x": "clips", "y": "seconds", "points": {"build": points}}}
    return item
