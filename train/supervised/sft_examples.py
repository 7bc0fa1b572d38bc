"""The supervised examples: which caption of which clip is seen when, in which task, and as which tokens."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from datasets import Dataset

from datasets_scripts.captioned_motions import CaptionedMotion
from modeling_unimo.processing_unimo import GIVEN_TASKS
from train.supervised.cut_examples import cut_example


class Example(NamedTuple):
    """Which caption of which motion is learned in which task, and whether its answer leaves the thought out."""

    task: str
    motion: int
    caption: int
    without_thought: bool = False


Encode = Callable[[Example], dict[str, list[int]]]  # to `input_ids` and `completion_mask`


def check_thoughts(entries: Sequence[CaptionedMotion], thoughts: bool = True) -> None:
    """Check that there are examples, and a thought for every caption.

    Args:
        entries: The captioned motions.
        thoughts: Whether thoughts are needed.

    Raises:
        ValueError: No entries, or a caption without a thought; the message says how thoughts are made.
    """
    if not entries:
        raise ValueError("the dataset must hold at least one captioned motion")
    lacking = [entry.id for entry in entries if not all(thought.strip() for thought in entry.thoughts)]
    if lacking and thoughts:
        raise ValueError(
            f"clip {lacking[0]} has a caption without a thought, as {len(lacking)} of {len(entries)} do; build the "
            "dataset with --annotator kinematic, or bring thoughts with the captions"
        )


def schedule(
    entries: Sequence[CaptionedMotion],
    total: int,
    t2m_only: int,
    t2m_share: float,
    seed: int,
    m2t_captions: int = 0,
    fits: Callable[[Example], bool] | None = None,
    added: int = 0,
    no_thought_share: float = 0.0,
    cut_shares: Mapping[str, float] | None = None,
    cuttable: Callable[[int], bool] | None = None,
) -> list[Example]:
    """The `total` examples of a run in order: pass after pass over all motions, each time with the next caption.

    The first `t2m_only` examples are text-to-motion (paper: first half of training); each later one is text-to-motion
    with probability `t2m_share`. Motion-to-text learns the first `m2t_captions` captions of a motion (0: all): the
    published reference rule scores a description against the first three. The last `added` motions are text-to-motion
    always: a model's own answers are no true descriptions. Each example leaves its thought out with probability
    `no_thought_share`, whose draws change nothing else. The order depends on the seed alone, never on the number of
    processes.

    Examples that `fits` refuses stay in the list, but neither `total` nor `t2m_only` counts them: a run of so many
    steps, which leaves them out, learns from others in their place instead of beginning again.

    Args:
        entries: The captioned motions.
        total: Number of examples.
        t2m_only: Number of examples at the start that are text-to-motion.
        t2m_share: Probability of text-to-motion afterwards.
        seed: Of the order.
        m2t_captions: Captions of a motion that motion-to-text learns; 0 for all.
        fits: Whether an example is short enough; None accepts all.
        added: Number of motions, from the last, that a model wrote itself.
        no_thought_share: Probability that an example leaves its thought out.
        cut_shares: Share of the later examples that are of each task that clips are cut for ("continue", "fill"), in
            the place of either other task; the order of clips and captions stays as it is without.
        cuttable: Whether a motion is long enough to be cut; None accepts all.

    Returns:
        The examples.

    Raises:
        ValueError: there are no entries, or `fits` refuses as many examples in a row as there are captions.
    """
    if not entries:
        raise ValueError("the dataset must hold at least one captioned motion")
    rng, thought_rng = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    cut_rng = np.random.default_rng([seed, 2])
    shares = dict(cut_shares or {})
    first_caption = [int(rng.integers(len(entry.texts))) for entry in entries]
    most_misses = len(entries) * max(len(entry.texts) for entry in entries)
    examples: list[Example] = []
    counted = misses = epoch = 0
    while counted < total:
        for i in rng.permutation(len(entries)).tolist():
            own = i >= len(entries) - added
            task = "t2m" if counted < t2m_only or own or rng.random() < t2m_share else "m2t"
            joint, place = counted >= t2m_only and not own, cut_rng.random()
            for other, share in shares.items():
                if joint and 0 <= place < share and (cuttable is None or cuttable(i)):
                    task = other
                place -= share
            captions = len(entries[i].texts)
            if task == "m2t" and m2t_captions:
                captions = min(captions, m2t_captions)
            caption = (first_caption[i] + epoch) % captions
            example = Example(task, i, caption, bool(thought_rng.random() < no_thought_share))
            examples.append(example)
            if fits is None or fits(example):
                counted, misses = counted + 1, 0
            else:
                misses += 1
            if counted == total:
                break
            if misses == most_misses:
                raise ValueError(f"{misses} examples in a row are longer than max_length; raise it")
        epoch += 1
    return examples


def every_pair(entries: Sequence[CaptionedMotion], tasks: Sequence[str]) -> list[Example]:
    """Each motion with its first caption in each task: the examples of a validation, always the same.

    Args:
        entries: The captioned motions.
        tasks: The tasks.

    Returns:
        The examples.
    """
    return [Example(task, i, 0) for task in tasks for i in range(len(entries))]


def dropped_report(dropped: dict[str, int], examples: Sequence[Example]) -> str:
    """Report how many examples of each task were left out, such as "t2m 3 of 80, m2t 0 of 20".

    Args:
        dropped: Count by task.
        examples: All examples.

    Returns:
        The report.
    """
    total = Counter(example.task for example in examples)
    return ", ".join(f"{task} {dropped.get(task, 0):,} of {count:,} examples" for task, count in total.items())


def group_by_length(lengths: Sequence[int], batch_size: int, window_batches: int, seed: int) -> list[int]:
    """Order examples so that those of a batch have similar lengths, keeping the schedule on a larger scale.

    Sorting happens inside windows of `window_batches` batches; the batches of a window are shuffled.

    Args:
        lengths: Length of each example.
        batch_size: Examples a batch.
        window_batches: Batches a window.
        seed: Of the shuffle.

    Returns:
        Indices of the examples.
    """
    rng = np.random.default_rng(seed)
    order: list[int] = []
    window = batch_size * window_batches
    for begin in range(0, len(lengths), window):
        inside = sorted(range(begin, min(begin + window, len(lengths))), key=lambda i: lengths[i])
        batches = [inside[i : i + batch_size] for i in range(0, len(inside), batch_size)]
        # A short last batch stays last, so that every step but the final one is full.
        full, rest = [b for b in batches if len(b) == batch_size], [b for b in batches if len(b) < batch_size]
        order += [i for b in rng.permutation(len(full)).tolist() for i in full[b]] + [i for b in rest for i in b]
    return order


def encoder(processor, entries: Sequence[CaptionedMotion], codes: Sequence[np.ndarray]) -> Encode:
    """Encoder of examples that keeps the tokens of each.

    Args:
        processor: The processor, with `optional_thoughts` where examples leave their thought out.
        entries: The captioned motions.
        codes: Codes of each motion.

    Returns:
        Function of an example.
    """

    @cache
    def encode(example: Example) -> dict[str, list[int]]:
        task, i, caption, without_thought = example
        entry, asked = entries[i], processor.thinking(False) if without_thought else processor
        if task in GIVEN_TASKS:
            seed = (i, caption, GIVEN_TASKS.index(task))
            words, thought = entry.texts[caption], entry.thoughts[caption]
            cut = cut_example(task, words, thought, codes[i], processor.seconds_per_code, seed)
            return asked.encode_example(task, cut.thought, cut.caption, cut.codes, cut.given)
        return asked.encode_example(
            task, thought=entry.thoughts[caption], caption=entry.texts[caption], codes=codes[i].tolist()
        )

    return encode


def tokenized(encode: Encode, examples: Sequence[Example], max_length: int) -> tuple[Dataset, dict[str, int]]:
    """Tokenize examples. Nothing is cut, since a longer sequence would lose its instruction or its end.

    Args:
        encode: From `encoder`.
        examples: The examples.
        max_length: Tokens at most.

    Returns:
        Rows of `input_ids` and `completion_mask`, and the number of examples left out for their length, by task.

    Raises:
        ValueError: No example is short enough.
    """
    rows = []
    dropped: Counter[str] = Counter()
    for example in examples:
        encoded = encode(example)
        if len(encoded["input_ids"]) > max_length:
            dropped[example.task] += 1
        else:
            rows.append({name: encoded[name] for name in ("input_ids", "completion_mask")})
    if not rows:
        raise ValueError(f"all {len(examples)} examples are longer than max_length {max_length}; raise it")
    return Dataset.from_list(rows), dict(dropped)
