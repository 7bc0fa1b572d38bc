"""Every number this package reports about motion and captions: plain functions over numpy arrays and strings.

The definitions are those of the published protocol (text-to-motion's `utils/metrics.py`, its copies in T2M-GPT,
Motion-Agent and UniMo, and UniMo's motion-to-text scripts), so that figures can be set beside published ones. Two
things differ on purpose: distances are computed in float64 and never turn NaN from rounding, and FID takes the
eigenvalues of a symmetric matrix instead of a general matrix square root, which is faster and exact for fewer samples
than dimensions. Embeddings may be numpy arrays, torch tensors or nested lists.
"""

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

# ---------------------------------------------------------------------------------------------------------------------
# Input


def as_array(values: Any, name: str, ndim: int) -> np.ndarray:
    """`values` as a float64 array of `ndim` dimensions with at least one element, every one of them finite.

    Args:
        values: numpy array, torch tensor (any device and float type) or nested sequence of numbers.
        name: what the caller calls it; it opens every error message.

    Raises:
        ValueError: not numbers, ragged, of another number of dimensions, empty, NaN or infinite.
    """
    # A tensor can only arrive where torch has been imported, so that numpy users never pay for importing it.
    torch = sys.modules.get("torch")
    if isinstance(values, str | bytes):
        raise ValueError(f"{name}: got a string where an array of numbers with {ndim} dimensions is needed")
    if isinstance(values, list | tuple) and torch is not None and any(isinstance(v, torch.Tensor) for v in values):
        values = [as_array(v, f"{name}[{i}]", ndim - 1) for i, v in enumerate(values)]
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: rows differ in length or shape; every row needs the same shape") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name}: holds {array.dtype} values; real numbers are needed")
    if array.ndim != ndim:
        raise ValueError(f"{name}: has shape {array.shape}; {ndim} dimensions are needed")
    if array.size == 0:
        raise ValueError(f"{name}: is empty (shape {array.shape})")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        bad = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"{name}: holds NaN or infinity, first in row {bad}; drop or repair that row")
    return array


