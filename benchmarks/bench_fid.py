"""How much faster `evaluate_unimo.functional.fid` is than the published formula with a general matrix square root.

Usage: python benchmarks/bench_fid.py [--samples 1000] [--dimensions 512] [--repeats 7]
"""

import os

# Read once, when numpy is imported: both sides are measured on one thread.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import argparse  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
import scipy  # noqa: E402
from scipy import linalg  # noqa: E402

from evaluate_unimo.functional import fid  # noqa: E402


def fid_by_square_root(predictions: np.ndarray, references: np.ndarray) -> float:
    """FID as the published evaluation computes it: `scipy.linalg.sqrtm` of the product of the covariances."""
    mean1, mean2 = predictions.mean(0), references.mean(0)
    cov1, cov2 = np.cov(predictions, rowvar=False), np.cov(references, rowvar=False)
    root = linalg.sqrtm(cov1 @ cov2)
    if not np.isfinite(root).all():
        epsilon = 1e-6 * np.eye(len(cov1))
        root = linalg.sqrtm((cov1 + epsilon) @ (cov2 + epsilon))
    return float(np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root).real)


def embeddings(samples: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Two correlated float32 sets whose spread falls from one dimension to the next, as an evaluator's does."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((dimensions, dimensions)) / np.sqrt(dimensions)
    mixing *= np.geomspace(3.0, 0.03, dimensions)[:, None]
    first, second = (rng.standard_normal((samples, dimensions)) @ mixing for _ in range(2))
    return first.astype(np.float32), (1.1 * second + 0.05).astype(np.float32)


def seconds(function: Callable[..., float], *arguments: np.ndarray) -> tuple[float, float]:
    """(value, seconds of one call)."""
    begun = time.perf_counter()
    value = function(*arguments)
    return value, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    sets = embeddings(arguments.samples, arguments.dimensions)
    # Alternating, and the best of several: other work on the machine then slows both sides alike or neither.
    runs = [(seconds(fid_by_square_root, *sets), seconds(fid, *sets)) for _ in range(arguments.repeats)]
    (expected, _), (value, _) = runs[0]
    slow, fast = min(run[0][1] for run in runs), min(run[1][1] for run in runs)
    versions = f"numpy {np.__version__}, scipy {scipy.__version__}"
    print(f"N={arguments.samples} D={arguments.dimensions}, one thread, {versions}")
    print(f"scipy.linalg.sqrtm   {slow * 1000:7.1f} ms   FID {expected:.9f}")
    print(f"functional.fid       {fast * 1000:7.1f} ms   FID {value:.9f}")
    print(f"ratio {slow / fast:.1f}x, relative difference {abs(value - expected) / expected:.1e}")


if __name__ == "__main__":
    main()
