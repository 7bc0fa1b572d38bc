"""One repeat of each task's protocol: draw captions, take the answers, embed with every judge, score.

Follows HumanML3D's protocol (R-Precision in pools of 32, FID, MM-Dist, Diversity; captions against up to three
references) with two differences that are named where they are made: answers are sampled in batches, and FID can
compare with motions whose captions were not asked for. Where the answers come from is not known here:
`evaluate_unimo.run` takes them from a model, `evaluate_unimo.score` from files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from datasets_scripts.captioned_motions import CaptionedMotion
from datasets_scripts.captions import SPACY_MODEL
from datasets_scripts.verify import Verification
from evaluate_unimo import functional
from evaluate_unimo.admissible import does_admissible
from evaluate_unimo.embeddings import Embeddings
from evaluate_unimo.instruction_accuracy import check_features, count_claims, headline

MULTIMODALITY_TIMES = 10  # published: pairs of samples of a caption
EMPTY_KEPT = ("coco", "tm2t")  # captioning protocols in which a missing answer is an empty caption


@dataclass(frozen=True)
class Draw:
    """What one repeat asks: rows of a split, the caption chosen of each, and the rows that FID compares with."""

    asked: list[int]
    choices: list[int]
    compared: list[int]


@dataclass(frozen=True)
class Scored:
    """The figures of one repeat and what each clip adds to them.

    Attributes:
        scores: {metric: value}, a second judge's or captioning protocol's under its name.
        clips: {"ids": [...], metric: one value a clip}, None for a clip that was not scored; both empty where a figure
            is no sum over clips. `consistency` comes as claims_held and claims_decided, BLEU as the counts of
            `functional.bleu_counts`.
        embeddings: What FID and Diversity were computed from, where there are such figures.
    """

    scores: dict[str, Any]
    clips: dict[str, list[Any]]
    embeddings: Embeddings | None = None


@dataclass(frozen=True)
class Asked:
    """One caption that was asked for, and the motion that answers it; None for an invalid answer."""

    id: str
    choice: int
    text: str
    motion: Any


Keep = Callable[[list[Asked]], None]
KeepCaptions = Callable[[list[tuple[str, str | None]]], None]  # of each motion's id and its caption


def draw(entries: Sequence[CaptionedMotion], seed: int, halves: bool = False) -> Draw:
    """Draw entries in random order with a random caption each.

    Args:
        entries: Clips of the split.
        seed: Of the draws.
        halves: Draw one half only, to be compared with the other.

    Returns:
        The draw.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(entries)).tolist()
    half = len(entries) // 2 if halves else len(entries)
    asked, compared = order[:half], order[half : 2 * half] if halves else order[:half]
    return Draw(asked, [int(rng.integers(len(entries[i].texts))) for i in asked], compared)


def draw_in_order(entries: Sequence[CaptionedMotion], seed: int) -> Draw:
    """Take every entry in order with a random caption.

    Args:
        entries: Clips of the split.
        seed: Of the draws.

    Returns:
        The draw.
    """
    rng = np.random.default_rng(seed)
    rows = list(range(len(entries)))
    return Draw(rows, [int(rng.integers(len(entry.texts))) for entry in entries], rows)


def texts_of(entries: Sequence[CaptionedMotion], drawn: Draw) -> list[str]:
    """The captions that were drawn.

    Args:
        entries: Clips of the split.
        drawn: The draw.

    Returns:
        One caption of each.
    """
    return [entries[i].texts[choice] for i, choice in zip(drawn.asked, drawn.choices, strict=True)]


