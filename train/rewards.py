"""The rewards of GRPO, each a plain function over a batch that may mix both tasks.

A reward gets `completion_ids` (one list of generated ids a row) and the dataset's columns, and returns one float a
row, or None where it does not cover the row's task. An invalid answer gets the floor, never a similarity of
something put in its place.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
import torch

from datasets_scripts.captions import tokenize_caption
from modeling_unimo.processing_unimo import Answer
from train.engine.arguments import meant
from train.reinforcement.caption_encoder import CaptionEncoder
from train.reinforcement.plausibility import Physics, measure, plausibility

Key = TypeVar("Key", tuple[int, ...], str)  # what an embedding is remembered by
Reward = Callable[..., list[float | None]]
References = Literal["best", "mean"]
FLOOR = -1.0  # the least a cosine can be
# Every reward by name, with the weight it has unless another is given; those of weight 0 are left out.
WEIGHTS = {
    "format_reward": 1.0,
    "motion_similarity": 1.0,
    "semantic_similarity": 1.0,
    "caption_similarity": 1.0,
    "length_closeness": 0.0,
    "physical_plausibility": 0.0,
}
PAPER = tuple(name for name, weight in WEIGHTS.items() if weight)


def parse_weights(words: str) -> dict[str, float]:
    """The rewards in use and their weights from `"name=weight,name=weight"` over `WEIGHTS`.

    A reward that is named with weight 0 is still computed and logged, but does not count.

    Raises:
        ValueError: not of that form, no such reward, a weight that is no finite number, or none that counts.

    >>> parse_weights("length_closeness=0.5, format_reward=0")["format_reward"]
    0.0
    """
    named: dict[str, float] = {}
    for word in filter(None, (word.strip() for word in words.split(","))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in WEIGHTS:
            raise ValueError(
                f"rewards: there is no reward {name!r}{meant(name, WEIGHTS)}; there are {', '.join(WEIGHTS)}"
            )
        if name in named:
            raise ValueError(f"rewards: {name} is named twice")
        try:
            named[name] = float(value)
        except ValueError:
            raise ValueError(f"rewards: {word!r} is not of the form name=weight, like {name}=0.5") from None
        if not np.isfinite(named[name]):
            raise ValueError(f"rewards: the weight of {name} is {value}; it must be a finite number")
    weights = {name: named.get(name, weight) for name, weight in WEIGHTS.items() if weight or name in named}
    if not any(weights.values()):
        raise ValueError("rewards: every weight is 0, so nothing would be learned; leave one above 0")
    return weights


class MotionScorer:
    """Embeds answers with the VQ-VAE and the evaluator, batched, and remembers what it has seen by content.

    Rewards that look at the same answers share one decode and one embedding this way, and the ground truth of a prompt
    is embedded once for all completions and steps.

    Args:
        vqvae, feature_extractor, evaluator: the frozen networks.
        capacity: embeddings of each kind kept before all are forgotten.
        dtype: torch.bfloat16 computes decoder and evaluator in mixed precision: embeddings differ in the third digit.
        caption_encoder: embeds captions for `embed_captions` in place of the evaluator.
        physics: measure decoded motions for `physics` too.
    """

    def __init__(
        self,
        vqvae,
        feature_extractor,
        evaluator,
        capacity: int = 50_000,
        dtype: torch.dtype = torch.float32,
        caption_encoder: CaptionEncoder | None = None,
        physics: bool = False,
    ):
        self.vqvae, self.feature_extractor, self.evaluator = vqvae.eval(), feature_extractor, evaluator.eval()
        self.capacity, self.dtype = capacity, dtype
        self.caption_encoder, self.measures = caption_encoder, physics
        self._motions: dict[tuple[int, ...], torch.Tensor] = {}
        self._physics: dict[tuple[int, ...], Physics] = {}
        self._texts: dict[str, torch.Tensor] = {}
        self._captions: dict[str, torch.Tensor] = {}

    def _autocast(self) -> torch.autocast:
        kind = self.evaluator.device.type
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Code sequences -> raw features (4 L, D) of each; nothing is remembered."""
        # On a CPU padding costs what motion costs: batches of nearly equal lengths take two thirds of the time.
        batch_size = 16 if self.vqvae.device.type == "cpu" else 128
        with self._autocast():
            return self.vqvae.decode_motions(rows, self.feature_extractor, batch_size=batch_size)

    @torch.no_grad()
    def embed_codes(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Code sequences -> (N, E) unit-length motion embeddings of what they decode to."""

        def embed(missing: list[tuple[int, ...]]) -> torch.Tensor:
            motions = self.decode(missing)
            if self.measures:
                self._physics.update(zip(missing, map(measure, motions), strict=True))
            with self._autocast():
                return self.evaluator.get_motion_features(motions)

        keys = [tuple(row) for row in rows]
        if len(self._physics) > self.capacity:  # as large as the embeddings, or forgotten with them
            self._physics.clear()
            self._motions.clear()
        return self._embed(keys, self._motions, embed)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Captions -> (N, E) unit-length text embeddings; a caption without words is the caller's to refuse."""

        def embed(missing: list[str]) -> torch.Tensor:
            with self._autocast():
                return self.evaluator.get_text_features([tokenize_caption(text) for text in missing])

        return self._embed(list(texts), self._texts, embed)

    @torch.no_grad()
    def embed_captions(self, texts: Sequence[str]) -> torch.Tensor:
        """Captions -> (N, E) unit-length embeddings to compare captions by: the caption encoder's where there is one.

        Otherwise the evaluator's, of which `embed_texts` says what it refuses.
        """
        if self.caption_encoder is None:
            return self.embed_texts(texts)
        return self._embed(list(texts), self._captions, self.caption_encoder.embed)

    def physics(self, rows: Sequence[Sequence[int]]) -> list[Physics]:
        """Figures of what code sequences decode to, decoded together with `embed_codes`."""
        self.embed_codes(rows)
        return [self._physics[tuple(row)] for row in rows]

    def _embed(
        self, keys: list[Key], known: dict[Key, torch.Tensor], embed: Callable[[list[Key]], torch.Tensor]
    ) -> torch.Tensor:
        """Unit-length embeddings of `keys`, of which only those not yet `known` are computed."""
        if len(known.keys() | set(keys)) > self.capacity:
            known.clear()
        missing = sorted(set(keys) - known.keys())
        if missing:
            embedded = torch.nn.functional.normalize(embed(missing).float().cpu(), dim=-1)
            known.update(zip(missing, embedded, strict=True))
        return torch.stack([known[key] for key in keys])


@lru_cache(maxsize=50_000)
def has_words(text: str) -> bool:
    """Whether there is anything the evaluator can embed: a model may well answer with digits or dots alone."""
    try:
        return bool(tokenize_caption(text))
    except ValueError:
        return False


def make_rewards(
    processor, scorer: MotionScorer, names: Iterable[str] = PAPER, references_by: References = "best"
) -> list[Reward]:
    """The rewards of these names bound to a processor (which alone reads answers) and a scorer.

    Args:
        processor: reads completions.
        scorer: embeds motions and captions; needs `physics=True` for `physical_plausibility`.
        names: which of `WEIGHTS`, in which order.
        references_by: where a motion has several captions, whether `caption_similarity` counts the nearest one or the
            mean over all.
    """

    @lru_cache(maxsize=4096)  # several rewards read the same answers
    def read(ids: tuple[int, ...], task: str) -> Answer:
        return processor.parse(ids, task)

    def valid_rows(completion_ids, task, wanted: str) -> dict[int, Answer]:
        """The valid answers among the rows of the wanted task, by row."""
        answers = {i: read(tuple(ids), wanted) for i, ids in enumerate(completion_ids) if task[i] == wanted}
        return {i: answer for i, answer in answers.items() if answer.valid}

    def floored(task, wanted: str, floor: float, values: dict[int, float]) -> list[float | None]:
        """Nothing for the other task's rows, the floor for those without a value."""
        return [values.get(i, floor) if t == wanted else None for i, t in enumerate(task)]

    def format_reward(completion_ids, task, **_) -> list[float | None]:
        """1 when the whole answer follows the task's grammar, else 0 (both tasks)."""
        return [float(read(tuple(ids), t).valid) for ids, t in zip(completion_ids, task, strict=True)]

    def motion_similarity(completion_ids, task, reference_codes, **_) -> list[float | None]:
        """Cosine of generated and ground-truth motion, both as the VQ-VAE decodes them (text-to-motion)."""
        answers = valid_rows(completion_ids, task, "t2m")
        values: dict[int, float] = {}
        if answers:
            # Both sides at once: one decode and one embedding a step.
            sides = [answer.codes for answer in answers.values()] + [reference_codes[i] for i in answers]
            generated, truth = scorer.embed_codes(sides).split(len(answers))
            values = dict(zip(answers, (generated * truth).sum(-1).tolist(), strict=True))
        return floored(task, "t2m", FLOOR, values)

    def semantic_similarity(completion_ids, task, caption, **_) -> list[float | None]:
        """Cosine of the generated motion and the caption it was asked for (text-to-motion)."""
        answers = valid_rows(completion_ids, task, "t2m")
        values: dict[int, float] = {}
        if answers:
            motions = scorer.embed_codes([answer.codes for answer in answers.values()])
            cosines = (motions * scorer.embed_texts([caption[i] for i in answers])).sum(-1)
            values = dict(zip(answers, cosines.tolist(), strict=True))
        return floored(task, "t2m", FLOOR, values)

    def caption_similarity(completion_ids, task, references, **_) -> list[float | None]:
        """Cosine of the generated caption and the nearest or the mean of the reference captions (motion-to-text)."""
        answers = {i: a for i, a in valid_rows(completion_ids, task, "m2t").items() if has_words(a.caption)}
        values: dict[int, float] = {}
        if answers:
            texts = [answer.caption for answer in answers.values()]
            counts = [len(references[i]) for i in answers]
            embedded = scorer.embed_captions(texts + [text for i in answers for text in references[i]])
            truths = embedded[len(texts) :].split(counts)
            for i, answer, truth in zip(answers, embedded, truths, strict=False):
                cosines = truth @ answer
                values[i] = float(cosines.max() if references_by == "best" else cosines.mean())
        return floored(task, "m2t", FLOOR, values)

    def length_closeness(completion_ids, task, reference_codes, **_) -> list[float | None]:
        """The shorter of generated and ground-truth motion as a share of the longer, 0 if invalid (text-to-motion)."""
        answers = valid_rows(completion_ids, task, "t2m")
        counts = {i: sorted((len(answer.codes), len(reference_codes[i]))) for i, answer in answers.items()}
        return floored(task, "t2m", 0.0, {i: shorter / longer for i, (shorter, longer) in counts.items()})

    def physical_plausibility(completion_ids, task, reference_codes, **_) -> list[float | None]:
        """How little feet slide, bodies sink into the ground and limbs jerk beside the ground truth (text-to-motion).

        In (0, 1], 0 if invalid; see `train.reinforcement.plausibility`.
        """
        answers = valid_rows(completion_ids, task, "t2m")
        values: dict[int, float] = {}
        if answers:
            sides = [answer.codes for answer in answers.values()] + [reference_codes[i] for i in answers]
            measured = scorer.physics(sides)
            pairs = zip(measured[: len(answers)], measured[len(answers) :], strict=True)
            values = {i: plausibility(*pair) for i, pair in zip(answers, pairs, strict=True)}
        return floored(task, "t2m", 0.0, values)

    functions: dict[str, Reward] = {
        "format_reward": format_reward,
        "motion_similarity": motion_similarity,
        "semantic_similarity": semantic_similarity,
        "caption_similarity": caption_similarity,
        "length_closeness": length_closeness,
        "physical_plausibility": physical_plausibility,
    }
    return [functions[name] for name in names]


def grpo_rows(processor, entries, codes: Sequence[np.ndarray], total: int, t2m_share: float, seed: int) -> list[dict]:
    """`total` prompts of both tasks with what their rewards compare with; the tasks are drawn with the seed."""
    rng = np.random.default_rng(seed)
    rows: list[dict] = []
    while len(rows) < total:
        for i in rng.permutation(len(entries)).tolist():
            entry, task = entries[i], "t2m" if rng.random() < t2m_share else "m2t"
            caption = entry.texts[int(rng.integers(len(entry.texts)))]
            rows.append(
                {
                    "prompt": processor.messages(task, text=caption, codes=codes[i].tolist()),
                    "task": task,
                    "caption": caption,
                    "references": entry.texts,
                    "reference_codes": codes[i].tolist(),
                }
            )
    return rows[:total]
