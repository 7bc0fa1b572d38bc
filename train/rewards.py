"""The rewards of GRPO: importable callables, each over a batch of answers that may mix both tasks.

Like TRL's own rewards, each is called with the generated answers and the dataset's columns as keyword arguments and
returns one float per answer, or None where it does not cover the answer's task. An invalid answer gets the reward's
floor, never a similarity of something put in its place. They are classes, because they hold the processor that reads
answers and, where they need one, the `MotionScorer` that judges them.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from datasets_scripts.captions import tokenize_caption
from modeling_unimo.candidates_unimo import score_answers
from train.engine.arguments import did_you_mean
from train.reinforcement.plausibility import plausibility

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from modeling_unimo.processing_unimo import Answer
    from train.reinforcement.motion_scorer import MotionScorer

ReadAnswer = Callable[[tuple[int, ...], str], "Answer"]
LOWEST_COSINE = -1.0
# Nats of a reading that make a reward of 1 / e. To captions like those of training nine in ten answers of a small
# supervised model take between 3 and 30 nats, so that rewards spread over most of (0, 1].
READING_NATS = 16.0


@lru_cache(maxsize=50_000)
def has_words(text: str) -> bool:
    """Whether the evaluator can embed a text: a model may answer with digits or dots alone.

    Args:
        text: The text.

    Returns:
        Whether it has words.
    """
    try:
        return bool(tokenize_caption(text))
    except ValueError:
        return False


class RewardFunction(Protocol):
    """What trainers and pair selection call: a `Reward`, or one whose values are recorded."""

    __name__: str

    def __call__(
        self, completion_ids: Sequence[Sequence[int]], task: Sequence[str], **columns: Any
    ) -> list[float | None]: ...


class Reward:
    """A reward: scores the valid answers of its tasks, gives the others of these tasks the floor, the rest None.

    Attributes:
        name: what options and logs call it.
        weight: unless another is given; with 0 it is left out.
        tasks: "t2m" (text-to-motion), "m2t" (motion-to-text).
        columns: of the dataset, which `score` needs.
        floor: for an answer that cannot be scored.
    """

    name: ClassVar[str]
    weight: ClassVar[float] = 1.0
    tasks: ClassVar[tuple[str, ...]] = ("t2m",)
    columns: ClassVar[tuple[str, ...]] = ()
    floor: ClassVar[float] = 0.0

    def __init__(self, read: ReadAnswer):
        self.read = read
        self.__name__ = self.name  # by which the Trainer logs it

    def __call__(
        self, completion_ids: Sequence[Sequence[int]], task: Sequence[str], **columns: Any
    ) -> list[float | None]:
        """One reward per answer.

        Args:
            completion_ids: generated ids of each answer.
            task: of each answer.
            columns: the dataset's other columns, and what else the trainer hands to rewards, which is ignored.
        """
        values: list[float | None] = [self.floor if name in self.tasks else None for name in task]
        rows = [row for row, name in enumerate(task) if name in self.tasks]
        answers = {row: self.read(tuple(completion_ids[row]), task[row]) for row in rows}
        scored = [row for row in rows if self.can_score(answers[row])]
        if scored:
            needed = {name: [columns[name][row] for row in scored] for name in self.columns}
            scores = self.score([answers[row] for row in scored], **needed)
            for row, value in zip(scored, scores, strict=True):
                values[row] = value
        return values

    def can_score(self, answer: "Answer") -> bool:
        """Whether an answer is scored, or gets the floor.

        Args:
            answer: The answer.

        Returns:
            Whether it is scored.
        """
        return answer.valid

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        """Score answers.

        Args:
            answers: At least one answer that can be scored.
            **columns: The dataset's columns that the class names.

        Returns:
            Reward of each.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError


class FormatReward(Reward):
    """1 when the whole answer follows the task's grammar, else 0 (both tasks).

    >>> from modeling_unimo.processing_unimo import Answer
    >>> answers = {(1,): Answer(True, "a step", [3]), (2,): Answer(False)}
    >>> FormatReward(lambda ids, task: answers[ids])(completion_ids=[[1], [2]], task=["t2m", "m2t"])
    [1.0, 0.0]
    """

    name = "format_reward"
    tasks = ("t2m", "m2t")

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        return [1.0] * len(answers)