def as_pairs(first: Any, second: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Two (N, D) arrays whose rows belong together.

    Raises:
        ValueError: as `as_array`, and for different shapes.
    """
    a, b = as_array(first, names[0], 2), as_array(second, names[1], 2)
    if a.shape != b.shape:
        raise ValueError(f"{names[0]} has shape {a.shape} and {names[1]} {b.shape}; row i of both must be one pair")
    return a, b


def positive_integer(value: Any, name: str) -> int:
    """`value` as an int; ValueError naming it where it is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: got {value!r}; a whole number of at least 1 is needed")
    return int(value)


# ---------------------------------------------------------------------------------------------------------------------
# Text and motion in one space


def distance_matrix(rows: Any, columns: Any) -> np.ndarray:
    """Euclidean distances (N, M) between `rows` (N, D) and `columns` (M, D).

    Published `euclidean_distance_matrix` takes the root of |a|^2 + |b|^2 - 2ab in float32, where rounding can make the
    sum of a pair that coincides negative and the distance NaN; here the sum is float64 and never below zero.

    >>> distance_matrix([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]])
    array([[5., 0.]])
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


def pooled_rank_counts(texts: np.ndarray, motions: np.ndarray, pool_size: int) -> np.ndarray:
    """How often each rank (`retrieval_ranks`) occurs, (pool_size,), over whole pools of consecutive rows."""
    counts = np.zeros(pool_size, np.int64)
    for begin in range(0, len(texts), pool_size):
        pool = slice(begin, begin + pool_size)
        counts += np.bincount(retrieval_ranks(texts[pool], motions[pool]), minlength=pool_size)
    return counts


def hits_within(rank_counts: np.ndarray, top_k: int) -> dict[str, float]:
    """{"r_precision_top1": share of rank 0, ... up to `top_k`} from `rank_counts[r]`, the number of texts of rank r.

    Raises:
        ValueError: `top_k` beyond the pool.
    """
    top_k = positive_integer(top_k, "top_k")
    if top_k > len(rank_counts):
        raise ValueError(f"top_k: {top_k} is more than the {len(rank_counts)} motions of a pool")
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
    full = len(texts) // pool_size * pool_size
    return hits_within(pooled_rank_counts(texts[:full], motions[:full], pool_size), top_k)


def pair_distances(text_embeddings: Any, motion_embeddings: Any) -> np.ndarray:
    """Distance (N,) between each text and its own motion, (N, D) each."""
    texts, motions = as_pairs(text_embeddings, motion_embeddings, ("text_embeddings", "motion_embeddings"))
    return np.linalg.norm(texts - motions, axis=1)


def mm_dist(text_embeddings: Any, motion_embeddings: Any) -> float:
    """Mean distance between each text and its own motion ("matching score"), (N, D) each; lower is better.

    >>> mm_dist([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]])
    2.5
    """
    return float(pair_distances(text_embeddings, motion_embeddings).mean())


# ---------------------------------------------------------------------------------------------------------------------
# Distributions of motion


@dataclass
class Gaussian:
    """Mean and scatter of embeddings, taken in batch by batch: memory is D x D whatever their number.

    Batches are merged by the pairwise formula of Chan, Golub and LeVeque (1983), which loses no digits where the mean
    is large against the spread, as sums of squares would.
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    scatter: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def add(self, embeddings: Any, name: str = "embeddings") -> "Gaussian":
        """Take in (N, D) more rows; returns itself.

        Raises:
            ValueError: another D than before, or an unfit array.
        """
        rows = as_array(embeddings, name, 2)
        mean = rows.mean(0)
        centred = rows - mean
        return self.merge(Gaussian(len(rows), mean, centred.T @ centred), name)

    def merge(self, other: "Gaussian", name: str = "embeddings") -> "Gaussian":
        """Take in the rows that another one has; returns itself.

        Raises:
            ValueError: another D.
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
            raise ValueError(f"a covariance needs at least 2 rows, got {self.count}")
        return self.scatter / (self.count - 1)


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Frechet distance between two Gaussians: |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2).

    With C1 = L L^T, the eigenvalues of C1 C2 are those of the symmetric L^T C2 L, which are real and not negative, so
    that the trace is the sum of their roots. No square root of a matrix is formed, nothing becomes complex, and
    singular covariances (fewer samples than dimensions) need no epsilon on the diagonal.

    Args:
        mean1, mean2: (D,).
        cov1, cov2: (D, D) symmetric, positive semi-definite.
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
    """FID between two sets of embeddings that were taken in batch by batch.

    Raises:
        ValueError: fewer than two rows on a side, or different dimensions.
    """
    for name, side in (("predictions", predictions), ("references", references)):
        if side.count < 2:
            raise ValueError(f"{name}: FID needs at least 2 embeddings, got {side.count}")
    if len(predictions.mean) != len(references.mean):
        raise ValueError(
            f"predictions have {len(predictions.mean)} dimensions and references {len(references.mean)}; "
            "both must come from one evaluator"
        )
    return frechet_distance(predictions.mean, predictions.covariance, references.mean, references.covariance)


def fid(predictions: Any, references: Any) -> float:
    """Frechet distance between Gaussians fitted to two sets of motion embeddings, (N, D) and (M, D).

    Counts may differ. FID falls as N grows, so state N beside it and compare only figures of one N.

    Raises:
        ValueError: fewer than two rows on a side, different D, or unfit arrays.

    >>> fid([[0.0], [2.0]], [[1.0], [3.0], [5.0]])
    4.343145750507619
    """
    return gaussian_fid(Gaussian().add(predictions, "predictions"), Gaussian().add(references, "references"))


def generator(seed: int | None) -> Any:
    """The generator behind the published draws: `np.random.seed(seed)`'s stream, or numpy's global one for None."""
    if seed is None:
        return np.random
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed: got {seed!r}; a whole number in 0..{2**32 - 1} or None is needed")
    return np.random.RandomState(int(seed))


def published_diversity_times(count: int) -> int:
    """The number of pairs published evaluations draw from `count` embeddings: 300 above 300 embeddings, else 100."""
    return 300 if count > 300 else 100


def diversity(embeddings: Any, times: int = 300, seed: int | None = None) -> float:
    """Mean distance between `times` random pairs of embeddings (N, D): two draws without replacement, as published.

    Raises:
        ValueError: not more embeddings than `times`, or an unfit array.

    >>> diversity([[0.0], [1.0], [3.0], [7.0]], times=3, seed=0)
    2.3333333333333335
    """
    rows = as_array(embeddings, "embeddings", 2)
    first, second = diversity_pairs(len(rows), times, seed)
    return float(np.linalg.norm(rows[first] - rows[second], axis=1).mean())


def diversity_pairs(count: int, times: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows, of `count`, that `times` random pairs are made of: two draws without replacement.

    Raises:
        ValueError: not more rows than `times`.
    """
    times = positive_integer(times, "times")
    if times >= count:
        raise ValueError(
            f"times: {times} pairs need more than {times} embeddings, got {count}; lower times "
            f"(published: {published_diversity_times(count)} for this many) or add embeddings"
        )
    random = generator(seed)
    return random.choice(count, times, replace=False), random.choice(count, times, replace=False)


