"""Whether motions do what captions that tell goals admit."""

from functools import cache

import numpy as np
import pytest

from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
from evaluate_unimo.admissible import does_admissible
from modeling_unimo.motion_representation import joints_to_features

SEGMENTS = {
    "wave": Segment("wave", "left", 3, "normal", "", 0, ""),
    "bow": Segment("bow", "", 0, "normal", "", 0, ""),
    "jump forward": Segment("jump_forward", "", 1, "normal", "", 0, ""),
    "sidestep": Segment("sidestep", "right", 2, "normal", "", 0, ""),
    "kick": Segment("kick", "right", 1, "normal", "front", 0, ""),
}


@cache
def motion(*names: str) -> np.ndarray:
    plan = Plan(tuple(SEGMENTS[name] for name in names), "", 1, (0,) * (len(names) - 1), 1, 1.0, 0.0)
    return np.asarray(joints_to_features(animate(plan).joints), dtype=np.float32)


@pytest.mark.parametrize(
    ("caption", "done", "admitted"),
    [
        ("a person greets somebody.", ("wave",), True),
        ("a person greets somebody.", ("bow",), True),
        ("a person greets somebody.", ("kick",), False),
        ("someone greets somebody, then gets past something on the floor.", ("bow", "jump forward"), True),
        ("someone greets somebody, then gets past something on the floor.", ("wave", "sidestep"), True),
        ("someone greets somebody, then gets past something on the floor.", ("wave",), False),
        ("someone greets somebody, then gets past something on the floor.", ("jump forward", "bow"), False),
    ],
)
def test_any_reading_counts_and_only_in_its_order(caption, done, admitted):
    assert does_admissible(caption, motion(*done)) is admitted


def test_what_cannot_be_measured_does_nothing():
    assert not does_admissible("a person greets somebody.", np.full((40, 263), np.nan, dtype=np.float32))
    assert not does_admissible("a person greets somebody.", np.zeros((40, 251), dtype=np.float32))


def test_a_caption_of_another_split_is_refused():
    with pytest.raises(ValueError, match="captions of the split test_vague tell goals"):
        does_admissible("a person waves.", motion("wave"))
