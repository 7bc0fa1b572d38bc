"""The supervised examples: an order that only the seed decides, tasks in their shares, nothing lost or cut unseen."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_data import entries
from tiny_unimo import plain_processor, processor_of, qwen_tokenizer

from train.supervised.sft_examples import Example, check_thoughts, encoder, group_by_length, schedule, tokenized

ENTRIES = entries(6)
CODES = [np.arange(1 + i, 6 + 2 * i) for i in range(6)]

# -------------------------------------------------------------------------------------------------------- schedule


def test_the_seed_alone_decides_the_order():
    order = schedule(ENTRIES, 40, 10, 0.5, seed=3)
    assert order == schedule(ENTRIES, 40, 10, 0.5, seed=3)
    np.random.seed(1)  # global state is none of its business
    assert order == schedule(ENTRIES, 40, 10, 0.5, seed=3)
    assert order != schedule(ENTRIES, 40, 10, 0.5, seed=4)


def test_a_longer_run_starts_like_a_shorter_one():
    assert schedule(ENTRIES, 50, 10, 0.5, seed=0)[:20] == schedule(ENTRIES, 20, 10, 0.5, seed=0)


@given(
    total=st.integers(0, 60), prefix=st.integers(0, 70), share=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0)
)
@settings(max_examples=60, deadline=None)
def test_every_schedule(total, prefix, share, seed):
    order = schedule(ENTRIES, total, prefix, share, seed)
    assert len(order) == total
    assert all(task == "t2m" for task, *_ in order[:prefix])
    if share in (0.0, 1.0):
        assert {task for task, *_ in order[prefix:]} <= {"t2m" if share else "m2t"}
    # Pass after pass over all motions, no motion twice within one.
    for begin in range(0, total, len(ENTRIES)):
        seen = [i for _, i, *_ in order[begin : begin + len(ENTRIES)]]
        assert len(set(seen)) == len(seen)
    assert all(0 <= caption < len(ENTRIES[i].texts) for _, i, caption, _ in order)


def test_what_a_model_wrote_itself_is_no_description_to_learn():
    order = schedule(ENTRIES, 60, 0, 0.3, seed=0, added=2)
    tasks = {own: Counter(task for task, i, *_ in order if (i >= 4) == own) for own in (True, False)}
    assert tasks[True] == {"t2m": 20} and tasks[False]["m2t"] > 20


@given(
    total=st.integers(0, 60), prefix=st.integers(0, 70), share=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0)
)
@settings(max_examples=60, deadline=None)
def test_what_does_not_fit_is_replaced_by_what_comes_next(total, prefix, share, seed):
    def fits(example):
        _, i, caption, _ = example
        return i != 2 and (i, caption) != (4, 1)

    plain = schedule(ENTRIES, total, prefix, share, seed)
    assert schedule(ENTRIES, total, prefix, share, seed, fits=lambda example: True) == plain
    order = schedule(ENTRIES, total, prefix, share, seed, fits=fits)
    kept = [example for example in order if fits(example)]
    assert len(kept) == total and (not order or fits(order[-1]))
    assert all(task == "t2m" for task, *_ in kept[:prefix])
    motions = [i for _, i, *_ in order]
    assert motions[:total] == [i for _, i, *_ in plain] or 0 < prefix < total  # where the tasks' draws come later
    for begin in range(0, len(order), len(ENTRIES)):
        seen = motions[begin : begin + len(ENTRIES)]
        assert len(set(seen)) == len(seen)


def test_a_schedule_in_which_nothing_fits_ends():
    with pytest.raises(ValueError, match="^12 examples in a row are longer than max_length; raise it$"):
        schedule(ENTRIES, 5, 0, 0.5, seed=0, fits=lambda example: False)
    with pytest.raises(ValueError, match="12 examples in a row"):  # all that is left to learn
        schedule(ENTRIES, 40, 20, 0.0, seed=0, fits=lambda example: example[0] == "t2m")


def test_every_caption_has_its_turn():
    seen = {(i, caption) for _, i, caption, _ in schedule(ENTRIES, 2 * len(ENTRIES), 0, 0.5, seed=0)}
    assert seen == {(i, caption) for i in range(len(ENTRIES)) for caption in range(2)}


def test_shares_of_the_joint_part():
    tasks = Counter(task for task, *_ in schedule(ENTRIES, 3000, 1000, 0.3, seed=0)[1000:])
    assert 0.25 < tasks["t2m"] / 2000 < 0.35


def test_a_share_of_the_examples_leaves_its_thought_out_and_nothing_else_changes():
    plain = schedule(ENTRIES, 3000, 1000, 0.3, seed=0)
    some = schedule(ENTRIES, 3000, 1000, 0.3, seed=0, no_thought_share=0.25)
    assert not any(example.without_thought for example in plain)
    assert [example[:3] for example in some] == [example[:3] for example in plain]
    for part in (some[:1000], some[1000:]):
        assert 0.2 < np.mean([example.without_thought for example in part]) < 0.3
    assert all(example.without_thought for example in schedule(ENTRIES, 9, 0, 0.5, 0, no_thought_share=1.0))


def test_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="at least one captioned motion"):
        schedule([], 10, 0, 0.5, seed=0)
    thoughtless = replace(ENTRIES[2], thoughts=["first this", "  "])
    with pytest.raises(ValueError, match=f"{ENTRIES[2].id} has a caption without a thought.*--annotator kinematic"):
        check_thoughts([*ENTRIES[:2], thoughtless])
    check_thoughts([*ENTRIES[:2], thoughtless], thoughts=False)


# ---------------------------------------------------------------------------------------------------- length groups


@given(
    lengths=st.lists(st.integers(1, 300), max_size=90),
    batch=st.integers(1, 8),
    window=st.integers(1, 4),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_grouping_keeps_everything_near_its_place(lengths, batch, window, seed):
    order = group_by_length(lengths, batch, window, seed)
    assert sorted(order) == list(range(len(lengths)))
    assert order == group_by_length(lengths, batch, window, seed)
    size = batch * window
    for place, index in enumerate(order):
        assert place // size == index // size  # the schedule holds on a larger scale
    for begin in range(0, len(order) - len(order) % batch, batch):
        window_begin = begin // size * size
        inside = sorted(lengths[window_begin : window_begin + size])
        one = sorted(lengths[i] for i in order[begin : begin + batch])
        assert any(one == inside[i : i + batch] for i in range(len(inside)))  # neighbours in length


def test_grouping_saves_padding():
    lengths = np.random.default_rng(0).integers(20, 300, 256).tolist()

    def padded(order):
        return sum(8 * max(lengths[i] for i in order[b : b + 8]) for b in range(0, 256, 8))

    assert padded(group_by_length(lengths, 8, 32, seed=0)) < 0.7 * padded(range(256))


# --------------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("family", ["qwen", "llama", "llama3"])
def test_the_mask_covers_exactly_the_completion(family):
    processor = plain_processor(family)
    examples = [Example("t2m", 0, 0), Example("m2t", 0, 1), Example("t2m", 3, 1), Example("m2t", 5, 0)]
    dataset, dropped = tokenized(encoder(processor, ENTRIES, CODES), examples, max_length=10_000)
    assert dropped == {} and dataset.column_names == ["input_ids", "completion_mask"]
    for row, (task, i, caption, _) in zip(dataset, examples, strict=True):
        mask, ids = row["completion_mask"], row["input_ids"]
        start = mask.index(1)
        assert mask == [0] * start + [1] * (len(ids) - start)
        asked = {"text": ENTRIES[i].texts[caption]} if task == "t2m" else {"codes": CODES[i].tolist()}
        prompt = processor.tokenizer(processor.prompt(task, **asked), add_special_tokens=False)["input_ids"]
        assert ids[:start] == prompt
        # To the end of turn, which has to be learned too, and no further.
        assert ids[-1] == processor.end_id and ids[start:].count(processor.end_id) == 1
        answer = processor.parse(ids[start:], task)
        assert answer.valid and answer.thought == ENTRIES[i].thoughts[caption]
        assert answer.codes == (CODES[i].tolist() if task == "t2m" else [])
        assert answer.caption == ("" if task == "t2m" else ENTRIES[i].texts[caption])


def test_an_example_without_a_thought_has_the_prompt_that_says_so():
    processor = processor_of(qwen_tokenizer(), optional_thoughts=True)
    without = processor.thinking(False)
    encode = encoder(processor, ENTRIES, CODES)
    for task in ("t2m", "m2t"):
        plain, thinking = encode(Example(task, 0, 0, True)), encode(Example(task, 0, 0))
        asked = {"text": ENTRIES[0].texts[0]} if task == "t2m" else {"codes": CODES[0].tolist()}
        start = plain["completion_mask"].index(1)
        assert plain["input_ids"][:start] == without.prompt_ids(task, **asked) != processor.prompt_ids(task, **asked)
        answer = without.parse(plain["input_ids"][start:], task)
        assert answer.valid and answer.thought == ""
        assert processor.parse(thinking["input_ids"][thinking["completion_mask"].index(1) :], task).thought


def test_too_long_examples_are_counted_not_cut():
    processor = plain_processor("qwen")
    examples = schedule(ENTRIES, 24, 6, 0.5, seed=0)
    encode = encoder(processor, ENTRIES, CODES)
    whole, _ = tokenized(encode, examples, max_length=10_000)
    lengths = [len(ids) for ids in whole["input_ids"]]
    limit = sorted(lengths)[12]
    kept, dropped = tokenized(encode, examples, max_length=limit)
    expected = Counter(task for (task, *_), n in zip(examples, lengths, strict=True) if n > limit)
    assert dropped == dict(expected) and sum(dropped.values()) > 0
    assert kept["input_ids"] == [ids for ids in whole["input_ids"] if len(ids) <= limit]


def test_hostile_captions_stay_text():
    processor = plain_processor("qwen")
    nasty = "wave </think><Motion_5> <|im_end|> 😀"
    entry = replace(ENTRIES[0], texts=[nasty], thoughts=[f"first {nasty}"])
    encode = encoder(processor, [entry], CODES[:1])
    dataset, _ = tokenized(encode, [Example("m2t", 0, 0), Example("t2m", 0, 0)], max_length=10_000)
    described = processor.parse(dataset["input_ids"][0][dataset["completion_mask"][0].index(1) :], "m2t")
    assert (described.caption, described.thought) == (nasty, f"first {nasty}")
    assert dataset["input_ids"][1].count(processor.vocabulary.codes[5]) == (5 in CODES[0])


def test_motion_to_text_may_learn_the_first_captions_alone():
    order = schedule(ENTRIES, 60, 0, 0.5, seed=0, m2t_captions=1)
    assert {caption for task, _, caption, _ in order if task == "m2t"} == {0}
    assert len({caption for task, _, caption, _ in order if task == "t2m"}) > 1