def multimodality_pairs(samples: int, times: int, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The sample numbers (times,), (times,) that multimodality compares, the same for every caption, as published.

    Raises:
        ValueError: not more samples than `times`.
    """
    times = positive_integer(times, "times")
    if times >= samples:
        raise ValueError(
            f"times: {times} pairs need more than {times} samples of each caption, got {samples} "
            "(published: 10 of 30); lower times or generate more"
        )
    random = generator(seed)
    return random.choice(samples, times, replace=False), random.choice(samples, times, replace=False)


def sample_distances(embeddings: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mean distance (N,) between samples `first` and `second` of each caption's (S, D) embeddings."""
    return np.linalg.norm(embeddings[:, first] - embeddings[:, second], axis=2).mean(1)


def multimodality(embeddings: Any, times: int = 10, seed: int | None = None) -> float:
    """Mean distance between motions of one caption: `embeddings` (N captions, S samples, D), `times` pairs a caption.

    Raises:
        ValueError: not more samples than `times`, or an unfit array.

    >>> multimodality([[[0.0], [1.0], [3.0]]], times=2, seed=0)
    0.5
    """
    rows = as_array(embeddings, "embeddings", 3)
    return float(sample_distances(rows, *multimodality_pairs(rows.shape[1], times, seed)).mean())


# ---------------------------------------------------------------------------------------------------------------------
# Physics


def foot_skating(
    joints: Any,
    fps: float = 20.0,
    feet: Sequence[int] | None = None,
    floor: float | None = 0.0,
    contact_height: float = 0.05,
    skating_speed: float = 0.5,
) -> dict[str, float]:
    """How much feet slide while they touch the ground.

    `skating_ratio` is the measure of GMD (Karunratanakul et al., ICCV 2023; also used by OmniControl): a foot touches
    the ground from one frame to the next where it is below `contact_height` in both; it skates where it then moves
    across the ground faster than `skating_speed`, in that step and on average over five steps; the ratio is the share
    of steps in which either foot skates, averaged over clips.
    `mean_slide_m` is the distance a touching foot moves across the ground in one step, averaged over all such steps of
    all clips (0 where no foot ever touches).

    Args:
        joints: one clip (T, J, 3), a batch (B, T, J, 3) or a list of clips of any lengths; metres, Y up.
        fps: frames per second.
        feet: indices of the joints to watch; default the two feet (10, 11) of the 22-joint skeleton.
        floor: height of the ground in metres; None takes, in each clip, the lowest position of those joints.
        contact_height: metres. skating_speed: metres per second.

    Raises:
        ValueError: no clip, a clip of one frame, no or wrong feet for the skeleton, settings that are not positive,
            or unfit arrays.

    >>> import numpy as np
    >>> still = np.zeros((10, 22, 3))
    >>> foot_skating(still)
    {'skating_ratio': 0.0, 'mean_slide_m': 0.0}
    >>> still[:, :, 2] = 0.0625 * np.arange(10)[:, None]
    >>> foot_skating(still)
    {'skating_ratio': 1.0, 'mean_slide_m': 0.0625}
    """
    measured = [
        clip_skating(clip, fps, feet, floor, contact_height, skating_speed, f"joints[{i}]")
        for i, clip in enumerate(split_clips(joints))
    ]
    return merge_skating(measured)


def split_clips(joints: Any) -> list[Any]:
    """One clip (T, J, 3), a batch (B, T, J, 3) or a list of clips, as a list of clips, whose values are not checked.

    Raises:
        ValueError: neither of these, or no clip at all.
    """
    dimensions = _dimensions(joints)
    if dimensions not in (3, 4):
        raise ValueError(
            f"joints: has {dimensions} dimensions; a clip (T, J, 3), a batch (B, T, J, 3) or a list of clips is needed"
        )
    clips = [joints] if dimensions == 3 else list(joints)
    if not clips:
        raise ValueError("joints: holds no clip")
    return clips


def _dimensions(values: Any) -> int:
    """Dimensions of nested lists of numbers or arrays, by their first elements: clips of a list differ in length."""
    levels = 0
    while isinstance(values, list | tuple):
        levels += 1
        values = values[0] if values else 0.0
    return levels + int(np.ndim(values))


@dataclass(frozen=True)
class ClipSkating:
    """What one clip adds to foot skating: its ratio, the metres its touching feet slid and over how many steps."""

    ratio: float
    slide: float
    steps: int


def merge_skating(clips: Sequence[ClipSkating]) -> dict[str, float]:
    """Foot skating of many clips from what was measured in each."""
    steps = sum(clip.steps for clip in clips)
    return {
        "skating_ratio": float(np.mean([clip.ratio for clip in clips])),
        "mean_slide_m": float(sum(clip.slide for clip in clips) / max(steps, 1)),
    }


def clip_skating(
    joints: Any,
    fps: float = 20.0,
    feet: Sequence[int] | None = None,
    floor: float | None = 0.0,
    contact_height: float = 0.05,
    skating_speed: float = 0.5,
    name: str = "joints",
) -> ClipSkating:
    """`foot_skating` of one clip (T, J, 3), not yet averaged."""
    clip = as_array(joints, name, 3)
    if clip.shape[2] != 3:
        raise ValueError(f"{name}: has shape {clip.shape}; (frames, joints, 3) is needed")
    if len(clip) < 2:
        raise ValueError(f"{name}: has one frame; sliding needs at least 2")
    for setting, value in (("fps", fps), ("contact_height", contact_height), ("skating_speed", skating_speed)):
        if not value > 0:
            raise ValueError(f"{setting}: got {value!r}; a number above 0 is needed")
    if feet is None and clip.shape[1] != 22:
        raise ValueError(f"{name}: has {clip.shape[1]} joints, not 22; say which are the feet: feet=(left, right)")
    feet = list((10, 11) if feet is None else feet)
    if not feet or not all(0 <= foot < clip.shape[1] for foot in feet):
        raise ValueError(f"feet: got {feet}; joint indices in 0..{clip.shape[1] - 1} are needed")

    positions = clip[:, feet]
    heights = positions[:, :, 1] - (positions[:, :, 1].min() if floor is None else floor)
    slides = np.linalg.norm(np.diff(positions[:, :, [0, 2]], axis=0), axis=2)
    touching = (heights[:-1] < contact_height) & (heights[1:] < contact_height)
    # As published, the mean over five steps takes what lies beyond either end of the clip as standing still.
    padded = np.pad(slides * fps, ((2, 2), (0, 0)))
    average = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0).mean(-1)
    skating = touching & (slides * fps > skating_speed) & (average > skating_speed)
    return ClipSkating(float(skating.any(1).mean()), float(slides[touching].sum()), int(touching.sum()))


