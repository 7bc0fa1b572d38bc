"""Distributions of motion embeddings: FID, Diversity and MultiModality."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaluate_unimo.functional.inputs import as_array, generator, positive_integer


@dataclass
class Gaussian:
    """Mean and scatter of embeddings, accumulated batch by batch: memory is D x D whatever their number.

    Batches are merged by the pairwise formula of Chan, Golub and LeVeque (1983), which loses no digits where the mean
    is large against the spread, as sums of squares would.
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scatter: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, embeddings: Any, name: str = "embeddings") -> "Gaussian":
        """Add rows.

        Args:
            embeddings: (N, D).
            name: Name of the rows in the error message.

        Returns:
            Itself.

        Raises:
            ValueError: Another D than before, or an invalid array.
        """
        rows = as_array(embeddings, name, 2)
        mean = rows.mean(0)
        centred = rows - mean
        return self.merge(Gaussian(len(rows), mean, centred.T @ centred), name)

    def merge(self, other: "Gaussian", name: str = "embeddings") -> "Gaussian":
        """Add the rows of another Gaussian.

        Args:
            other: The other Gaussian.
            name: Name of the rows in the error message.

        Returns:
            Itself.

        Raises:
            ValueError: Another D.
        """
        if not other.count:
            return self
        mean, scatter, total = other.mean, other.scatter, self.count + other.count
        if self.count:
            if len(mean) != len(self.mean):
                raise ValueError(f"{name}: rows have {len(mean)} dimensions, earlier ones had {len(self.mean)}")
            step = mean - self.mean
            scatter = scatter + self.scatter + np.outer(step, step) * (self.count * other.count / total)
            mean = self.mean + step * (other.count / total)
        self.count, self.mean, self.scatter = total, mean, scatter
        return self

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), divided by N - 1 as `numpy.cov` does.

        Raises:
            ValueError: fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"a covariance takes at least 2 rows, got {self.count}")
        return self.scatter / (self.count - 1)


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Frechet distance between two Gaussians: |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2).

    With C1 = L L^T, the eigenvalues of C1 C2 are those of the symmetric L^T C2 L, which are real and not negative, so
    that the trace is the sum of their roots. No square root of a matrix is formed, nothing becomes complex, and
    singular covariances (fewer samples than dimensions) need no epsilon on the diagonal.

    Args:
        mean1, mean2: (D,).
        cov1, cov2: (D, D) symmetric, positive semi-definite.

    Returns:
        The distance.
    """
    try:
        root = np.linalg.cholesky(cov1)
    except np.linalg.LinAlgError:
        # Singular: the eigenvectors that carry variance are root enough, and fewer of them make the rest cheaper.
        values, vectors = np.linalg.eigh(cov1)
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        root = vectors[:, kept] * np.sqrt(values[kept])
    eigenvalues = np.linalg.eigvalsh(root.T @ cov2 @ root)
    overlap = np.sqrt(eigenvalues.clip(min=0)).sum()
    distance = np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * overlap
    # Equal Gaussians come out as rounding of either sign.
    return float(max(distance, 0.0))


def gaussian_fid(predictions: Gaussian, references: Gaussian) -> float:
    """FID between two sets of embeddings that were accumulated batch by batch.

    Args:
        predictions: Of generated motions.
        references: Of real motions.

    Returns:
        The distance.

    Raises:
        ValueError: Fewer than two rows on a side, or different dimensions.
    """
    for name, side in (("predictions", predictions), ("references", references)):
        if side.count < 2:
            raise ValueError(f"{name} must hold at least 2 embeddings for FID, got {side.count}")
    if len(predictions.mean) != len(references.mean):
        raise ValueError(
            f"predictions have {len(predictions.mean)} dimensions and references {len(references.mean)}; "
            "both must come from one evaluator"
        )
    return frechet_distance(predictions.mean, predictions.covariance, references.mean, references.covariance)


def fid(predictions: Any, references: Any) -> float:
    """Frechet distance between Gaussians fitted to two sets of motion embeddings, (N, D) and (M, D).

    Counts may differ. FID falls as N grows, so state N beside it and compare only figures of one N.

    >>> fid([[0.0], [2.0]], [[1.0], [3.0], [5.0]])
    4.343145750507619

    Args:
        predictions: Embeddings of generated motions, (N, D).
        references: Embeddings of real motions, (M, D).

    Returns:
        The distance.

    Raises:
        ValueError: fewer than two rows on a side, different D, or unfit arrays.
    """
    return gaussian_fid(Gaussian().add(predictions, "predictions"), Gaussian().add(references, "references"))


def published_diversity_times(count: int) -> int:
    """Number of pairs that published evaluations draw.

    Args:
        count: Number of embeddings.

    Returns:
        300 above 300 embeddings, else 100.
    """
    return 300 if count > 300 else 100


def diversity(embeddings: Any, times: int = 300, seed: int | None = None) -> float:
    """Mean distance between `times` random pairs of embeddings (N, D): two draws without replacement, as published.

    >>> diversity([[0.0], [1.0], [3.0], [7.0]], times=3, seed=0)
    2.3333333333333335

    Args:
        embeddings: (N, D) with N above `times`.
        times: Number of pairs.
        seed: Of the draws, as for `np.random.seed`; None takes numpy's global state.

    Returns:
        The mean distance.

    Raises:
        ValueError: not more embeddings than `times`, or an unfit array.
    """
    rows = as_array(embeddings, "embeddings", 2)
    first, second = diversity_pairs(len(rows), times, seed)
    return float(np.linalg.norm(rows[first] - rows[second], axis=1).mean())


def diversity_pairs(count: int, times: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `times` random pairs: two draws without replacement.

    Args:
        count: Number of rows.
        times: Number of pairs.
        seed: Of the draws; None takes numpy's global state.

    Returns:
        First and second row of each pair, (times,) each.

    Raises:
        ValueError: `times` is not below `count`.
    """
    times = positive_integer(times, "times")
    if times >= count:
        raise ValueError(
            f"times must be below the number of embeddings, got {times} for {count}; lower times "
            f"(published: {published_diversity_times(count)} for this many) or add embeddings"
        )
    random = generator(seed)
    return random.choice(count, times, replace=False), random.choice(count, times, replace=False)