class LengthCloseness(Reward):
    """The shorter of generated and ground-truth motion as a share of the longer, 0 if invalid (text-to-motion).

    >>> from modeling_unimo.processing_unimo import Answer
    >>> reward = LengthCloseness(lambda ids, task: Answer(True, "a step", list(ids)))
    >>> reward(completion_ids=[[3, 4]], task=["t2m"], reference_codes=[[3, 4, 4, 9]])
    [0.5]
    """

    name = "length_closeness"
    weight = 0.0
    columns = ("reference_codes",)

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        pairs = zip(answers, columns["reference_codes"], strict=True)
        lengths = [sorted((len(answer.codes), len(reference))) for answer, reference in pairs]
        return [shorter / longer for shorter, longer in lengths]


class JudgedReward(Reward):
    """A reward that needs the embeddings or the physics of a `MotionScorer`."""

    def __init__(self, read: ReadAnswer, scorer: "MotionScorer"):
        super().__init__(read)
        self.scorer = scorer


class MotionSimilarity(JudgedReward):
    """Cosine of generated and ground-truth motion, both as the VQ-VAE decodes them (text-to-motion)."""

    name = "motion_similarity"
    columns = ("reference_codes",)
    floor = LOWEST_COSINE

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        # Both sides at once: one decode and one embedding per step.
        sides = [answer.codes for answer in answers] + list(columns["reference_codes"])
        generated, truth = self.scorer.embed_codes(sides).split(len(answers))
        return (generated * truth).sum(-1).tolist()


class SemanticSimilarity(JudgedReward):
    """Cosine of the generated motion and the caption it was asked for (text-to-motion).

    The caption's words are those of the dataset, as in evaluation.
    """

    name = "semantic_similarity"
    columns = ("caption_tokens",)
    floor = LOWEST_COSINE

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        motions = self.scorer.embed_codes([answer.codes for answer in answers])
        return (motions * self.scorer.embed_tokens(columns["caption_tokens"])).sum(-1).tolist()


class CaptionSimilarity(JudgedReward):
    """Cosine of the generated caption and the reference captions: the nearest, or their mean (motion-to-text).

    Generated captions have no tokens in the dataset, so both sides are tokenised here, by the same rules.
    """

    name = "caption_similarity"
    tasks = ("m2t",)
    columns = ("references",)
    floor = LOWEST_COSINE

    def __init__(
        self, read: ReadAnswer, scorer: "MotionScorer", references_by: Literal["best", "mean"] = "best"
    ) -> None:
        super().__init__(read, scorer)
        self.references_by = references_by

    def can_score(self, answer: "Answer") -> bool:
        return answer.valid and has_words(answer.caption)

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        references = columns["references"]
        texts = [answer.caption for answer in answers] + [text for texts in references for text in texts]
        embedded = self.scorer.embed_captions(texts)
        truths = embedded[len(answers) :].split([len(texts) for texts in references])
        cosines = [truth @ answer for answer, truth in zip(embedded, truths, strict=False)]
        return [float(c.max() if self.references_by == "best" else c.mean()) for c in cosines]


class PhysicalPlausibility(JudgedReward):
    """How little feet slide, bodies sink into the ground and limbs jerk beside the ground truth (text-to-motion).

    In (0, 1], 0 if invalid; see `train.reinforcement.plausibility`. Needs a `MotionScorer` with `physics=True`.
    """

    name = "physical_plausibility"
    weight = 0.0
    columns = ("reference_codes",)

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        measured = self.scorer.physics([answer.codes for answer in answers] + list(columns["reference_codes"]))
        return [plausibility(*pair) for pair in zip(measured[: len(answers)], measured[len(answers) :], strict=True)]