class RealSide:
    """What real motion says, which is the same in every repeat: its embeddings and its claims, found once.

    Args:
        entries: The motions.
        judges: Evaluators by name; "main" stands at the top of the scores.
    """

    def __init__(self, entries: Sequence[CaptionedMotion], judges: Mapping[str, Any]) -> None:
        self.entries, self.judges = entries, judges
        self._embeddings: dict[str, np.ndarray] = {}
        self._claims: dict[int, list[Verification]] = {}

    def embeddings(self, judge: str, indices: Sequence[int]) -> np.ndarray:
        """Embeddings of motions.

        Args:
            judge: Name of the evaluator.
            indices: Entries, (K,).

        Returns:
            (K, E).
        """
        if judge not in self._embeddings:
            features = self.judges[judge].get_motion_features([entry.motion for entry in self.entries])
            self._embeddings[judge] = features.cpu().numpy()
        return self._embeddings[judge][list(indices)]

    def text_embeddings(self, judge: str, indices: Sequence[int], choices: Sequence[int]) -> np.ndarray:
        """Embeddings of captions.

        Args:
            judge: Name of the evaluator.
            indices: Entries, (K,).
            choices: Index of the caption of each.

        Returns:
            (K, E).
        """
        tokens = [self.entries[i].tokens[choice] for i, choice in zip(indices, choices, strict=True)]
        return self.judges[judge].get_text_features(tokens).cpu().numpy()

    def accuracy(self, indices: Sequence[int], choices: Sequence[int]) -> dict[str, float]:
        """Instruction accuracy of real motions with their captions.

        Args:
            indices: Entries, (K,).
            choices: Index of the caption of each.

        Returns:
            See `instruction_accuracy.headline`.
        """
        for index in set(indices) - set(self._claims):
            self._claims[index] = check_features(self.entries[index].texts, self.entries[index].motion)
        pairs = zip(indices, choices, strict=True)
        return headline([self._claims[index][choice] for index, choice in pairs if self._claims[index]])


