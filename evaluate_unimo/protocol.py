"""One repeat of each task's protocol: generate or describe, embed with every judge, score.

Follows HumanML3D's protocol (facts of the published evaluation: R-Precision in pools of 32, FID, MM-Dist, Diversity;
BLEU, ROUGE-L, CIDEr against up to three references) with two differences that are named where they are made: answers
are sampled in batches, and FID compares with motions whose captions were not asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_scripts.captioned_motions import CaptionedMotion
from datasets_scripts.verify import Verification
from evaluate_unimo import functional
from evaluate_unimo.distributed import ProcessGroup
from evaluate_unimo.instruction_accuracy import check_features, headline, instruction_accuracy
from modeling_unimo import Answer
from modeling_unimo.modeling_motion_vqvae import batches_by_length


@dataclass
class Sampler:
    """A UniMo model with the settings every answer of an evaluation is sampled with.

    Requests are answered in batches of like length, each from a seed of its own, and the batches are shared out over
    the processes of `group`: their number changes no answer.
    """

    model: Any
    processor: Any
    batch_size: int = 128
    generate_kwargs: dict[str, Any] = field(default_factory=dict)
    group: ProcessGroup = field(default_factory=ProcessGroup)

    def answers(self, task: str, texts=None, codes=None, seed: int = 0, grammar: bool = True) -> list[Answer]:
        """One answer a request, in the order of the requests."""
        return [samples[0] for samples in self.samples(task, 1, texts, codes, seed, grammar)]

    def samples(
        self, task: str, count: int, texts=None, codes=None, seed: int = 0, grammar: bool = True
    ) -> list[list[Answer]]:
        """`count` answers a request, in the order of the requests; asked by the process that leads.

        Raises:
            ValueError: a request that the model refuses.
            RuntimeError: one of several processes failed.
        """
        asked = {"texts": None if texts is None else list(texts), "codes": None if codes is None else list(codes)}
        request = {"task": task, "count": count, **asked, "seed": seed, "grammar": grammar}
        self.group.broadcast(request)
        answers: dict[int, list[Answer]] = {}
        for share in self._share(request):
            if isinstance(share, Exception):
                raise share
            answers |= share
        return [answers[row] for row in range(len(answers))]

    def serve(self) -> None:
        """Answer this process's share of what the one that leads asks, until that sends it home."""
        while (request := self.group.broadcast()) is not None:
            self._share(request)

    def _share(self, request: dict[str, Any]) -> list[dict[int, list[Answer]] | Exception]:
        """What each process answers, by rank: its answers by row, or the error that it ended with."""
        if self.group.size == 1:
            return [self._own(**request)]
        share: dict[int, list[Answer]] | Exception
        try:
            share = self._own(**request)
        except Exception as error:  # any error: the other processes wait for this share, and the main one raises it
            share = RuntimeError(f"process {self.group.rank}: {type(error).__name__}: {error}")
        return self.group.gather(share)

    def _own(self, task, count, texts, codes, seed, grammar) -> dict[int, list[Answer]]:
        """The answers of the batches that are this process's, by row."""
        column = texts if texts is not None else codes
        batches = list(batches_by_length([len(one) for one in column], max(1, self.batch_size // count)))
        seeds = [seed, *np.random.SeedSequence(seed).generate_state(max(len(batches) - 1, 0)).tolist()]
        answers: dict[int, list[Answer]] = {}
        for rows, own_seed in list(zip(batches, seeds, strict=False))[self.group.rank :: self.group.size]:
            found = self.model.generate_answers(
                [task] * len(rows),
                None if texts is None else [texts[row] for row in rows],
                None if codes is None else [codes[row] for row in rows],
                self.processor,
                grammar=grammar,
                num_samples=count,
                seed=own_seed,
                batch_size=self.batch_size,
                **self.generate_kwargs,
            )
            answers |= dict(zip(rows, found, strict=True))
        return answers


def embedding_scores(
    texts: np.ndarray, motions: np.ndarray, references: np.ndarray, pool_size: int
) -> dict[str, float]:
    """R-Precision and MM-Dist of row-paired (N, E) embeddings, FID and Diversity of the motions.

    Fewer rows than a pool make a smaller pool, an easier question: its size then stands among the scores.
    """
    pool = min(pool_size, len(texts))
    scores = dict(functional.r_precision(texts, motions, top_k=min(3, pool), pool_size=pool))
    scores["mm_dist"] = functional.mm_dist(texts, motions)
    scores["fid"] = functional.fid(motions, references)
    scores["diversity"] = functional.diversity(motions, times=min(300, len(motions) - 1), seed=0)
    scores["n"] = len(motions)
    return scores if pool == pool_size else scores | {"pool_size": pool}


def add_scores(result: dict[str, Any], judge: str, scores: dict[str, float]) -> None:
    """Put a judge's scores into a result: the main judge's at the top, another's under its name."""
    if judge == "main":
        result |= scores
    else:
        result[judge] = scores


class RealSide:
    """What real motion says, which is the same in every repeat: its embeddings and its claims, found once.

    Args:
        entries: the motions.
        judges: by name.
    """

    def __init__(self, entries: Sequence[CaptionedMotion], judges: Mapping[str, Any]) -> None:
        self.entries, self.judges = entries, judges
        self._embeddings: dict[str, np.ndarray] = {}
        self._claims: dict[int, list[Verification]] = {}

    def embeddings(self, judge: str, indices: Sequence[int]) -> np.ndarray:
        """(K, E): of the motions of these entries, by this judge."""
        if judge not in self._embeddings:
            features = self.judges[judge].get_motion_features([entry.motion for entry in self.entries])
            self._embeddings[judge] = features.cpu().numpy()
        return self._embeddings[judge][list(indices)]

    def accuracy(self, indices: Sequence[int], choices: Sequence[int]) -> dict[str, float]:
        """`instruction_accuracy` of these entries' motions with the captions chosen of each."""
        for index in set(indices) - set(self._claims):
            self._claims[index] = check_features(self.entries[index].texts, self.entries[index].motion)
        pairs = zip(indices, choices, strict=True)
        return headline([self._claims[index][choice] for index, choice in pairs if self._claims[index]])


def text_to_motion_repeat(
    sampler: Sampler,
    entries: Sequence[CaptionedMotion],
    judges: dict[str, Any],
    seed: int,
    halves: bool,
    pool_size: int,
    real_side: RealSide | None = None,
) -> dict[str, dict[str, Any]]:
    """Generate from half A of the entries and score against half B; real motion of A is scored the same way.

    With `halves` false every caption is asked for and FID compares with the same motions' real versions, as published.
    An invalid answer is counted and left out of the scores, never replaced. `real_side` saves repeats what they share.

    Returns:
        {"real" | "generated": {metric: value, "held_out": {...}}}, the generated side with `valid` (share); both with
        `consistency`, the share of what the captions ask for that the motions do, where there is such a figure.

    Raises:
        ValueError: fewer than two entries or valid answers, which no distribution can be made of.
    """
    real_side = real_side or RealSide(entries, judges)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(entries)).tolist()
    half = len(entries) // 2 if halves else len(entries)
    asked, compared = order[:half], order[half : 2 * half] if halves else order[:half]
    choices = [int(rng.integers(len(entries[i].texts))) for i in asked]
    captions = [entries[i].texts[choice] for i, choice in zip(asked, choices, strict=True)]
    answers = sampler.answers("t2m", texts=captions, seed=seed)
    valid = [i for i, answer in enumerate(answers) if answer.valid]
    if len(valid) < 2:
        raise ValueError(f"{len(valid)} of {len(answers)} answers are valid; a score takes at least 2")
    generated = sampler.model.decode_codes([answers[i].codes for i in valid], sampler.processor)

    result: dict[str, dict[str, Any]] = {"real": {}, "generated": {"valid": len(valid) / len(answers)}}
    for name, judge in judges.items():
        tokens = [entries[i].tokens[choice] for i, choice in zip(asked, choices, strict=True)]
        texts = judge.get_text_features(tokens).cpu().numpy()
        real, references = real_side.embeddings(name, asked), real_side.embeddings(name, compared)
        made = judge.get_motion_features(generated).cpu().numpy()
        for side, (side_texts, motions) in {"real": (texts, real), "generated": (texts[valid], made)}.items():
            scores = embedding_scores(side_texts, motions, references, pool_size)
            add_scores(result[side], name, scores)
    result["real"] |= real_side.accuracy(asked, choices)
    result["generated"] |= instruction_accuracy([captions[i] for i in valid], generated)
    return result


def attribute_pools_repeat(
    sampler: Sampler,
    entries: Sequence[CaptionedMotion],
    judges: dict[str, Any],
    seed: int,
    pool_size: int,
    real_side: RealSide | None = None,
) -> dict[str, dict[str, Any]]:
    """R-Precision within pools whose members differ in one attribute: consecutive entries form a pool.

    `real_side` saves repeats what they share.

    Raises:
        ValueError: every pool has an invalid answer.
    """
    real_side = real_side or RealSide(entries, judges)
    rng = np.random.default_rng(seed)
    choices = [int(rng.integers(len(entry.texts))) for entry in entries]
    answers = sampler.answers("t2m", texts=[e.texts[c] for e, c in zip(entries, choices, strict=True)], seed=seed)
    # A pool with an invalid answer is left out whole: a pool of seven is another, easier question.
    pools = [range(i, i + pool_size) for i in range(0, len(entries) - pool_size + 1, pool_size)]
    rows = [i for pool in pools if all(answers[j].valid for j in pool) for i in pool]
    if not rows:
        raise ValueError(f"not one of {len(pools)} pools has valid answers alone")
    generated = sampler.model.decode_codes([answers[i].codes for i in rows], sampler.processor)
    result: dict[str, dict[str, Any]] = {"real": {}, "generated": {}}
    for name, judge in judges.items():
        texts = judge.get_text_features([entries[i].tokens[choices[i]] for i in rows]).cpu().numpy()
        made = judge.get_motion_features(generated).cpu().numpy()
        for side, embedded in {"real": real_side.embeddings(name, rows), "generated": made}.items():
            scores = functional.r_precision(texts, embedded, top_k=3, pool_size=pool_size) | {"n": len(rows)}
            add_scores(result[side], name, scores)
    return result


def multimodality_repeat(
    sampler: Sampler,
    entries: Sequence[CaptionedMotion],
    judges: dict[str, Any],
    seed: int,
    samples: int = 30,
    times: int = 10,
) -> dict[str, Any]:
    """How much the motions of one caption differ: `samples` for a caption of each entry, `times` pairs of them.

    A caption with an invalid answer among its samples is left out whole, and shows in n.

    Raises:
        ValueError: no caption whose answers are all valid.
    """
    rng = np.random.default_rng(seed)
    texts = [entry.texts[int(rng.integers(len(entry.texts)))] for entry in entries]
    answers = sampler.samples("t2m", samples, texts=texts, seed=seed)
    whole = [row for row in answers if all(answer.valid for answer in row)]
    if not whole:
        raise ValueError(f"not one of {len(answers)} captions has valid answers alone")
    generated = sampler.model.decode_codes([answer.codes for row in whole for answer in row], sampler.processor)
    result: dict[str, Any] = {}
    for name, judge in judges.items():
        embedded = judge.get_motion_features(generated).cpu().numpy().reshape(len(whole), samples, -1)
        scores = {"multimodality": functional.multimodality(embedded, times=times, seed=seed)}
        add_scores(result, name, scores)
    return result | {"multimodality_n": len(whole)}


def motion_to_text_repeat(
    sampler: Sampler,
    entries: Sequence[CaptionedMotion],
    codes: Sequence[Sequence[int]],
    seed: int,
    **scoring: Any,
) -> dict[str, Any]:
    """Describe each motion once and compare with its first three captions; `scoring` is for `captioning`."""
    answers = sampler.answers("m2t", codes=list(codes), seed=seed)
    valid = [i for i, answer in enumerate(answers) if answer.valid]
    predictions = [answers[i].caption for i in valid]
    references = [functional.three_references(entries[i].texts) for i in valid]
    scores = functional.captioning(predictions, references, **scoring)
    return {**scores, "valid": len(valid) / len(answers), "n": len(valid)}


def free_validity(sampler: Sampler, task: str, requests: Sequence, seed: int) -> float:
    """Share of answers that follow the grammar when nothing makes them."""
    asked = {"texts": list(requests)} if task == "t2m" else {"codes": list(requests)}
    answers = sampler.answers(task, seed=seed, grammar=False, **asked)
    return sum(answer.valid for answer in answers) / len(answers)
