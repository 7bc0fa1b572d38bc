"""datasets_scripts/recombine.py: clauses that can stand alone, and new captions out of them."""

import doctest

import pytest

from datasets_scripts import recombine
from datasets_scripts.recombine import clauses, recombined

CAPTIONS = [
    "a person walks forward, then turns left.",
    "someone sits down and then waves with the right hand.",
    "the man first jumps twice, then kicks and finally bows.",
]


def test_examples_in_the_docstrings():
    assert doctest.testmod(recombine).failed == 0


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("the tired person first kicks twice, then bows and finally sits down.", ["kicks twice", "bows", "sits down"]),
        ("a man is walking in a circle", []),  # no clause that stands alone behind another subject
        ("walking forward", []),
        ("he waves while he walks", ["waves while he walks"]),
        ("a person picks it up, then throws it.", []),  # it is of another clause
        ("", []),
        ("走", []),
    ],
)
def test_clauses_of_a_caption(caption, expected):
    assert clauses(caption) == expected


def test_new_captions_are_new_and_the_seed_decides():
    made = recombined(CAPTIONS, 20, seed=3)
    assert made == recombined(CAPTIONS, 20, seed=3) != recombined(CAPTIONS, 20, seed=4)
    assert len(set(made)) == 20
    pool = {clause for caption in CAPTIONS for clause in clauses(caption)}
    assert all(2 <= len(clauses(text)) <= 4 and set(clauses(text)) <= pool for text in made)


def test_what_is_known_does_not_come_out():
    captions = ["a person walks.", "a person jumps."]
    both = ["a person walks, then jumps.", "a person jumps, then walks."]
    assert sorted(recombined(captions, 2, seed=0)) == sorted(both)
    assert recombined(captions, 1, seed=0, avoid=both[:1]) == both[1:]


@pytest.mark.parametrize(
    ("captions", "count", "message"),
    [
        (["walking"], 1, "1 captions have 0 clauses that can be recombined"),
        (["a person walks, then jumps."], 5, "2 clauses gave 1 new captions of 5; ask for fewer"),
    ],
)
def test_too_few_clauses_are_said(captions, count, message):
    with pytest.raises(ValueError, match=message):
        recombined(captions, count, seed=0)
