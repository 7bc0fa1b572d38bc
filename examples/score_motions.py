"""Score the motions of any system: a folder of files named by clip id, by the protocol that scores our own models.

    python examples/score_motions.py my_motions --dataset runs/quickstart/data --evaluator runs/quickstart/evaluator

A motion is `ID.npy` or `ID.bvh`: features (T, 263), joints (T, 22, 3) in metres, or BVH. Several samples of a clip are
`ID_0.npy`, `ID_1.npy` and so on. Clips without a motion count as invalid and are listed.
"""

import argparse
import json
from pathlib import Path

from evaluate_unimo import score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", help="folder of motions, named by clip id")
    parser.add_argument("--dataset", default="runs/quickstart/data", help="dataset folder whose clips they answer")
    parser.add_argument("--evaluator", default="runs/quickstart/evaluator", help="folder of the judge")
    parser.add_argument("--output", type=Path, default=Path("runs/scores"), help="folder for the results")
    arguments, options = parser.parse_known_args()  # --fps, --split, --pool_size and others are those of the command

    folders = {"motions": arguments.motions, "dataset": arguments.dataset, "evaluator": arguments.evaluator}
    words = [word for name, folder in folders.items() for word in (f"--{name}", folder)]
    score.main([*words, "--output", str(arguments.output), *options])

    results = json.loads((arguments.output / "results.json").read_text(encoding="utf-8"))
    generated = results["t2m"]["generated"]
    for name in ("valid", "r_precision_top1", "fid"):
        print(f"{name}: {generated[name]['mean']:.3f}")


if __name__ == "__main__":
    main()
