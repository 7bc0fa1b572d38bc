"""Clips cut for the tasks "continue" and "fill": codes, words and times of the part that is written."""

from collections import Counter

import numpy as np
import pytest
from tiny_data import entries
from tiny_unimo import processor_of, qwen_tokenizer

from train.supervised.cut_examples import SHORTEST_CODES, SHOWN_CODES, caption_part, cut_example, thought_part
from train.supervised.sft_examples import Example, encoder, schedule

THOUGHT = "Slumped. At 0.4 s two kicks. At 3.0 s left hand up. At 5.6 s two jumps forward. End at 8.4 s, facing front."
CAPTION = "the person first kicks twice, then raises the left hand and finally does two jumps forward."


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 8.4, THOUGHT),
        (3.0, 8.4, "Slumped. At 0.0 s left hand up. At 2.6 s two jumps forward. End at 5.4 s, facing front."),
        (3.0, 5.6, "Slumped. At 0.0 s left hand up. End at 2.6 s."),
        (2.0, 4.0, "Slumped. At 1.0 s left hand up. End at 2.0 s."),
        (4.0, 5.0, "Slumped. At 0.0 s left hand up. End at 1.0 s."),
        (0.0, 3.0, "Slumped. At 0.4 s two kicks. End at 3.0 s."),
    ],
)
def test_a_thought_is_cut_and_its_times_are_shifted(start, end, expected):
    assert thought_part(THOUGHT, start, end) == expected


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        ("From 2.0 to 4.5 seconds the person walks.", "From 1.0 to 3.5 seconds the person walks."),
        ("A person stands for 2 seconds.", "A person stands for 2 seconds."),
        ("", ""),
    ],
)
def test_other_wordings_of_time(thought, expected):
    assert thought_part(thought, 1.0, 9.0) == expected


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (1, 3, "a person raises the left hand, then does two jumps forward."),
        (2, 3, "a person does two jumps forward."),
        (0, 2, CAPTION),
    ],
)
def test_a_caption_is_cut_by_its_clauses(begin, end, expected):
    assert caption_part(CAPTION, begin, end, 3) == expected


def test_a_caption_that_cannot_be_cut_stays_whole():
    assert caption_part(CAPTION, 1, 2, 4) == CAPTION
    again = "a person kicks, then does the same with the other leg."
    assert caption_part(again, 1, 2, 2) == again


@pytest.mark.parametrize("length", [SHORTEST_CODES, 7, 20, 42, 49])
def test_every_cut_is_whole(length):
    codes = np.arange(length)
    for seed in range(60):
        go_on = cut_example("continue", CAPTION, THOUGHT, codes, 0.2, (seed,))
        shown = list(go_on.given.before)
        assert [*shown, *go_on.codes] == codes.tolist()[-len(shown) - len(go_on.codes) :]
        assert 2 <= len(shown) <= SHOWN_CODES and go_on.codes and go_on.given.count is None and not go_on.given.after
        fill = cut_example("fill", CAPTION, THOUGHT, codes, 0.2, (seed,))
        shown, behind = list(fill.given.before), list(fill.given.after)
        assert [*shown, *fill.codes, *behind] == codes.tolist()[shown[0] : behind[-1] + 1]
        assert shown and behind and fill.given.count == len(fill.codes) >= 1
        assert go_on == cut_example("continue", CAPTION, THOUGHT, codes, 0.2, (seed,))


def test_most_cuts_lie_where_something_begins():
    codes = np.arange(42)
    cuts = [cut_example("continue", CAPTION, THOUGHT, codes, 0.2, (seed,)) for seed in range(200)]
    begins = Counter(cut.codes[0] for cut in cuts)
    assert begins[15] + begins[28] > 120
    assert {cut.caption for cut in cuts if cut.codes[0] == 28} >= {"a person does two jumps forward."}
    unspoken = cut_example("fill", CAPTION, "", codes, 0.2, (1,))
    assert unspoken.caption == CAPTION and unspoken.thought == ""


def test_shares_take_the_place_of_other_tasks_and_change_nothing_else():
    some, motions = entries(6), 400
    plain = schedule(some, motions, 100, 0.5, seed=3)
    mixed = schedule(
        some, motions, 100, 0.5, seed=3, cut_shares={"continue": 0.3, "fill": 0.2}, cuttable=lambda i: i != 2
    )
    assert plain[:100] == mixed[:100]
    assert [example[1:] for example in plain] == [example[1:] for example in mixed]
    counts = Counter(example.task for example in mixed[100:])
    assert 55 < counts["continue"] < 95 and 30 < counts["fill"] < 70
    assert all(example.motion != 2 for example in mixed if example.task in ("continue", "fill"))
    assert {example.task for example in schedule(some, 40, 0, 0.5, seed=3, cut_shares={"fill": 1.0})} == {"fill"}


def test_cut_examples_become_tokens():
    processor = processor_of(qwen_tokenizer(), tasks=["t2m", "m2t", "continue", "fill"])
    some = entries(2)
    codes = [np.arange(5, 25), np.arange(100, 130)]
    encode = encoder(processor, some, codes)
    known = processor.vocabulary
    for task in ("continue", "fill"):
        example = encode(Example(task, 1, 0))
        ids = example["input_ids"]
        begin = example["completion_mask"].index(1)
        answer = processor.parse(ids[begin:], task)
        assert answer.valid and answer.codes
        prompt = ids[:begin]
        assert prompt.count(known.motion_start) == prompt.count(known.motion_end) == (1 if task == "continue" else 2)
        shown = [id_ for id_ in prompt if id_ in known.codes]
        written = [known.codes[code] for code in answer.codes]
        both = [known.codes[code] for code in codes[1]]
        place = both.index(written[0])
        assert both[place : place + len(written)] == written
        assert shown[0] == both[both.index(shown[0])] and both.index(shown[0]) < place
