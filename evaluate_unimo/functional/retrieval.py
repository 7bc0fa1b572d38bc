"""Text and motion in one space: R-Precision and MM-Dist."""

from typing import Any

import numpy as np

from evaluate_unimo.functional.inputs import as_array, as_pairs, generator, positive_integer


def distance_matrix(rows: Any, columns: Any) -> np.ndarray:
    """Euclidean distances (N, M) between `rows` (N, D) and `columns` (M, D).

    Published `euclidean_distance_matrix` takes the root of |a|^2 + |b|^2 - 2ab in float32, where rounding can make the
    sum of a pair that coincides negative and the distance NaN; here the sum is float64 and never below zero.

    >>> distance_matrix([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]])
    array([[5., 0.]])

    Args:
        rows: (N, D).
        columns: (M, D).

    Returns:
        (N, M), float64.

    Raises:
        ValueError: The dimensions differ, or an invalid array.
    """
    a, b = as_array(rows, "rows", 2), as_array(columns, "columns", 2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"rows have {a.shape[1]} dimensions and columns {b.shape[1]}; both must come from one evaluator"
        )
    squared = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * (a @ b.T)
    return np.sqrt(squared.clip(min=0))


def retrieval_ranks(text_embeddings: Any, motion_embeddings: Any) -> np.ndarray:
    """For each text of one pool, how many motions of the pool come before its own (0 = its own is the nearest).

    Equal distances keep the order of the motions, so that a model whose embeddings collapse to a point scores what
    chance would.

    Args:
        text_embeddings, motion_embeddings: (P, D), row i of both one pair.

    Returns:
        (P,) integers in 0..P-1.
    """
    texts, motions = as_pairs(text_embeddings, motion_embeddings, ("text_embeddings", "motion_embeddings"))
    distances = distance_matrix(texts, motions)
    own = np.diagonal(distances)[:, None]
    before = np.tri(len(distances), k=-1, dtype=bool)
    return ((distances < own) | ((distances == own) & before)).sum(1)


def pooled_ranks(texts: np.ndarray, motions: np.ndarray, pool_size: int) -> np.ndarray:
    """`retrieval_ranks` within pools of consecutive rows; the rows of an incomplete last pool are left out.

    Args:
        texts: Embeddings (N, D).
        motions: Embeddings (N, D), row by row those of the texts.
        pool_size: Rows a pool.

    Returns:
        (N // pool_size * pool_size,) integers.
    """
    full = len(texts) // pool_size * pool_size
    pools = (slice(begin, begin + pool_size) for begin in range(0, full, pool_size))
    return np.concatenate([np.zeros(0, np.int64), *(retrieval_ranks(texts[pool], motions[pool]) for pool in pools)])


def pooled_rank_counts(texts: np.ndarray, motions: np.ndarray, pool_size: int) -> np.ndarray:
    """Histogram of `pooled_ranks`.

    Args:
        texts: Embeddings (N, D).
        motions: Embeddings (N, D).
        pool_size: Rows a pool.

    Returns:
        (pool_size,).
    """
    return np.bincount(pooled_ranks(texts, motions, pool_size), minlength=pool_size)


def hits_within(rank_counts: np.ndarray, top_k: int) -> dict[str, float]:
    """R-Precision from a histogram of ranks.

    Args:
        rank_counts: Number of texts of each rank.
        top_k: Largest k.

    Returns:
        {"r_precision_top1": share of rank 0, ... up to `top_k`}.

    Raises:
        ValueError: `top_k` is above the size of the pool.
    """
    top_k = positive_integer(top_k, "top_k")
    if top_k > len(rank_counts):
        raise ValueError(f"top_k must be <= {len(rank_counts)}, the motions of a pool, got {top_k}")
    shares = np.cumsum(rank_counts)[:top_k] / np.sum(rank_counts)
    return {f"r_precision_top{k + 1}": float(share) for k, share in enumerate(shares)}


def r_precision(
    text_embeddings: Any,
    motion_embeddings: Any,
    top_k: int = 3,
    pool_size: int = 32,
    shuffle: bool = False,
    seed: int | None = None,
) -> dict[str, float]:
    """Share of texts whose own motion is among the k nearest of a pool, k = 1..`top_k`.

    Rows are pooled as they come, `pool_size` at a time, and rows left over at the end are not scored: this is the
    published evaluation, whose loader shuffles and drops the last incomplete batch. Rows sorted by length or by
    caption make other pools than shuffled ones: use `shuffle`.

    Args:
        text_embeddings, motion_embeddings: (N, D), row i of both one pair.
        shuffle: draw the pools at random.
        seed: of that draw; None takes numpy's global generator.

    Returns:
        {"r_precision_top1": ..., ...}, each in 0..1.

    Raises:
        ValueError: fewer rows than one pool, `top_k` beyond the pool, or unfit arrays.

    >>> r_precision([[0.0], [10.0], [20.0], [21.0]], [[0.0], [10.0], [21.0], [20.0]], top_k=2, pool_size=4)
    {'r_precision_top1': 0.5, 'r_precision_top2': 1.0}
    """
    texts, motions = as_pairs(text_embeddings, motion_embeddings, ("text_embeddings", "motion_embeddings"))
    pool_size = positive_integer(pool_size, "pool_size")
    if len(texts) < pool_size:
        raise ValueError(f"{len(texts)} pairs do not fill one pool of {pool_size}; add pairs or lower pool_size")
    if shuffle:
        order = generator(seed).permutation(len(texts))
        texts, motions = texts[order], motions[order]
    return hits_within(pooled_rank_counts(texts, motions, pool_size), top_k)


def pair_distances(text_embeddings: Any, motion_embeddings: Any) -> np.ndarray:
    """Distance between each text and its own motion.

    Args:
        text_embeddings: (N, D).
        motion_embeddings: (N, D).

    Returns:
        (N,).
    """
    texts, motions = as_pairs(text_embeddings, motion_embeddings, ("text_embeddings", "motion_embeddings"))
    return np.linalg.norm(texts - motions, axis=1)


def mm_dist(text_embeddings: Any, motion_embeddings: Any) -> float:
    """Mean distance between each text and its own motion ("matching score"); lower is better.

    >>> mm_dist([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]])
    2.5

    Args:
        text_embeddings: (N, D).
        motion_embeddings: (N, D).

    Returns:
        The mean distance.
    """
    return float(pair_distances(text_embeddings, motion_embeddings).mean())