# ---------------------------------------------------------------------------------------------------------------------
# Captions


def three_references(captions: Sequence[str]) -> list[str]:
    """The published reference rule: the first three captions of a motion; two become [a, b, a], one is repeated.

    Raises:
        ValueError: no caption, or something else than a list of strings.

    >>> three_references(["a man walks.", "someone walks."])
    ['a man walks.', 'someone walks.', 'a man walks.']
    """
    captions = _strings(captions, "captions")
    return [captions[i % min(len(captions), 3)] for i in range(3)]


def check_captions(predictions: Any, references: Any) -> tuple[list[str], list[list[str]]]:
    """N predicted captions and, for each, a list of at least one reference.

    A prediction may be empty; an empty reference is a fault in the data.

    Raises:
        ValueError: strings where lists are needed, other things than strings, no pair at all, different counts, or a
            prediction without references.
    """
    predictions = _strings(predictions, "predictions", allow_blank=True)
    if isinstance(references, str | bytes) or not isinstance(references, Iterable):
        raise ValueError(
            f"references: got {type(references).__name__}; a list of reference captions for each prediction"
        )
    references = [_strings(r, f"references[{i}]") for i, r in enumerate(references)]
    if len(predictions) != len(references):
        raise ValueError(f"got {len(predictions)} predictions and {len(references)} lists of references; one each")
    return predictions, references


