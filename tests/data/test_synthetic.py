"""The embedded dataset: determinism, splits, bodies that obey bones, joints and floor, texts that tell the truth."""

import hashlib
import itertools
import math
import re

import numpy as np
import pytest

from datasets_scripts.sources.synthetic.generator import (
    ATTRIBUTES,
    CHOICES,
    POOL_SIZE,
    draw_clip,
    draw_pool,
    held_out,
    iter_clips,
)
from datasets_scripts.sources.synthetic.goals import goals_of, readings_of_goals
from datasets_scripts.sources.synthetic.language import (
    DETAILED,
    MEDIUM,
    captions,
    clause,
    count_agrees,
    filled,
    hip_heading,
    mirrored,
    relation,
    repetitions,
    thought,
)
from datasets_scripts.sources.synthetic.motion import (
    ACTIONS,
    FPS,
    MANNERS,
    MAX_TICKS,
    SPEEDS,
    Plan,
    Segment,
    animate,
)
from datasets_scripts.sources.synthetic.other_words import OTHER_WORDS, TITLES
from datasets_scripts.sources.synthetic.retelling import _VERBS, retell, slip
from datasets_scripts.verify import verify
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints, joints_to_features

BONES = [(joint, int(parent)) for joint, parent in enumerate(HUMANML3D.parents) if parent >= 0]
LENGTHS = np.linalg.norm(np.asarray(HUMANML3D.default_offsets, dtype=np.float64), axis=-1)


def drawn(number: int, hard: bool = False, split: int = 0):
    return [draw_clip(np.random.default_rng((0, split, index)), hard) for index in range(number)]


@pytest.fixture(scope="module")
def clips():
    return drawn(150)


@pytest.fixture(scope="module")
def hard_clips():
    return drawn(40, hard=True, split=3)


def every_segment():
    """Each action with each side, direction, angle, size and speed, at its smallest and largest count."""
    for action, choice in CHOICES.items():
        speeds = SPEEDS if choice.paced else ("normal",)
        counts = sorted({min(choice.counts), max(choice.counts)})
        values = (choice.sides, counts, speeds, choice.directions, choice.angles, choice.sizes)
        for combination in itertools.product(*values):
            yield Segment(action, *combination)


def animated(segment: Segment, manner: str = ""):
    before = (Segment("sit"),) if segment.action == "stand" else ()
    motion = animate(Plan((*before, segment), manner))
    return None if motion is None else (motion.joints, motion.spans[-1])


# -- the dataset ----------------------------------------------------------------------------------------------------


def test_sixteen_actions_and_more():
    assert len(CHOICES) >= 16
    assert set(CHOICES) == set(ACTIONS)


def test_clips_depend_on_seed_split_and_index_only():
    first = list(iter_clips(train=6, validation=1, test=1, hard=1, attribute_pools=1, seed=3))
    again = [clip for clip in iter_clips(train=9, validation=1, test=1, hard=1, attribute_pools=1, seed=3)]
    again = [clip for clip in again if clip.id not in {"train-00006", "train-00007", "train-00008"}]
    assert [clip.id for clip in first] == [clip.id for clip in again]
    for one, two in zip(first, again, strict=True):
        assert one.features.tobytes() == two.features.tobytes()
        assert one.captions == two.captions
    other = next(iter_clips(train=1, validation=0, test=0, hard=0, attribute_pools=0, seed=4))
    assert hashlib.sha256(other.features.tobytes()).digest() != hashlib.sha256(first[0].features.tobytes()).digest()