class SelfConsistency(Reward):
    """How likely a frozen model, asked to describe the motion, finds its thought and its caption (text-to-motion).

    `candidates_unimo.score_answers`, by which candidates are chosen, put on (0, 1] without changing the order of
    answers: exp(score / `READING_NATS`); 0 if invalid. No judge is needed. The model that reads must not be the one
    that learns, which could change what it reads instead of what it writes.

    Args:
        read: parses completions.
        model: reads motions; its weights stay as they are.
        processor: the processor that belongs to it.
    """

    name = "self_consistency"
    weight = 0.0
    columns = ("caption",)

    def __init__(self, read: ReadAnswer, model: "PreTrainedModel", processor: Any):
        super().__init__(read)
        self.model, self.processor = model.eval().requires_grad_(False), processor

    def score(self, answers: Sequence["Answer"], **columns: Sequence[Any]) -> list[float]:
        requests = [("t2m", caption, None) for caption in columns["caption"]]
        # A group often holds the same answer twice.
        keys = [(caption, a.thought, tuple(a.codes)) for caption, a in zip(columns["caption"], answers, strict=True)]
        places = {key: place for place, key in enumerate(keys)}
        rows = list(places.values())
        chosen = [requests[row] for row in rows], [answers[row] for row in rows]
        scores = dict(zip(places, score_answers(self.model, self.processor, *chosen).tolist(), strict=True))
        return [math.exp(scores[key] / READING_NATS) for key in keys]


REWARDS: dict[str, type[Reward]] = {
    reward.name: reward
    for reward in (
        FormatReward,
        MotionSimilarity,
        SemanticSimilarity,
        CaptionSimilarity,
        LengthCloseness,
        PhysicalPlausibility,
        SelfConsistency,
    )
}
PAPER = tuple(name for name, reward in REWARDS.items() if reward.weight)


def parse_weights(text: str) -> dict[str, float]:
    """Read weights of rewards, from `"name=weight,name=weight"` over the defaults.

    A reward with weight 0 is still computed and logged, but does not count.

    >>> parse_weights("length_closeness=0.5, format_reward=0")["format_reward"]
    0.0

    Args:
        text: The weights.

    Returns:
        Weight by name.

    Raises:
        ValueError: Not of that form, an unknown reward, a weight that is not finite, or none above 0.
    """
    named: dict[str, float] = {}
    for word in filter(None, (word.strip() for word in text.split(","))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in REWARDS:
            raise ValueError(
                f"rewards: unknown reward {name!r}{did_you_mean(name, REWARDS)}; choose from {', '.join(REWARDS)}"
            )
        if name in named:
            raise ValueError(f"rewards: {name} is given twice")
        try:
            named[name] = float(value)
        except ValueError:
            raise ValueError(f"rewards: expected name=weight, like {name}=0.5, got {word!r}") from None
        if not math.isfinite(named[name]):
            raise ValueError(f"rewards: the weight of {name} must be finite, got {value}")
    weights = {
        name: named.get(name, reward.weight) for name, reward in REWARDS.items() if reward.weight or name in named
    }
    if not any(weights.values()):
        raise ValueError("rewards: every weight is 0, so nothing would be learned; leave one above 0")
    return weights


def make_rewards(
    processor: Any,
    scorer: "MotionScorer",
    names: Iterable[str] = PAPER,
    references_by: Literal["best", "mean"] = "best",
    reader: "PreTrainedModel | None" = None,
) -> list[Reward]:
    """The rewards of these names, with one reader of answers between them.

    Args:
        processor: reads completions.
        scorer: embeds motions and captions; needs `physics=True` for `physical_plausibility`.
        names: keys of `REWARDS`, in the order wanted.
        references_by: where a motion has several captions, whether `caption_similarity` counts the nearest one or the
            mean over all.
        reader: the frozen model of `self_consistency`, which shares `processor`.

    Returns:
        The rewards.

    Raises:
        ValueError: `self_consistency` without a reader.
    """

    @lru_cache(maxsize=4096)  # several rewards read the same answers
    def read(ids: tuple[int, ...], task: str) -> "Answer":
        return processor.parse(ids, task)

    def made(reward: type[Reward]) -> Reward:
        if issubclass(reward, SelfConsistency):
            if reader is None:
                raise ValueError("self_consistency needs a reader: the frozen model that reads motions")
            return reward(read, reader, processor)
        if issubclass(reward, CaptionSimilarity):
            return reward(read, scorer, references_by)
        return reward(read, scorer) if issubclass(reward, JudgedReward) else reward(read)

    return [made(REWARDS[name]) for name in names]