def _strings(values: Any, name: str, allow_blank: bool = False) -> list[str]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: got {values!r:.80}; a list of strings is needed (wrap a single caption in [ ])")
    values = list(values)
    if not values:
        raise ValueError(f"{name}: is empty")
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"{name}[{i}]: got {value!r:.80}; a string is needed")
        if not allow_blank and not value.strip():
            raise ValueError(f"{name}[{i}]: is an empty caption; drop it")
    return [str(value) for value in values]


def bleu(predictions: Sequence[str], references: Sequence[Sequence[str]], sentences: bool = False) -> dict[str, float]:
    """Corpus BLEU@1 and BLEU@4 by `nltk.translate.bleu_score.corpus_bleu` with its smoothing method 4.

    Captions are put in lower case and split by `nltk.word_tokenize`. That function first splits a text into sentences
    where `sentences` is true, for which nltk's "punkt_tab" data must be installed; without, only the last full stop
    of a caption becomes a token of its own.

    Returns:
        {"bleu1": ..., "bleu4": ...}, each in 0..1.
    """
    from nltk.tokenize import word_tokenize
    from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu

    predictions, references = check_captions(predictions, references)

    def split(text: str) -> list[str]:
        return word_tokenize(text.lower(), preserve_line=not sentences)

    hypotheses = [split(text) for text in predictions]
    truths = [[split(text) for text in texts] for texts in references]
    smoothing = SmoothingFunction().method4
    weights = {"bleu1": (1.0, 0.0, 0.0, 0.0), "bleu4": (0.25, 0.25, 0.25, 0.25)}
    return {k: float(corpus_bleu(truths, hypotheses, w, smoothing_function=smoothing)) for k, w in weights.items()}