def test_rows_are_complete():
    splits = {}
    for clip in iter_clips(train=12, validation=2, test=3, hard=3, attribute_pools=2):
        splits.setdefault(clip.split, []).append(clip)
        assert clip.features.dtype == np.float32 and clip.features.shape[1] == 263
        assert 40 <= len(clip.features) <= 196 and len(clip.features) % 4 == 0
        assert np.isfinite(clip.features).all()
        assert clip.source == "synthetic" and clip.fps == FPS
        assert len({caption.text for caption in clip.captions}) == len(clip.captions)
        assert len(clip.captions) >= (3 if clip.split == "test_attributes" else 4)
        for caption in clip.captions:
            assert re.fullmatch(r"[a-z ,]+\.", caption.text) and "  " not in caption.text
            assert caption.tokens and all(re.fullmatch(r"[a-z]+/[A-Z]+", token) for token in caption.tokens)
            assert caption.thought and (caption.start, caption.end) == (0.0, 0.0)
    sizes = {split: len(rows) for split, rows in splits.items()}
    assert sizes == {"train": 12, "validation": 2, "test": 3, "test_hard": 3, "test_attributes": 16}
    assert [clip.id for clip in splits["test_attributes"]][6:10] == [
        "pool-0000-06",
        "pool-0000-07",
        "pool-0001-00",
        "pool-0001-01",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": -1}, "must not be negative"),
        ({"attribute_pools": -2}, "must not be negative"),
        ({"seed": -1}, "must not be negative"),
        ({"vague": -1}, "test_vague must not be negative, got -1"),
        ({"language": "french"}, "language must be one of plain, wide, got 'french'"),
    ],
)
def test_bad_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        next(iter_clips(**wrong))


def test_wide_language_adds_captions_and_changes_none():
    sizes = {"train": 12, "validation": 2, "test": 2, "hard": 1, "attribute_pools": 1}
    plain, wide, again = (list(iter_clips(**sizes, language=name)) for name in ("plain", "wide", "wide"))
    assert [clip.captions for clip in wide] == [clip.captions for clip in again]
    for one, other in zip(plain, wide, strict=True):
        assert one.features.tobytes() == other.features.tobytes()
        texts = [caption.text for caption in other.captions]
        assert other.captions[: len(one.captions)] == one.captions and len(set(texts)) == len(texts)
        assert len(texts) - len(one.captions) == (0 if other.split in ("test_hard", "test_attributes") else 3)
        assert all(re.fullmatch(r"[a-z ,]+\.?", text) and "  " not in text for text in texts)


def test_captions_that_tell_goals_come_on_request_and_change_nothing_else():
    sizes = {"train": 24, "validation": 4, "test": 3, "hard": 1, "attribute_pools": 1}
    plain, asked = list(iter_clips(**sizes)), list(iter_clips(**sizes, vague=5))
    vague = asked[len(plain) :]
    assert [clip.split for clip in vague] == ["test_vague"] * 5 and len({clip.id for clip in vague}) == 5
    told = 0
    for one, other in zip(plain, asked, strict=False):
        assert one.features.tobytes() == other.features.tobytes()
        assert other.captions[: len(one.captions)] == one.captions
        more = other.captions[len(one.captions) :]
        assert len(more) <= (one.split in ("train", "validation"))
        told += sum(bool(readings_of_goals(goals_of(caption.text))) for caption in more)
    assert 5 <= told < 28
    assert all(readings_of_goals(goals_of(caption.text)) for clip in vague for caption in clip.captions)


def test_retellings_are_true_and_of_many_forms(clips):
    texts, read, flagged = [], 0, []
    for index, (plan, motion) in enumerate(clips):
        told = retell(plan, np.random.default_rng(index)).text
        [checked] = verify([told], motion.joints)
        texts.append(told)
        read += bool(checked.claims)
        flagged += [told] if checked.contradicted else []
    assert len(flagged) <= 0.02 * len(texts) and read >= 0.98 * len(texts), flagged
    for form in (r"^(a|the) \w+ is \w+ing\b", r"^(\w+ )?person \w+ing\b", r"\b(walked|turned|raised|kicked)\b",
                 r" before \w+ing\b", r"\b(a few|several|a couple of)\b", r"\b(his|her|their) (left|right)\b",
                 r"[a-z]$", r"^(walk|turn|jump|kick)\b", r"^(he|she|someone)\b"):  # fmt: skip
        assert any(re.search(form, text) for text in texts), form


def test_every_verb_of_the_captions_has_its_tenses():
    for segment in every_segment():
        plan = Plan(((Segment("sit"),) if segment.action == "stand" else ()) + (segment,))
        told = [clause(plan, len(plan.segments) - 1, style) for style in (*DETAILED, MEDIUM)]
        told += [filled(wording.text, segment) for wording in OTHER_WORDS[segment.action] if wording.fits(segment)]
        for words in told:
            assert words.removeprefix("slowly ").removeprefix("quickly ").split()[0] in _VERBS, words
            second = re.search(r"\band ([a-z]+s)\b", words)
            assert second is None or second[1] in _VERBS or second[1] == "legs", words


