"""Builds a dataset, or loads it the published way, in this process alone, and prints what that took as JSON.

    python -m benchmarks.dataset_memory --folder HUMANML3D --output DIR
    python -m benchmarks.dataset_memory --folder HUMANML3D --published

The peak is this process's own: the usual figure of a child also counts what its parent had when it was started.
"""

import argparse
import contextlib
import io
import json
import resource
import time
from pathlib import Path

import numpy as np


def peak_memory() -> int:
    """Bytes that this process held at most."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def loaded_dataset(folder: Path) -> dict[str, dict]:
    """Every motion and caption of a HumanML3D folder in memory, as the published data loaders hold them."""
    data = {}
    for name in (folder / "train.txt").read_text(encoding="utf-8").split():
        motion = np.load(folder / "new_joint_vecs" / f"{name}.npy")
        if not 40 <= len(motion) < 200:
            continue
        texts = []
        for line in (folder / "texts" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            caption, tokens, *_ = line.split("#")
            texts.append({"caption": caption, "tokens": tokens.split(" ")})
        data[name] = {"motion": motion, "length": len(motion), "text": texts}
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--published", action="store_true")
    arguments = parser.parse_args()
    # Each way with the packages it needs, which count for memory but not for time.
    if arguments.published:
        begun = time.perf_counter()
        clips = len(loaded_dataset(arguments.folder))
    else:
        from datasets_scripts.build import main as build
        from datasets_scripts.schema import count_clips

        begun = time.perf_counter()
        words = ["--source", "humanml3d", "--data_dir", str(arguments.folder), "--output", str(arguments.output)]
        with contextlib.redirect_stdout(io.StringIO()) as told:
            if build([*words, "--annotator", "none", "--quiet"]):
                raise SystemExit(f"error: the dataset was not built: {told.getvalue()}")
        clips = count_clips(arguments.output)
    print(json.dumps({"clips": clips, "seconds": time.perf_counter() - begun, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