def multimodality_pairs(samples: int, times: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Samples that multimodality compares, the same for every caption, as published.

    Args:
        samples: Samples of each caption.
        times: Number of pairs.
        seed: Of the draws; None takes numpy's global state.

    Returns:
        First and second sample of each pair, (times,) each.

    Raises:
        ValueError: `times` is not below `samples`.
    """
    times = positive_integer(times, "times")
    if times >= samples:
        raise ValueError(
            f"times must be below the number of samples a caption, got {times} for {samples} "
            "(published: 10 of 30); lower times or generate more"
        )
    random = generator(seed)
    return random.choice(samples, times, replace=False), random.choice(samples, times, replace=False)


def sample_distances(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean distance between pairs of samples of each caption.

    Args:
        embeddings: (N, S, D).
        first: First sample of each pair, (times,).
        second: Second sample of each pair, (times,).

    Returns:
        (N,).
    """
    return np.linalg.norm(embeddings[:, first] - embeddings[:, second], axis=2).mean(1)


def multimodality(embeddings: Any, times: int = 10, seed: int | None = None) -> float:
    """Mean distance between motions of one caption.

    >>> multimodality([[[0.0], [1.0], [3.0]]], times=2, seed=0)
    0.5

    Args:
        embeddings: (N captions, S samples, D) with S above `times`.
        times: Pairs a caption.
        seed: Of the draws, as for `np.random.seed`; None takes numpy's global state.

    Returns:
        The mean distance.

    Raises:
        ValueError: `times` is not below S, or an invalid array.
    """
    rows = as_array(embeddings, "embeddings", 3)
    return float(sample_distances(rows, *multimodality_pairs(rows.shape[1], times, seed)).mean())