def rouge_l(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean over captions of the best ROUGE-L F over their references, by `rouge_score` with its stemmer; in 0..1."""
    from rouge_score.rouge_scorer import RougeScorer

    predictions, references = check_captions(predictions, references)
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    best = [
        max(scorer.score(reference, prediction)["rougeL"].fmeasure for reference in texts)
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    return float(np.mean(best))


def cider(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr by `pycocoevalcap` on the captions as they are: words between spaces, case and punctuation count.

    Words are weighted by how rare they are in these references, so that a figure holds for its set of captions only
    (and is 0 for a single one); 0..10.
    """
    from pycocoevalcap.cider.cider import Cider

    predictions, references = check_captions(predictions, references)
    truths = dict(enumerate(references))
    score, _ = Cider().compute_score(truths, {i: [text] for i, text in enumerate(predictions)})
    return float(score)


def bertscore_f1(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    encoder: str | Path,
    layers: int = 17,
    baseline: str | Path | None = "roberta-large",
) -> float:
    """Mean BERTScore F1 (best reference each) by `bert_score`, with an encoder from a local folder and no idf.

    The defaults are the published ones for English: layer 17 of roberta-large, rescaled by the library's baseline.

    Args:
        encoder: folder of a transformers encoder with its tokenizer.
        layers: the layer whose states are compared.
        baseline: "roberta-large" for the library's own file, the path of another such file, or None for raw scores.

    Raises:
        ImportError: `bert_score` is not installed.
        FileNotFoundError: no encoder at that folder, or no such baseline.
        ValueError: an empty prediction, fewer layers than asked for, a tokeniser without `model_max_length`, or
            roberta-large's baseline for another encoder.
    """
    try:
        import bert_score
    except ImportError as error:
        raise ImportError("BERTScore needs the bert-score package: pip install 'unimo[bertscore]'") from error

    from transformers import AutoTokenizer

    predictions, references = check_captions(predictions, references)
    if not all(text.strip() for text in predictions):
        raise ValueError("predictions: bert_score cannot read empty captions; use empty_predictions='leave_out'")
    folder = Path(encoder)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: no config.json; the folder of a saved transformers encoder is needed")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    depth = config.get("num_hidden_layers", config.get("n_layers"))
    if depth is not None and not 0 < layers <= depth:
        raise ValueError(f"layers: {layers} asked for, but {folder} has {depth}")
    if baseline == "roberta-large":
        if config.get("model_type") != "roberta" or depth != 24:
            raise ValueError(
                f"{folder} is not roberta-large, so that library baseline does not fit it; "
                "give a baseline file of its own or baseline=None for raw scores"
            )
        baseline = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / "roberta-large.tsv"
    if baseline is not None and not Path(baseline).is_file():
        raise FileNotFoundError(f"{baseline}: no such baseline file")
    # The library hands this number to the tokeniser as it is, and the default for "unknown" overflows there.
    if AutoTokenizer.from_pretrained(folder).model_max_length > 2**31:
        raise ValueError(f"{folder}: its tokeniser has no model_max_length; set it in tokenizer_config.json")
    _, _, scores = bert_score.score(
        predictions,
        references,
        model_type=str(folder),
        num_layers=layers,
        lang="en",
        rescale_with_baseline=baseline is not None,
        baseline_path=None if baseline is None else str(baseline),
    )
    return float(scores.mean())


def captioning(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    reference_rule: str = "published",
    empty_predictions: str = "leave_out",
    sentences: bool = False,
    bertscore_encoder: str | Path | None = None,
    bertscore_layers: int = 17,
    bertscore_baseline: str | Path | None = "roberta-large",
) -> dict[str, float]:
    """Captions against references by the published libraries, tokenisation and reference rule.

    Args:
        predictions: N captions.
        references: for each prediction a list of captions.
        reference_rule: "published" compares with `three_references` of each list, "all" with all that are given.
        empty_predictions: an empty caption is no answer. "leave_out" counts it and scores the others, as the protocol
            does with every invalid answer; "score" keeps it, which the published scripts do.
        sentences: see `bleu`.
        bertscore_encoder, bertscore_layers, bertscore_baseline: see `bertscore_f1`; without an encoder it is left out.

    Returns:
        bleu1, bleu4, rouge_l (0..1), cider (0..10), with an encoder bertscore_f1, and `empty`: how many predictions
        are empty. Where any was left out, state it beside the scores.

    Raises:
        ValueError: see `check_captions`; an unknown rule; or no prediction but empty ones.

    >>> scores = captioning(["a man walks forward."], [["a man walks forward.", "someone walks."]])
    >>> scores["bleu1"], scores["bleu4"], scores["rouge_l"]
    (1.0, 1.0, 1.0)
    """
    predictions, references = check_captions(predictions, references)
    if reference_rule not in ("published", "all"):
        raise ValueError(f"reference_rule: got {reference_rule!r}; 'published' or 'all' is needed")
    if reference_rule == "published":
        references = [three_references(texts) for texts in references]
    if empty_predictions not in ("leave_out", "score"):
        raise ValueError(f"empty_predictions: got {empty_predictions!r}; 'leave_out' or 'score' is needed")
    given = len(predictions)
    answered = [i for i, text in enumerate(predictions) if text.strip()]
    if empty_predictions == "leave_out":
        if not answered:
            raise ValueError(f"predictions: all {given} are empty, so that nothing is left to score")
        predictions, references = [predictions[i] for i in answered], [references[i] for i in answered]
    scores: dict[str, float] = bleu(predictions, references, sentences)
    scores["rouge_l"] = rouge_l(predictions, references)
    scores["cider"] = cider(predictions, references)
    if bertscore_encoder is not None:
        scores["bertscore_f1"] = bertscore_f1(
            predictions, references, bertscore_encoder, bertscore_layers, bertscore_baseline
        )
    scores["empty"] = given - len(answered)
    return scores


# ---------------------------------------------------------------------------------------------------------------------
# Repeats, and what a figure was made with


def mean_ci95(values: Iterable[float]) -> dict[str, float]:
    """{"mean", "ci95"} of one metric over repeats: the 95% half-width is 1.96 population deviations / sqrt(n).

    A single repeat has a half-width of 0: nothing is known about its spread.

    Raises:
        ValueError: no value, or one that is not finite.

    >>> mean_ci95([1.0, 2.0, 3.0, 2.0])
    {'mean': 2.0, 'ci95': 0.6929646455628166}
    """
    array = as_array(list(values), "values", 1)
    return {"mean": float(array.mean()), "ci95": float(1.96 * array.std() / np.sqrt(len(array)))}


def fingerprint(value: Any) -> str:
    """Twelve hexadecimal digits that change with the content of an array, a list of strings, a file or a model folder.

    Of a folder its safetensors files count, by name and content.

    Raises:
        FileNotFoundError: nothing at that path, or no safetensors file in that folder.
        ValueError: something else.
    """
    digest = hashlib.sha256()
    if isinstance(value, Path):
        files = sorted(value.glob("*.safetensors")) if value.is_dir() else [value]
        if not files:
            raise FileNotFoundError(f"{value}: holds no safetensors file to take a fingerprint of")
        for file in files:
            digest.update(file.name.encode())
            with file.open("rb") as opened:
                while block := opened.read(1 << 24):
                    digest.update(block)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, list | tuple):
        digest.update(json.dumps(_strings(value, "texts", allow_blank=True)).encode())
    else:
        raise ValueError(
            f"a fingerprint is taken of an array, a list of strings or a Path, not {type(value).__name__}"
        )
    return digest.hexdigest()[:12]


