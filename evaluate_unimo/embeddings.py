"""The embeddings that FID and Diversity were computed from, kept with an evaluation for the intervals of `compare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluate_unimo import functional
from modeling_unimo.files_unimo import atomic_write

FIGURES = ("fid", "diversity")  # of a distribution: no sum over clips
# Enough for a standard deviation; each takes the eigenvalues of covariances, a fifth of a second for 512 dimensions.
RESAMPLES = 100


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of one repeat of text-to-motion.

    Attributes:
        ids: (N,) clips whose captions were asked, valid answers or not.
        valid: (N,) whether the answer was valid.
        compared: (M,) clips whose real motions FID compares with.
        generated: {judge: (number of valid answers, E)}, in the order of `ids`.
        real: {judge: (M, E)}.
    """

    ids: np.ndarray
    valid: np.ndarray
    compared: np.ndarray
    generated: dict[str, np.ndarray]
    real: dict[str, np.ndarray]

    def save(self, folder: Path, task: str) -> None:
        """Write `embeddings_{task}.npz`, in float32.

        Args:
            folder: Where to; made if it does not exist.
            task: The task.
        """
        folder.mkdir(parents=True, exist_ok=True)
        sides = {"generated": self.generated, "real": self.real}
        arrays: dict[str, Any] = {"ids": self.ids, "valid": self.valid, "compared": self.compared}
        for side, of_judges in sides.items():
            arrays |= {f"{side}/{judge}": rows.astype(np.float32) for judge, rows in of_judges.items()}
        with atomic_write(path_of(folder, task)) as part:
            np.savez(part, **arrays)


def path_of(folder: Path, task: str) -> Path:
    """File of the embeddings of a task's first repeat.

    Args:
        folder: Output folder of an evaluation.
        task: The task.

    Returns:
        The path.
    """
    return folder / f"embeddings_{task}.npz"


def load(folder: Path, task: str) -> Embeddings | None:
    """Read the embeddings of a task.

    Args:
        folder: Output folder of an evaluation.
        task: The task.

    Returns:
        The embeddings; None where the evaluation kept none.

    Raises:
        ValueError: The file is damaged.
    """
    path = path_of(folder, task)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        sides: dict[str, dict[str, np.ndarray]] = {"generated": {}, "real": {}}
        for name, rows in arrays.items():
            side, _, judge = name.partition("/")
            if judge:
                sides[side][judge] = rows.astype(np.float64)
        return Embeddings(arrays["ids"], arrays["valid"], arrays["compared"], **sides)
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); evaluate again into another folder") from error


def comparable(first: Embeddings | None, second: Embeddings | None) -> bool:
    """Whether two evaluations asked for the same clips and compared with the same ones, so that clips form pairs.

    Args:
        first, second: Their embeddings; None where there are none.

    Returns:
        True where they did.
    """
    if first is None or second is None:
        return False
    pairs = ((first.ids, second.ids), (first.compared, second.compared))
    return all(np.array_equal(np.sort(one), np.sort(other)) for one, other in pairs)


def paired_spread(
    first: Embeddings, second: Embeddings, judge: str, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """95% half-widths of the differences of FID and Diversity, second minus first, over resampled clips.

    Clips are drawn with replacement, the same ones for both sides and for the real motions of FID; a half-width is
    1.96 standard deviations of the differences. Their mean is not used: clips that are drawn twice raise FID.

    Args:
        first, second: Of one draw, see `comparable`.
        judge: Whose embeddings.
        resamples: Number of resamples.
        seed: Of their draws.

    Returns:
        {"fid" | "diversity": half-width}; empty where a resample has fewer than two valid answers.
    """
    clips = np.unique(np.concatenate([first.ids, first.compared]))
    sides = [(_Rows(side.ids[side.valid], clips), side.generated[judge]) for side in (first, second)]
    real, references = _Rows(first.compared, clips), first.real[judge]
    random = np.random.default_rng(seed)
    differences: dict[str, list[float]] = {name: [] for name in FIGURES}
    for resample in range(resamples):
        drawn = random.integers(len(clips), size=len(clips))
        compared = references[real.of(drawn)]
        made = [embedded[rows.of(drawn)] for rows, embedded in sides]
        if min(map(len, (*made, compared))) < 2:
            return {}
        target = functional.Gaussian().add(compared)
        fids = [functional.gaussian_fid(functional.Gaussian().add(rows), target) for rows in made]
        differences["fid"].append(fids[1] - fids[0])
        spreads = [functional.diversity(rows, _times(len(rows)), seed=resample) for rows in made]
        differences["diversity"].append(spreads[1] - spreads[0])
    return {name: float(1.96 * np.std(values, ddof=1)) for name, values in differences.items()}


class _Rows:
    """Finds the rows of clips that were drawn, leaving out those that have none."""

    def __init__(self, ids: np.ndarray, clips: np.ndarray) -> None:
        self.row = np.full(len(clips), -1)
        self.row[np.searchsorted(clips, ids)] = np.arange(len(ids))

    def of(self, drawn: np.ndarray) -> np.ndarray:
        rows = self.row[drawn]
        return rows[rows >= 0]


def _times(count: int) -> int:
    return min(functional.published_diversity_times(count), count - 1)
