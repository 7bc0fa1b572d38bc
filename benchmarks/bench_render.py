"""How many frames a second one core draws: one view and several, body and skeleton, films and contact sheets.

Usage: python benchmarks/bench_render.py [--size 336] [--frames 60] [--repeats 3]

Times are of the processor, so that other work on the machine does not count; the best of several is shown. A frame of
several views holds as many pictures.
"""

import os

# Read once, when numpy is imported.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from datasets_scripts import synthetic  # noqa: E402
from modeling_unimo import features_to_joints  # noqa: E402
from modeling_unimo.rendering_unimo import VIEWS, contact_sheet, render_frames, save_mp4  # noqa: E402


def fastest(function: Callable[[], object], repeats: int) -> float:
    """Seconds of processor time of the fastest of `repeats` calls."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        function()
        times.append(time.process_time() - begun)
    return min(times)


def motion(frames: int) -> np.ndarray:
    """Joints (frames,22,3) of a generated clip that is long enough."""
    clips = synthetic.iter_clips(train=32, validation=0, test=0, hard=0, attribute_pools=0, seed=0)
    longest = max(clips, key=lambda clip: len(clip.features))
    if len(longest.features) < frames:
        raise SystemExit(f"error: the longest clip has {len(longest.features)} frames; give --frames up to that")
    return np.asarray(features_to_joints(longest.features[:frames]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=336)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    joints, size = motion(arguments.frames), arguments.size
    print(f"{len(joints)} frames at {size} x {size}, one core, numpy {np.__version__}")
    print(f"{'':<34}{'frames/s':>9}{'pictures/s':>12}")

    def show(name: str, function: Callable[[], object], frames: int, views: int = 1) -> None:
        rate = frames / fastest(function, arguments.repeats)
        print(f"{name:<34}{rate:>9.0f}{rate * views:>12.0f}")

    for style in ("body", "skeleton"):
        for views in ((VIEWS[0],), VIEWS[1:], VIEWS):
            name = f"{style}, {len(views)} view{'s' if len(views) > 1 else ''}"
            show(name, lambda v=views, s=style: render_frames(joints, size, v, style=s), len(joints), len(views))
    show("body, 1 view, fixed camera", lambda: render_frames(joints, size, camera="fixed"), len(joints))
    show("contact sheet of 16", lambda: contact_sheet(joints, 16, size=size), 16)
    frames = render_frames(joints, size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        show("MP4, encoding alone", lambda: save_mp4(path, frames), len(joints))
        show("MP4, drawing and encoding", lambda: save_mp4(path, render_frames(joints, size)), len(joints))


if __name__ == "__main__":
    main()
