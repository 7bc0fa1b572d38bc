"""Candidates judged by the model that wrote them: each answer is read back in the other direction.

A motion written for a caption is good if the same model, asked to describe it, would think and say what was asked for;
a caption written for a motion, if the same model, asked for the caption, would write that motion. No other network is
needed, and all candidates are read in batches, without sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from .generation_unimo import answer_cache, filled_cache, has_plain_layers
from .inference_unimo import batches_by_length, evaluating
from .processing_unimo import MAX_TEXT_CHARACTERS, Answer, Given, UniMoProcessor

# Logits that a batch holds at most: 0.5 GB of float32, whatever the vocabulary.
_MOST_LOGITS = 2**27
# Tokens that a CPU reads at once: of more, what a layer hands to the next no longer stays in the processor's cache.
_TOKENS_ON_CPU = 2048
# Tokens that reading a common beginning once has to save: it takes a pass through the model of its own.
_WORTH_SHARING = 64

# Captions that tell a model which reads from one that does not, where too few requests come together to measure it by.
PROBES = (
    "a person walks forward.",
    "a person jumps up and down.",
    "a person turns around.",
    "a person waves with the right hand.",
    "a person squats down and stands up again.",
    "a person runs quickly.",
    "a person steps backward.",
    "a person kicks with the left leg.",
)
# A reading that is worth choosing by tells three of four pairs of motions apart; chance tells one of two.
LEAST_SHARE = 0.75

Request = tuple[str, str | None, Sequence[int] | Given | None]  # task, text, codes, as of `UniMoProcessor.rows`


@dataclass(frozen=True)
class Reading:
    """How likely a model finds an answer: log-probabilities in nats, summed over the tokens of its two parts.

    Attributes:
        thought: of the thought with its tags; 0 for answers without one.
        answer: of the caption or motion that follows, its tags and the end of turn.
        thought_tokens, answer_tokens: how many tokens these are sums over.
    """

    thought: float
    answer: float
    thought_tokens: int
    answer_tokens: int

    @property
    def score(self) -> float:
        """Log-probability of the whole completion."""
        return self.thought + self.answer


@torch.no_grad()
def read_completions(
    language_model: PreTrainedModel,
    processor: UniMoProcessor,
    task: str,
    thoughts: Sequence[str],
    captions: Sequence[str],
    codes_list: Sequence[Sequence[int]],
    batch_size: int = 64,
) -> list[Reading]:
    """What a model would give to these completions of a task, by teacher forcing.

    Args:
        language_model: The causal LM; it is read in evaluation mode and left as it was.
        processor: The processor that belongs to it.
        task: "m2t" reads thought and caption after the codes, "t2m" thought and codes after the caption.
        thoughts, captions, codes_list: One entry each a completion.
        batch_size: Completions read at once, at most; fewer on a CPU, which reads long batches more slowly, and
            where their logits would take more than 0.5 GB.

    Returns:
        One reading a completion, the same alone and in any batch up to rounding.

    Raises:
        ValueError: A thought, caption or motion that the processor refuses.
    """
    examples = [
        processor.encode_example(task, thought, caption, codes)
        for thought, caption, codes in zip(thoughts, captions, codes_list, strict=True)
    ]
    if not examples:
        return []
    think_end = processor.vocabulary.think_end
    rows_ids = [example["input_ids"] for example in examples]
    lengths = [(len(example["input_ids"]), sum(example["completion_mask"])) for example in examples]
    longest, most_kept = max(lengths)[0], max(kept for _, kept in lengths) + 1
    at_once = min(batch_size, _MOST_LOGITS // (most_kept * language_model.get_output_embeddings().weight.shape[0]))
    if language_model.device.type == "cpu":
        at_once = min(at_once, _TOKENS_ON_CPU // longest)
    readings: list[Reading | None] = [None] * len(examples)
    with evaluating(language_model):
        shared, states = _read_beginning(language_model, rows_ids, min(length - kept for length, kept in lengths) - 1)
        for rows in batches_by_length(lengths, max(1, at_once)):
            width, first = lengths[rows[0]][0], min(lengths[row][0] - lengths[row][1] for row in rows)
            # Padded at the end, where what is padding comes after all that is read: no mask, no positions.
            padded = [rows_ids[row] + [processor.pad_id] * (width - lengths[row][0]) for row in rows]
            ids = torch.tensor(padded, device=language_model.device)
            several = [
                (keys.expand(len(rows), -1, -1, -1), values.expand(len(rows), -1, -1, -1)) for keys, values in states
            ]
            logits = language_model(
                input_ids=ids[:, shared:],
                past_key_values=filled_cache(several) if shared else None,
                logits_to_keep=width - first + 1,
                use_cache=bool(shared),
            ).logits[:, :-1]
            wide = logits if logits.dtype == torch.float64 else logits.float()
            chosen = wide.gather(-1, ids[:, first:, None]).squeeze(-1)
            log_probs = (chosen - wide.logsumexp(-1)).double().cpu().numpy()
            for place, row in enumerate(rows):
                length, kept = lengths[row]
                completion = rows_ids[row][-kept:]
                thinking = completion.index(think_end) + 1 if processor.thoughts else 0
                of_row = log_probs[place, length - kept - first : length - first]
                sums = float(of_row[:thinking].sum()), float(of_row[thinking:].sum())
                readings[row] = Reading(*sums, thinking, kept - thinking)
    return [reading for reading in readings if reading is not None]


def _read_beginning(
    language_model: PreTrainedModel, rows: Sequence[Sequence[int]], most: int
) -> tuple[int, list[tuple[torch.Tensor, torch.Tensor]]]:
    """What all rows begin with, up to `most` tokens, read once: its length and keys and values of each layer.

    No length and no layers where reading it with every row is as good.
    """
    shared = 0
    while shared < most and all(row[shared] == rows[0][shared] for row in rows):
        shared += 1
    text_config = language_model.config.get_text_config(decoder=True)
    if (len(rows) - 1) * shared < _WORTH_SHARING or not has_plain_layers(text_config):
        return 0, []
    cache = answer_cache(text_config)
    beginning = torch.tensor([list(rows[0][:shared])], device=language_model.device)
    language_model(input_ids=beginning, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return shared, [(layer.keys, layer.values) for layer in cache.layers]


def score_answers(
    language_model: PreTrainedModel,
    processor: UniMoProcessor,
    requests: Sequence[Request],
    answers: Sequence[Answer],
    batch_size: int = 64,
) -> np.ndarray:
    """Scores of answers by the model's own reading: the log-probability of request and thought, asked the other way.

    For a motion, of the answer's thought followed by the caption that was asked for, given the codes ("m2t"). For a
    caption, of the answer's thought followed by the codes that were to be described, given the caption ("t2m").

    Args:
        language_model: The causal LM that reads, as a rule the one that wrote.
        processor: The processor that belongs to it.
        requests: (task, text, codes) of each answer, as `UniMoProcessor.rows` gives them.
        answers: The answers to them, one each.
        batch_size: Answers read at once, at most.

    Returns:
        (len(answers),) float64, in nats, higher is better; -inf for an invalid answer, and for a caption longer than
        any that can be asked for. Only scores of answers to one request can be compared.
    """
    scores = np.full(len(answers), -np.inf)
    for task, other in (("t2m", "m2t"), ("m2t", "t2m")):
        rows = [
            row
            for row, (request, answer) in enumerate(zip(requests, answers, strict=True))
            if request[0] == task and answer.valid and len(answer.caption) <= MAX_TEXT_CHARACTERS
        ]
        readings = read_completions(
            language_model,
            processor,
            other,
            [answers[row].thought for row in rows],
            [str(requests[row][1]) if task == "t2m" else answers[row].caption for row in rows],
            [answers[row].codes if task == "t2m" else described_codes(requests[row]) for row in rows],
            batch_size,
        )
        scores[rows] = [reading.score for reading in readings]
    return scores


def recognised_share(
    language_model: PreTrainedModel,
    processor: UniMoProcessor,
    task: str,
    thoughts: Sequence[str],
    captions: Sequence[str],
    codes_list: Sequence[Sequence[int]],
    batch_size: int = 64,
) -> float:
    """How often a model's reading tells two pairs of motion and caption apart: whether it means anything.

    Of two pairs, the sum of the log-probabilities as they belong together is compared with that after the two motions
    changed places. What is likely whatever the motion, such as a short caption, counts on both sides alike; a model
    that was never taught to read is right by chance, in half of all cases.

    Args:
        task: "m2t" reads motions, "t2m" captions.
        thoughts, captions, codes_list: One entry each a pair, two pairs or more; others as `read_completions`.

    Returns:
        Share of all pairs of pairs, 0 to 1.
    """
    count = len(captions)
    of_text, of_motion = np.divmod(np.arange(count * count), count)
    answered = of_text if task == "m2t" else of_motion
    readings = read_completions(
        language_model,
        processor,
        task,
        # A thought belongs to what is answered with it.
        [thoughts[row] for row in answered],
        [captions[row] for row in of_text],
        [codes_list[row] for row in of_motion],
        batch_size,
    )
    scores = np.array([reading.score for reading in readings]).reshape(count, count)
    own = scores.diagonal()
    gain = own[:, None] + own[None, :] - scores - scores.T
    return float((gain[np.triu_indices(count, 1)] > 0).mean())


def described_codes(request: Request) -> Sequence[int]:
    """The codes that an m2t request describes.

    Args:
        request: (task, text, codes).

    Returns:
        The codes.
    """
    codes = request[2]
    return [] if codes is None or isinstance(codes, Given) else codes
