"""Captions that tell goals: what they admit, and that the joints tell it from what they do not admit."""

import re

import numpy as np
import pytest

from datasets_scripts.sources.synthetic.generator import CHOICES, draw_goals
from datasets_scripts.sources.synthetic.goals import (
    GOALS,
    MOST_GOALS,
    READINGS,
    captions,
    goals_of,
    readings_of_goals,
    sentences,
)
from datasets_scripts.verify import verify

STILL = np.zeros((20, 22, 3)) + np.arange(22)[:, None] * 0.05


def test_every_goal_leaves_something_open():
    for goal in GOALS:
        assert len(goal.actions) > 1 and len(goal.clauses) > 1
        assert set(goal.actions) <= READINGS.keys() & CHOICES.keys()
    clauses = [clause for goal in GOALS for clause in goal.clauses]
    assert len(set(clauses)) == len(clauses)


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.clauses[0])
def test_no_clause_tells_a_side_a_count_or_a_movement(goal):
    told = {claim.kind for text in goal.clauses for claim in verify([f"a person {text}."], STILL)[0].claims}
    assert not told & {"side", "count", "direction", "angle"}
    for clause in goal.clauses:
        verbs = {READINGS[action][0].split()[0] for action in goal.actions}
        assert not verbs & set(clause.split()), clause


def test_captions_differ_and_are_read_back():
    rng = np.random.default_rng(0)
    for goals in ([GOALS[0]], [GOALS[1], GOALS[5], GOALS[2]]):
        texts = captions(goals, rng)
        assert len(set(texts)) == len(texts) == 4
        assert all(goals_of(text) == goals and re.fullmatch(r"[a-z ,]+\.", text) for text in texts)


def readings(caption: str) -> list[str]:
    return sentences(readings_of_goals(goals_of(caption)))


def test_readings_are_every_choice_in_order():
    assert readings("a person greets somebody and then checks who is behind.") == [
        f"a person {first}, then {second}."
        for first in ("waves", "bows")
        for second in ("turns", "looks to the left", "looks to the right")
    ]
    assert sentences([["waves"], []]) == []


@pytest.mark.parametrize(
    "text", ["", "a person walks.", "a person greets somebody", "a person greets somebody, waves."]
)
def test_other_captions_are_refused(text):
    with pytest.raises(ValueError, match="captions of the split test_vague tell goals"):
        readings(text)


def test_drawn_motions_do_what_their_goals_admit_and_seldom_what_others_do():
    drawn = [draw_goals(np.random.default_rng(seed)) for seed in range(24)]
    lengths = {len(goals) for goals, _, _ in drawn}
    assert lengths <= set(range(1, MOST_GOALS + 1)) and len(lengths) > 1
    done = other = 0
    for (goals, plan, motion), (others, _, _) in zip(drawn, drawn[1:] + drawn[:1], strict=True):
        assert len(goals) == len(plan.segments)
        assert all(segment.action in goal.actions for goal, segment in zip(goals, plan.segments, strict=True))
        told = [READINGS[segment.action] for segment in plan.segments]
        done += any(not one.contradicted for one in verify(sentences(told), motion.joints))
        first = readings_of_goals(others)[0]
        other += any(not one.contradicted for one in verify(sentences([first]), motion.joints))
    assert done >= 22 and other <= 12