def embedding_scores(
    texts: np.ndarray, motions: np.ndarray, references: np.ndarray, pool_size: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """R-Precision and MM-Dist of row-paired embeddings, FID and Diversity of the motions.

    With too few rows for the published settings, the size of the smaller pool and the lower number of Diversity pairs
    are added to the scores.

    Args:
        texts: (N, E).
        motions: (N, E), of generated motions.
        references: (M, E), of real motions.
        pool_size: Rows a pool.

    Returns:
        The scores, and the values of each row behind R-Precision and MM-Dist, NaN for a row in no pool.
    """
    pool = min(pool_size, len(texts))
    ranks = functional.pooled_ranks(texts, motions, pool)
    scores = functional.hits_within(np.bincount(ranks, minlength=pool), min(3, pool))
    rows = {name: np.full(len(texts), np.nan) for name in scores}
    for k, hits in enumerate(rows.values()):
        hits[: len(ranks)] = ranks <= k
    rows["mm_dist"] = functional.pair_distances(texts, motions)
    scores["mm_dist"] = float(rows["mm_dist"].mean())
    scores["fid"] = functional.fid(motions, references)
    published = functional.published_diversity_times(len(motions))
    times = min(published, len(motions) - 1)
    scores["diversity"] = functional.diversity(motions, times=times, seed=0)
    scores["n"] = len(motions)
    if pool < pool_size:
        scores["pool_size"] = pool
    if times < published:
        scores["diversity_times"] = times
    return scores, rows


def score_motions(
    real_side: RealSide, drawn: Draw, motions: Sequence[Any], pool_size: int, keep: Keep | None = None
) -> Scored:
    """Score the motions that answer a draw's captions; real motion of the same draw is scored the same way.

    Args:
        real_side: The split and the judges.
        drawn: What was asked.
        motions: Features (T, D) of each answer, None for an invalid one: it is counted and left out of the scores,
            never replaced.
        pool_size: Motions in a pool of R-Precision.
        keep: Called with every caption and its motion.

    Returns:
        Scores {"real" | "generated": {metric: value, "held_out": {...}}}, the generated side with `valid` (share);
        both with `consistency` and what it rests on, where there is such a figure.

    Raises:
        ValueError: Fewer than two entries, which no distribution can be made of.
    """
    entries, asked, choices = real_side.entries, drawn.asked, drawn.choices
    texts = texts_of(entries, drawn)
    if keep is not None:
        keep(_asked(entries, drawn, motions))
    valid = [row for row, motion in enumerate(motions) if motion is not None]
    made = [motions[row] for row in valid]
    result: dict[str, dict[str, Any]] = {"real": {}, "generated": {"valid": len(valid) / len(asked)}}
    clips = {"valid": [float(motion is not None) for motion in motions]}
    generated_by: dict[str, np.ndarray] = {}
    real_by: dict[str, np.ndarray] = {}
    for name, judge in real_side.judges.items():
        captions = real_side.text_embeddings(name, asked, choices)
        real, references = real_side.embeddings(name, asked), real_side.embeddings(name, drawn.compared)
        _add(result["real"], name, embedding_scores(captions, real, references, pool_size)[0])
        if len(valid) < 2:
            _add(result["generated"], name, {"n": len(valid)})
            continue
        embedded = judge.get_motion_features(made).cpu().numpy()
        scores, rows = embedding_scores(captions[valid], embedded, references, pool_size)
        _add(result["generated"], name, scores)
        prefix = "" if name == "main" else f"{name}/"
        clips |= {prefix + metric: _spread(values, valid, len(asked)) for metric, values in rows.items()}
        generated_by[name], real_by[name] = embedded, references
    result["real"] |= real_side.accuracy(asked, choices)
    checked = {
        row: one for row in valid for one in check_features([texts[row]], torch.as_tensor(motions[row]).cpu().numpy())
    }
    result["generated"] |= headline(list(checked.values()))
    counts = [count_claims(one)[:2] for one in checked.values()]
    clips |= {
        name: _spread([count[k] for count in counts], list(checked), len(asked))
        for k, name in enumerate(("claims_held", "claims_decided"))
    }
    ids = [entries[i].id for i in asked]
    kept = Embeddings(
        ids=np.array(ids),
        valid=np.array([motion is not None for motion in motions]),
        compared=np.array([entries[i].id for i in drawn.compared]),
        generated=generated_by,
        real=real_by,
    )
    return Scored(result, {"ids": ids, **clips}, kept if generated_by else None)


def score_attribute_pools(
    real_side: RealSide, drawn: Draw, motions: Sequence[Any], pool_size: int, keep: Keep | None = None
) -> Scored:
    """R-Precision within pools whose members differ in one attribute; consecutive entries form a pool.

    A pool with an invalid answer is left out whole, since a smaller pool is an easier question; `n` counts the rest.

    Args:
        real_side: Embeddings of the real clips.
        drawn: The draw.
        motions: Generated motion of each, None for an invalid answer.
        pool_size: Entries a pool.
        keep: Receives each answer.

    Returns:
        The scores.
    """
    entries, choices = real_side.entries, drawn.choices
    if keep is not None:
        keep(_asked(entries, drawn, motions))
    pools = [range(i, i + pool_size) for i in range(0, len(entries) - pool_size + 1, pool_size)]
    rows = [i for pool in pools if all(motions[j] is not None for j in pool) for i in pool]
    result: dict[str, dict[str, Any]] = {"real": {}, "generated": {}}
    clips: dict[str, list[Any]] = {"ids": [entry.id for entry in entries]}
    for name, judge in real_side.judges.items():
        if not rows:
            for of_side in result.values():
                _add(of_side, name, {"n": 0})
            continue
        captions = real_side.text_embeddings(name, rows, [choices[i] for i in rows])
        made = judge.get_motion_features([motions[i] for i in rows]).cpu().numpy()
        for side, embedded in {"real": real_side.embeddings(name, rows), "generated": made}.items():
            ranks = functional.pooled_ranks(captions, embedded, pool_size)
            top_k = min(3, pool_size)
            scores = functional.hits_within(np.bincount(ranks, minlength=pool_size), top_k)
            _add(result[side], name, scores | {"n": len(rows)})
            if side == "generated" and name == "main":
                clips |= {metric: _spread(ranks <= k, rows, len(entries)) for k, metric in enumerate(scores)}
    return Scored(result, clips)


def score_admissible(real_side: RealSide, drawn: Draw, motions: Sequence[Any], keep: Keep | None = None) -> Scored:
    """Share of the motions that do something their caption admits, where captions tell goals.

    Args:
        real_side: The split.
        drawn: What was asked, every entry in order.
        motions: Features (T, D) of each answer, None for an invalid one, which does nothing that is admitted.
        keep: Receives each answer.

    Returns:
        For real and for generated motion `admissible` and, with the caption of the next entry in place of its own,
        `admissible_other`: what is reached by chance. `n` counts the entries.

    Raises:
        ValueError: A caption that does not tell goals.
    """
    texts = texts_of(real_side.entries, drawn)
    if keep is not None:
        keep(_asked(real_side.entries, drawn, motions))
    others = [*texts[1:], *texts[:1]]
    sides: dict[str, list[np.ndarray | None]] = {
        "real": [real_side.entries[row].motion for row in drawn.asked],
        "generated": [None if motion is None else torch.as_tensor(motion).numpy(force=True) for motion in motions],
    }
    result: dict[str, dict[str, Any]] = {}
    clips: dict[str, list[Any]] = {"ids": [real_side.entries[row].id for row in drawn.asked]}
    for side, of_side in sides.items():
        done = {
            name: [
                float(motion is not None and does_admissible(text, motion))
                for text, motion in zip(asked, of_side, strict=True)
            ]
            for name, asked in (("admissible", texts), ("admissible_other", others))
        }
        result[side] = {name: sum(values) / len(values) for name, values in done.items()} | {"n": len(texts)}
        if side == "generated":
            valid = [float(motion is not None) for motion in of_side]
            clips |= {"valid": valid, "admissible": done["admissible"]}
            result[side]["valid"] = sum(valid) / len(valid)
    return Scored(result, clips)


def score_multimodality(
    judges: Mapping[str, Any],
    ids: Sequence[str],
    samples: Sequence[Sequence[Any]],
    seed: int,
    times: int = MULTIMODALITY_TIMES,
) -> Scored:
    """Multimodality of the samples of each caption.

    A caption with an invalid answer (None) among its samples is left out, which `multimodality_n` shows.

    Args:
        judges: Evaluators by name.
        ids: Clips whose captions were asked.
        samples: Motions of each caption.
        seed: Of the draws.
        times: Pairs a caption.

    Returns:
        The scores, and the value of each clip.
    """
    rows = [row for row, motions in enumerate(samples) if all(motion is not None for motion in motions)]
    result: dict[str, Any] = {"multimodality_n": len(rows)}
    clips: dict[str, list[Any]] = {"ids": list(ids)}
    if rows:
        count = len(samples[rows[0]])
        pairs = functional.multimodality_pairs(count, times, seed)
        for name, judge in judges.items():
            embedded = judge.get_motion_features([motion for row in rows for motion in samples[row]]).cpu().numpy()
            grouped = embedded.astype(np.float64).reshape(len(rows), count, -1)
            distances = functional.sample_distances(grouped, *pairs)
            _add(result, name, {"multimodality": float(distances.mean())})
            prefix = "" if name == "main" else f"{name}/"
            clips[f"{prefix}multimodality"] = _spread(distances, rows, len(ids))
    return Scored(result, clips)


def score_captions(
    entries: Sequence[CaptionedMotion],
    captions: Sequence[str | None],
    protocols: Sequence[str] = ("unimo",),
    spacy_model: Any = SPACY_MODEL,
    **bertscore: Any,
) -> Scored:
    """Compare one caption of each motion with its first three by each captioning protocol.

    Args:
        entries: The motions.
        captions: One of each, None for an invalid answer: counted and left out by "unimo", an empty caption for the
            others.
        protocols: Names of `functional.PROTOCOLS`; the first one's scores stand at the top, the others' under their
            name.
        spacy_model: For "tm2t".
        bertscore: Options of `functional.caption_scores`, for the first protocol.

    Returns:
        The scores.
    """
    answered = [row for row, caption in enumerate(captions) if caption is not None]
    result: dict[str, Any] = {"valid": len(answered) / len(captions), "n": len(answered)}
    clips: dict[str, list[Any]] = {"valid": [float(caption is not None) for caption in captions]}
    for protocol in protocols:
        first = protocol == protocols[0]
        target = result if first else result.setdefault(protocol, {})
        rows = list(range(len(captions))) if protocol in EMPTY_KEPT else answered
        predictions = [captions[row] or "" for row in rows]
        if not any(text.strip() for text in predictions):
            target["empty"] = len(rows)
            continue
        scored = functional.caption_scores(
            predictions,
            [entries[row].texts for row in rows],
            protocol,
            reference_tokens=[entries[row].tokens for row in rows] if protocol == "tm2t" else None,
            **({"spacy_model": spacy_model} if protocol == "tm2t" else {}),
            **(bertscore if first else {}),
        )
        target |= scored.corpus
        kept = [rows[row] for row in scored.rows]
        prefix = "" if first else f"{protocol}/"
        clips |= {prefix + name: _spread(values, kept, len(captions)) for name, values in scored.per_caption.items()}
    return Scored(result, {"ids": [entry.id for entry in entries], **clips})


def _asked(entries: Sequence[CaptionedMotion], drawn: Draw, motions: Sequence[Any]) -> list[Asked]:
    ids = [entries[i].id for i in drawn.asked]
    return [Asked(*one) for one in zip(ids, drawn.choices, texts_of(entries, drawn), motions, strict=True)]


def _add(result: dict[str, Any], judge: str, scores: dict[str, Any]) -> None:
    """Put a judge's scores into a result: the main judge's at the top, another's under its name."""
    if judge == "main":
        result |= scores
    else:
        result.setdefault(judge, {}).update(scores)


def _spread(values: Sequence[Any] | np.ndarray, rows: Sequence[int], count: int) -> list[Any]:
    """The values at these of `count` places, None elsewhere and for NaN."""
    spread: list[Any] = [None] * count
    for row, value in zip(rows, np.asarray(values).tolist(), strict=True):
        spread[row] = value if value == value else None
    return spread