def protocol_tag(
    evaluator: str | Path,
    statistics: Any = "the evaluator's own",
    caption_set: Any = "not named",
    tokeniser: str = "not named",
    libraries: Sequence[str] = ("unimo", "numpy", "torch", "transformers", "nltk", "rouge-score", "pycocoevalcap"),
    **settings: Any,
) -> dict[str, Any]:
    """What a figure was made with, for keeping beside it: figures with different tags are not comparable.

    Args:
        evaluator: the folder of the evaluator (its weights' fingerprint goes into the tag) or a plain description.
        statistics, caption_set: a description, or the thing itself (array, list of strings, `Path`), of which the
            fingerprint goes into the tag.
        tokeniser: what split the captions that the evaluator read.
        libraries: distributions whose installed versions go into the tag.
        settings: anything else that changes a figure (repeats, pool_size, times, seed, reference_rule, ...).

    Returns:
        {"evaluator", "statistics", "caption_set", "tokeniser", "caption_tokeniser", "libraries": {name: version},
        **settings}, all of it fit for JSON.

    >>> tag = protocol_tag("a test", caption_set=["a man walks."], libraries=["numpy"], pool_size=32)
    >>> tag["caption_set"], tag["pool_size"], list(tag["libraries"])
    ('1 texts, sha256 1ac083e33998', 32, ['python', 'numpy'])
    """
    folder = Path(evaluator)
    if folder.is_dir():
        evaluator = f"{folder.resolve().name}, sha256 {fingerprint(folder)}"
    return {
        "evaluator": str(evaluator),
        "statistics": _described(statistics),
        "caption_set": _described(caption_set),
        "tokeniser": tokeniser,
        "caption_tokeniser": "BLEU nltk word_tokenize in lower case, ROUGE-L rouge_score stemmed, CIDEr spaces",
        "libraries": {"python": platform.python_version()} | {name: _version(name) for name in libraries},
        **settings,
    }


def format_tag(tag: Mapping[str, Any]) -> str:
    """A protocol tag as one line.

    >>> format_tag({"evaluator": "judge", "libraries": {"numpy": "2.0"}})
    'evaluator: judge | numpy 2.0'
    """
    parts = [f"{name}: {value}" for name, value in tag.items() if name != "libraries"]
    parts += [f"{name} {version}" for name, version in tag.get("libraries", {}).items()]
    return " | ".join(parts)


def _described(value: Any) -> str:
    if isinstance(value, str):
        return value
    what = {list: "texts", tuple: "texts", np.ndarray: "array"}.get(type(value))
    if isinstance(value, Path):
        return f"{value.name}, sha256 {fingerprint(value)}"
    size = value.shape if what == "array" else f"{len(value)}" if what else ""
    return f"{size} {what}, sha256 {fingerprint(value)}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
