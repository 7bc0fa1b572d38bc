"""Motion drawn by Blender, always in a separate process: `find_blender`, `BlenderRenderer`.

Blender's Python needs another numpy than this package and must never be imported here. A folder of .npy and JSON
files goes over to `blender_scene`, which runs inside Blender, and the frames come back as .npy. Figure and cameras are
those of `rendering_unimo.staged`, so that a clip is framed just as the capsule renderer frames it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modeling_unimo.blender_unimo import BlenderError, blender_words, last_words, run_blender
from modeling_unimo.bodies_unimo import SIDE_COLORS
from modeling_unimo.rendering_unimo import Staging

SCENE = Path(__file__).with_name("blender_scene.py")
SAMPLES = 24
"""Samples per pixel; at 336 pixels fewer leave the shadow grainy, more are hard to tell apart."""


@dataclass(frozen=True)
class BlenderRenderer:
    """A Blender to draw with.

    Attributes:
        command: the words before the folder of a job: see `find_blender`.
        samples: per pixel.
        threads: of Blender, for each clip.
        seconds_per_frame: time limit for each frame and view, beside a minute to start.
    """

    command: tuple[str, ...]
    samples: int = SAMPLES
    threads: int = 1
    seconds_per_frame: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 4096:
            raise ValueError(f"samples must be between 1 and 4096, got {self.samples}")
        if self.threads < 1:
            raise ValueError(f"threads must be >= 1, got {self.threads}")

    def iter_frames(self, staging: Staging, indices: Sequence[int] | np.ndarray) -> Iterator[np.ndarray]:
        """Draw the frames `indices` of a staged clip, each (H, W * views, 3) uint8.

        Args:
            staging: What is drawn, and from where.
            indices: Of the frames.

        Yields:
            The frames in the order of the indices.

        Raises:
            BlenderError: it ended with an error, took too long or left no frames.
        """
        with tempfile.TemporaryDirectory(prefix="unimo-blender-") as name:
            folder = Path(name)
            self._write_job(folder, staging, np.asarray(indices, dtype=int))
            self._run(folder, len(indices) * len(staging.shots))
            frames = np.load(folder / "frames.npy", mmap_mode="r")
            expected = (len(indices), staging.height, staging.width * len(staging.shots), 3)
            if frames.shape != expected:
                raise BlenderError(f"Blender drew frames of shape {frames.shape}, expected {expected}")
            for frame in frames:
                yield np.array(frame)

    def _write_job(self, folder: Path, staging: Staging, indices: np.ndarray) -> None:
        np.save(folder / "points.npy", staging.points[indices])
        np.save(folder / "capsules.npy", np.array(staging.capsules, dtype=np.float64))
        np.save(folder / "paths.npy", np.stack([shot.path[indices] for shot in staging.shots]))
        job = {
            "height": staging.height,
            "width": staging.width,
            "ground": staging.ground,
            "samples": self.samples,
            "threads": self.threads,
            "colors": SIDE_COLORS,
            "shots": [
                {"axes": shot.axes.tolist(), "focal": shot.focal, "light": shot.light.tolist()}
                for shot in staging.shots
            ],
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")

    def _run(self, folder: Path, pictures: int) -> None:
        limit = 60.0 + self.seconds_per_frame * pictures
        try:
            # A Blender that is ended leaves its own scratch folder behind: it goes with the job's.
            done = run_blender([*self.command, str(folder)], limit, {"TMPDIR": str(folder)})
        except subprocess.TimeoutExpired as error:
            raise BlenderError(f"Blender had not finished after {limit:.0f} s.{last_words(error.stdout)}") from error
        # Blender ends with 0 even if the script failed.
        if done.returncode != 0 or not (folder / "frames.npy").is_file() or b"Traceback (most recent" in done.stdout:
            raise BlenderError(f"Blender ended with status {done.returncode} and no frames.{last_words(done.stdout)}")


def find_blender(
    executable: str | Path | None = None,
    python: str | Path | None = None,
    samples: int = SAMPLES,
    threads: int = 1,
) -> BlenderRenderer:
    """A working Blender on this machine.

    Args:
        executable: path or name of `blender`; by default the one on PATH.
        python: a Python of a separate environment with the `bpy` module, used instead.
        samples, threads: see `BlenderRenderer`.

    Returns:
        The renderer.

    Raises:
        FileNotFoundError: none was found; the message says how to get one.
        ValueError: both are given, or the Python is this one.
        BlenderError: it was found and does not run.
    """
    if executable is not None and python is not None:
        raise ValueError("give a blender executable or a Python with bpy, not both")
    if python is not None:
        found = shutil.which(str(python))
        if found is None:
            raise FileNotFoundError(
                f"{python}: no such Python; create one with python -m venv DIR and pip install bpy"
            )
        # Not resolved: a virtual environment's python is a link to the one it was made from.
        if os.path.abspath(found) == os.path.abspath(sys.executable):
            raise ValueError(f"{python} runs this program; bpy needs a separate virtual environment")
        _ask([found, "-I", "-c", "import bpy; print(bpy.app.version_string)"], f"{python} has no working bpy module")
        return BlenderRenderer((found, "-I", str(SCENE)), samples, threads)
    try:
        words = blender_words(executable)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}, give its path with --blender, or with --blender_python a Python that has bpy"
        ) from None
    problem = (
        f"{words[0]} does not run, or its Python lacks numpy (on Debian and Ubuntu apt-get install python3-numpy)"
    )
    _ask([*words, "--python-expr", "import bpy, numpy"], problem)
    return BlenderRenderer((*words, "--python", str(SCENE), "--"), samples, threads)


def _ask(command: list[str], problem: str) -> None:
    try:
        done = run_blender(command, 120)
    except subprocess.TimeoutExpired as error:
        raise BlenderError(f"{problem}: no answer within 120 s") from error
    if done.returncode != 0:
        raise BlenderError(f"{problem}.{last_words(done.stdout)}")