@pytest.mark.parametrize("action", CHOICES)
def test_other_words_are_true_and_read(action):
    segments = [segment for segment in every_segment() if segment.action == action]
    opening = "sit down, " if action == "stand" else ""
    for segment in segments[:: max(1, len(segments) // 3)]:
        motion = animate(Plan(((Segment("sit"),) if opening else ()) + (segment,)))
        if motion is None:
            continue
        told = [filled(wording.text, segment) for wording in OTHER_WORDS[action] if wording.fits(segment)]
        told = [f"a person {text}." for text in told]
        told += [filled(title, segment) for title in TITLES[action]]
        for checked in verify([opening + text for text in told], motion.joints):
            assert checked.claims and not checked.contradicted, checked


def test_a_slip_exchanges_two_letters_of_a_few_texts():
    text = "a person walks forward and sits down."
    slips = [slip(text, np.random.default_rng(seed)) for seed in range(400)]
    changed = [other for other in slips if other != text]
    assert 5 <= len(changed) <= 45
    for other in changed:
        [first, second] = [i for i in range(len(text)) if text[i] != other[i]]
        assert second == first + 1 and (text[first], text[second]) == (other[second], other[first])
    assert slip("a man", np.random.default_rng(0)) == "a man"


def test_held_out_combinations_occur_in_the_hard_split_only(clips, hard_clips):
    for plan, _ in [*clips, *drawn(60, split=1), *drawn(60, split=2)]:
        assert not any(held_out(segment, plan.manner) for segment in plan.segments)
    for index, attribute in enumerate(ATTRIBUTES):
        for plan, _ in draw_pool(np.random.default_rng((0, 4, index)), attribute):
            assert not any(held_out(segment, plan.manner) for segment in plan.segments)
    for plan, _ in hard_clips:
        assert any(held_out(segment, plan.manner) for segment in plan.segments)


def test_holding_out_removes_no_side_count_or_manner_altogether():
    for action, choice in CHOICES.items():
        kept = [
            (side, count, manner)
            for side, count, manner in itertools.product(choice.sides, choice.counts, MANNERS)
            if not held_out(Segment(action, side, count), manner)
        ]
        assert {side for side, _, _ in kept} == set(choice.sides)
        assert {count for _, count, _ in kept} == set(choice.counts)
        assert {manner for _, _, manner in kept} == set(MANNERS)


def test_hard_clips_are_longer_and_leave_something_out(clips, hard_clips):
    mean_actions = np.mean([len(plan.segments) for plan, _ in clips])
    for plan, _ in hard_clips:
        assert len(plan.segments) >= 4 > 1.5 * mean_actions
        assert any(relation(plan, index) for index in range(len(plan.segments)))
        texts = captions(plan, np.random.default_rng(0), related=1.0)
        assert all(re.search("the same|as many times", text) for text in texts[:3])


@pytest.mark.parametrize("index", range(2 * len(ATTRIBUTES)))
def test_pool_members_differ_in_one_attribute(index):
    attribute = ATTRIBUTES[index % len(ATTRIBUTES)]
    members = draw_pool(np.random.default_rng((0, 4, index)), attribute)
    assert len(members) == POOL_SIZE
    plans = [plan for plan, _ in members]
    assert len({tuple(getattr(segment, attribute) for segment in plan.segments) for plan in plans}) == POOL_SIZE
    for plan in plans:
        for segment, reference in zip(plan.segments, plans[0].segments, strict=True):
            for name in ("action", *ATTRIBUTES, "size"):
                if name != attribute:
                    assert getattr(segment, name) == getattr(reference, name)
    for style in range(3):
        texts = {captions(plan, np.random.default_rng(0), 0.0, detailed_only=True)[style] for plan in plans}
        assert len(texts) == POOL_SIZE
    shapes = {motion.joints.tobytes() for _, motion in members}
    assert len(shapes) == POOL_SIZE


# -- the body -------------------------------------------------------------------------------------------------------


def test_bones_keep_humanml3d_lengths(clips):
    for _, motion in clips[:40]:
        for joint, parent in BONES:
            lengths = np.linalg.norm(motion.joints[:, joint] - motion.joints[:, parent], axis=-1)
            np.testing.assert_allclose(lengths, LENGTHS[joint], atol=1e-6)


def test_planted_feet_do_not_slide_and_nothing_sinks(clips):
    speeds = []
    for _, motion in clips:
        joints = motion.joints
        assert joints[..., 1].min() > -1e-6
        for toe in (10, 11):
            down = joints[:, toe, 1] < 0.004
            step = np.linalg.norm(np.diff(joints[:, toe], axis=0), axis=-1) * FPS
            speeds.append(step[down[1:] & down[:-1]])
    speeds = np.concatenate(speeds)
    assert len(speeds) > 5000
    assert speeds.mean() < 0.005 and np.quantile(speeds, 0.99) < 0.08, "metres a second of toes on the ground"


def test_somebody_stands_on_at_least_one_foot_unless_in_the_air(clips):
    airborne = {"run", "jump", "jump_forward", "hop", "jack"}
    for plan, motion in clips:
        lowest = motion.joints[:, [10, 11], 1].min(axis=1)
        for segment, (start, end) in zip(plan.segments, motion.spans, strict=True):
            if segment.action not in airborne:
                assert lowest[start:end].max() < 0.01, segment


def test_knees_and_elbows_bend_the_right_way_and_motion_is_smooth():
    for segment in every_segment():
        result = animated(segment)
        if result is None:
            continue
        joints, _ = result
        facing = hip_heading(joints)
        forward = np.stack([np.sin(facing), np.zeros_like(facing), np.cos(facing)], axis=-1)
        for hip, knee, ankle in ((1, 4, 7), (2, 5, 8)):
            line = joints[:, ankle] - joints[:, hip]
            bulge = joints[:, knee] - joints[:, hip]
            bulge = bulge - line * ((bulge * line).sum(-1) / (line * line).sum(-1))[:, None]
            # A hinge about the sideways axis: to the front of a standing leg, above a leg that is kicked forward.
            front = (bulge * forward).sum(-1) + bulge[:, 1]
            deep = np.linalg.norm(bulge, axis=-1) > 0.05
            assert (front[deep] > -0.03).all(), segment
        for shoulder, elbow, wrist in ((16, 18, 20), (17, 19, 21)):
            reach = np.linalg.norm(joints[:, wrist] - joints[:, shoulder], axis=-1)
            assert reach.min() > 0.15 and reach.max() <= LENGTHS[elbow] + LENGTHS[wrist] + 1e-9
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * FPS
        assert speed.max() < 12.0, segment
        jump = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1).max()
        assert jump < 0.40, f"{segment}: a joint changes its step by {jump:.2f} m within a frame"


def test_features_give_the_joints_back(clips):
    for _, motion in clips[:20]:
        joints = motion.joints
        restored = features_to_joints(joints_to_features(joints))
        # Shoulders of unequal width turn the clip by a fraction of a degree: compare shapes about the root.
        distance = np.linalg.norm(restored - restored[:, :1], axis=-1)
        expected = np.linalg.norm(joints - joints[:, :1], axis=-1)[:-1]
        np.testing.assert_allclose(distance, expected, atol=1e-4)


def test_plans_that_cannot_be_animated():
    with pytest.raises(ValueError, match="at least one action"):
        animate(Plan(()))
    with pytest.raises(ValueError, match="unknown action 'fly'"):
        animate(Plan((Segment("fly"),)))
    assert animate(Plan((Segment("walk", count=7, speed="slow"),) * 3)) is None, "longer than 9.8 s"
    assert len(animate(Plan((Segment("look", "left", speed="fast"),))).joints) == 41, "stretched to 2 s"


# -- the texts ------------------------------------------------------------------------------------------------------


def test_every_count_is_visible_in_the_joints():
    seen = 0
    for segment in every_segment():
        result = animated(segment)
        if result is None or not segment.count:
            continue
        joints, (start, end) = result
        assert count_agrees(segment, joints[start : end + 1]), segment
        seen += 1
    assert seen > 100


def test_a_wrong_count_is_noticed_and_left_out_of_the_thought():
    said = Segment("squat", count=3)
    done = animate(Plan((Segment("squat", count=2),)))
    (start, end) = done.spans[0]
    assert not count_agrees(said, done.joints[start : end + 1])
    assert "three" not in thought(Plan((said,)), done.joints, done.spans)
    assert "twice" in thought(Plan((Segment("squat", count=2),)), done.joints, done.spans)


def moved(joints: np.ndarray, joint: int) -> float:
    return float(np.linalg.norm(joints[:, joint] - joints[:, 0] - (joints[0, joint] - joints[0, 0]), axis=-1).max())


def test_named_sides_are_the_sides_that_move():
    hands = {"wave", "raise", "punch", "throw", "pick", "circle"}
    feet = {"kick": 1, "lunge": 1, "knee": 1, "hop": -1}  # a hop holds up the other foot
    for segment in every_segment():
        if segment.side not in ("left", "right"):
            continue
        result = animated(segment)
        if result is None:
            continue
        joints, (start, end) = result
        joints = joints[start : end + 1]
        if segment.action in hands:
            left, right = (20, 21) if segment.side == "left" else (21, 20)
            assert moved(joints, left) > moved(joints, right), segment
        elif segment.action in feet:
            sign = (1 if segment.side == "left" else -1) * feet[segment.action]
            height = joints[:, 10, 1].max() - joints[:, 11, 1].max()
            assert sign * height > 0, segment
        elif segment.action in ("turn", "curve"):
            angle = math.degrees(hip_heading(joints)[-1] - hip_heading(joints)[0])
            expected = segment.angle if segment.side == "left" else -segment.angle
            assert angle == pytest.approx(expected, abs=4.0)
        elif segment.action == "sidestep":
            travel = joints[-1, 0, 0] - joints[0, 0, 0]
            assert (travel > 0.2) if segment.side == "left" else (travel < -0.2)


def test_thoughts_state_times_distances_and_facing_of_the_joints(clips):
    facings = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
    for plan, motion in clips:
        text = thought(plan, motion.joints, motion.spans)
        starts = [float(value) for value in re.findall(r"At (\d\.\d) s", text)]
        assert starts == [pytest.approx(start / FPS) for start, _ in motion.spans]
        length = float(re.search(r"End at (\d\.\d) s", text).group(1))
        assert length == pytest.approx((len(motion.joints) - 1) / FPS)
        turned = hip_heading(motion.joints)
        facing = facings[round(float(turned[-1] - turned[0]) / (math.pi / 4)) % 8]
        assert text.endswith(f"facing {facing}.")
        assert ("seated" in text) == (motion.joints[-1, 0, 1] < 0.7)
        for (start, end), sentence in zip(motion.spans, re.findall(r"At \d\.\d s ([^A-Z]*)", text), strict=True):
            walked = re.search(r"(?:forward|backward|left|right), (\d\.\d) m", sentence)
            if walked:
                root = motion.joints[:, 0]
                travel = np.linalg.norm((root[end] - root[start])[[0, 2]])
                assert float(walked.group(1)) == pytest.approx(travel, abs=0.051)
        assert 8 <= len(text.split()) <= 70


def test_captions_go_from_detailed_to_plain():
    plan = Plan((Segment("kick", "left", 2, "slow", "front"), Segment("clap", "", 3)), "tired")
    texts = captions(plan, np.random.default_rng(0))
    assert len(texts) >= 4
    for text in texts[:3]:
        assert "tired" in text and "left" in text and "slowly" in text and "three times" in text
        assert "twice" in text or "two" in text
    assert texts[-1] == "a person kicks and then claps."


def test_relations_are_told_only_where_they_hold():
    wave = Segment("wave", "left", 3)
    clap = Segment("clap", "", 3)
    walk, turn = Segment("walk", count=4), Segment("turn", "left", angle=180)
    plan = Plan((wave, mirrored(wave), clap, walk, turn, walk))
    assert [relation(plan, index) for index in range(6)] == ["", "mirror", "as_many", "", "", "return"]
    text = captions(plan, np.random.default_rng(0), related=1.0)[0]
    assert "does the same with the other hand" in text
    assert "as many times" in text and "walks back the same way" in text
    assert relation(Plan((wave, Segment("clap", "", 2))), 1) == ""


def test_repetitions_counts_rises_from_below():
    time = np.linspace(0, 1, 200)
    assert repetitions(-np.cos(2 * np.pi * 3 * time)) == 3
    assert repetitions(np.zeros(10)) == 0


def test_plan_limits():
    assert MAX_TICKS * 4 == 196
