"""Building a dataset of HumanML3D's size: peak memory, and time over the number of clips."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.motion_items import swaying_bodies
from benchmarks.networks import CAPTIONS, Setting
from benchmarks.timing import Item, Way
from datasets_scripts.captions import tokenize_caption
from modeling_unimo import joints_to_features

GOAL = 2**30
_DIFFERENT = 50  # motions on disk; the others are links to them


def humanml3d_folder(folder: Path, clips: int) -> None:
    """A folder in the official layout: motions of 40 to 196 frames, three captions each, all of them for training."""
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


def in_own_process(folder: Path, *words: str) -> dict[str, float]:
    """What `benchmarks.dataset_memory` measured.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    command = [sys.executable, "-m", "benchmarks.dataset_memory", "--folder", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[1])
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def dataset_memory(setting: Setting) -> Item:
    """Peak memory of building the dataset of 15,000 clips, against loading all of it as published."""
    clips = 20 if setting.tiny else 1500 if setting.quick else 15_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "humanml3d"
        humanml3d_folder(folder, clips)
        published = in_own_process(folder, "--published")
        ours = in_own_process(folder, "--output", str(Path(temporary) / "built"))
    item = Item("dataset_memory", f"building a dataset of {clips:,} clips", "clips")
    item.ways = [
        Way("published loader, all in memory", [published["seconds"]], published["clips"]),
        Way("ours, written as Parquet", [ours["seconds"]], ours["clips"]),
    ]
    item.facts = {
        "peak memory of the published loader, MiB": round(published["peak"] / 2**20),
        "peak memory of ours, MiB": round(ours["peak"] / 2**20),
        "goal, MiB": GOAL // 2**20,
        "goal reached": ours["peak"] <= GOAL,
    }
    item.note = (
        "The loader reads a ready dataset at the start of every training; ours is built once and memory-mapped."
    )
    return item


def dataset_growth(setting: Setting) -> Item:
    """Seconds of building a dataset over its clips."""
    base, factors = (10, (1, 2)) if setting.tiny else (100, (1, 4, 16)) if setting.quick else (250, (1, 2, 4, 8, 16))
    item = Item("dataset_growth", "building a dataset by number of clips", "clips")
    points = []
    for factor in factors:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "humanml3d"
            humanml3d_folder(folder, base * factor)
            told = in_own_process(folder, "--output", str(Path(temporary) / "built"))
        item.ways.append(Way(f"{base * factor:,} clips", [told["seconds"]], told["clips"]))
        item.facts[f"peak memory with {base * factor:,} clips, MiB"] = round(told["peak"] / 2**20)
        points.append((told["clips"], told["seconds"]))
    item.series = {"Building a dataset": {"x": "clips", "y": "seconds", "points": {"build": points}}}
    return item
