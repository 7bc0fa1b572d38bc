"""The kinematic annotator: planted motions must be stated, and nothing else."""

import re

import numpy as np
import pytest

import bodies
from benchmarks import annotator_agreement as benchmark
from datasets_scripts.sources.synthetic.generator import draw_clip
from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
from datasets_scripts.thoughts.annotate.event_reader import read
from datasets_scripts.thoughts.annotate.kinematic_annotator import MAX_WORDS, MIN_WORDS, KinematicAnnotator
from datasets_scripts.thoughts.annotate.plan_style import write_plan
from datasets_scripts.verify.kinematics import measure
from datasets_scripts.verify.verification import verify
from modeling_unimo.motion_representation import joints_to_features, mirror_joints

NUMBER = re.compile(r"^\d+(\.5)?$")


def thought(joints: np.ndarray, seed: int = 0, caption: str = "") -> str:
    return KinematicAnnotator(seed).annotate([joints], [caption])[0]


def between(text: str) -> str:
    """What is said between the poses at the start and at the end."""
    return ". ".join(text.split(". ")[1:-1])


def wave(frames: int, side: str, cycles: int, start: float = 1.0, each: float = 0.5) -> np.ndarray:
    stop = start + 0.4 + cycles * each
    t = np.arange(frames) / bodies.FPS
    swing = 25.0 * np.sin(2 * np.pi * (t - start - 0.4) / each) * ((t > start + 0.4) & (t < stop))
    joints = bodies.standing(frames)
    return bodies.swing_arm(joints, side, 175.0 * bodies.bump(frames, start, stop + 0.4), swing)


def jump(frames: int, times: int, heights: tuple[float, ...] = (0.30,)) -> np.ndarray:
    joints = bodies.standing(frames)
    for k in range(times):
        t = np.arange(frames) / bodies.FPS - (1.0 + 0.8 * k)
        height = heights[k % len(heights)]
        joints[:, :, 1] += np.maximum(0.0, height - 0.5 * 9.81 * (t - 0.25) ** 2)[:, None]
    return joints


def flight(height: float) -> float:
    """Seconds in the air of what is thrown that high."""
    return 2.0 * (2.0 * height / 9.81) ** 0.5


def planned(*segments: Segment, manner: str = "") -> np.ndarray:
    motion = animate(Plan(segments, manner, gaps=(1,) * (len(segments) - 1)))
    assert motion is not None
    return motion.joints


def all_motions() -> dict[str, np.ndarray]:
    share = bodies.ramp(120, 0.5, 5.5)
    still = bodies.standing(120)
    return {
        "still": still,
        "raise": bodies.swing_arm(still, "left", 170.0 * bodies.bump(120, 1.0, 4.0)),
        "wave": wave(160, "right", 6),
        "walk": bodies.travel(still, 5.0 * share),
        "turn": bodies.turn(still, -120.0 * bodies.ramp(120, 1.0, 3.0)),
        "bow": bodies.pitch_trunk(still, 60.0 * bodies.bump(120, 1.0, 4.0, 1.0)),
        "squat": bodies.lower_hips(still, 0.5 * bodies.bump(120, 1.0, 4.0, 1.0)),
        "kick": bodies.swing_leg(still, "left", 75.0 * bodies.bump(120, 2.0, 3.0)),
        "jump": jump(120, 3),
    }


# -- what is there is said -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("degrees", "height"),
    [(90.0, "shoulder height in front"), (115.0, "head height"), (170.0, "above the head")],
)
def test_raised_hand(side, degrees, height):
    other = "right" if side == "left" else "left"
    told = between(thought(bodies.swing_arm(bodies.standing(100), side, degrees * bodies.bump(100, 1.0, 4.0))))
    assert re.search(rf"the {side} hand (rises|goes|moves) (to )?{height}", told), told
    assert "lowered by 4 seconds" in told
    assert f"{other} hand" not in told and "wave" not in told and "turn" not in told


def test_both_hands_together_and_one_after_the_other():
    lift = 170.0 * bodies.bump(100, 1.0, 4.0)
    together = bodies.swing_arm(bodies.swing_arm(bodies.standing(100), "left", lift), "right", lift)
    assert re.search(r"both hands (rise|go|move) above the head", thought(together))
    apart = bodies.swing_arm(bodies.standing(160), "left", 170.0 * bodies.bump(160, 0.5, 2.5))
    apart = between(thought(bodies.swing_arm(apart, "right", 90.0 * bodies.bump(160, 4.0, 6.5))))
    assert "both" not in apart and apart.index("left hand") < apart.index("right hand")


def test_hand_that_stays_up_is_not_lowered():
    told = thought(bodies.swing_arm(bodies.standing(60), "right", 170.0 * bodies.ramp(60, 1.0, 1.5)))
    assert "stays up" in told and "lowered" not in told
    held = thought(bodies.swing_arm(bodies.standing(60), "right", 170.0))
    assert "the right hand stays up" in held and "rises" not in held


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cycles", [4, 6, 9])
def test_waves_are_counted(side, cycles):
    told = between(thought(wave(200, side, cycles)))
    match = re.search(rf"the {side} hand .* waves about (\d+) times", told)
    assert match, told
    assert abs(int(match[1]) - cycles) <= 1


def test_repeated_rises_are_counted():
    lift = sum(bodies.bump(160, 0.5 + 2.0 * k, 2.0 + 2.0 * k) for k in range(3))
    assert "3 times" in thought(bodies.swing_arm(bodies.standing(160), "left", 90.0 * lift))


@pytest.mark.parametrize("facing", [0.0, 100.0, -170.0])
@pytest.mark.parametrize(
    ("forward", "left", "expected"),
    [
        (3.0, 0.0, "forward about 3 meters"),
        (-3.0, 0.0, "backward about 3 meters"),
        (0.0, 2.0, "to the left about 2 meters"),
        (0.0, -2.0, "to the right about 2 meters"),
        (2.1, 2.1, "forward and to the left about 3 meters"),
        (-2.1, -2.1, "backward and to the right about 3 meters"),
    ],
)
def test_direction_of_travel_whatever_the_facing(facing, forward, left, expected):
    share = bodies.ramp(120, 0.5, 5.5)
    joints = bodies.travel(bodies.standing(120), forward * share, left * share)
    told = thought(bodies.rotate_scene(joints, facing))
    assert f"walks {expected}" in told
    assert "turn" not in told


@pytest.mark.parametrize(("degrees", "side"), [(90.0, "left"), (-90.0, "right"), (180.0, "left"), (-270.0, "right")])
def test_turn_in_place(degrees, side):
    told = thought(bodies.turn(bodies.standing(120), degrees * bodies.ramp(120, 1.0, 4.0)))
    assert f"about {abs(degrees):g} degrees to the {side} in place" in told
    assert "walks" not in told


def test_full_turns():
    told = thought(bodies.turn(bodies.standing(160), 720.0 * bodies.ramp(160, 1.0, 7.0)))
    assert "about 2 full turns to the left" in told


def test_turn_while_walking_belongs_to_the_walk():
    share = bodies.ramp(120, 0.0, 6.0)
    angle = np.radians(-90.0 * bodies.ramp(120, 2.0, 4.0))
    step = np.gradient(3.0 * share)
    joints = bodies.turn(bodies.travel(bodies.standing(120), 1e-9 * share), np.degrees(angle))
    joints[..., 0] += np.cumsum(step * np.sin(angle))[:, None]
    joints[..., 2] += np.cumsum(step * np.cos(angle))[:, None]
    told = thought(joints)
    assert re.search(r"walks forward about 3 meters .*turning about 90 degrees to the right from", told), told
    assert "in place" not in told


@pytest.mark.parametrize("times", [1, 3])
def test_jumps(times):
    told = between(thought(jump(120, times)))
    assert f"jumps{f' {times} times' if times > 1 else ''}, rising about" in told
    assert "walks" not in told


@pytest.mark.parametrize("height", [0.08, 0.1, 0.15, 0.2, 0.3, 0.4])
@pytest.mark.parametrize("times", [1, 3])
def test_the_time_in_the_air_is_measured_and_told(height, times):
    joints = jump(140, times, (height,))
    (event,) = read(measure(joints)).events
    assert len(event.airborne) == times
    assert event.airborne == pytest.approx([flight(height)] * times, abs=0.05)
    wordings = set()
    for seed in range(6):
        told = thought(joints, seed)
        match = re.search(r"(in the air|off the ground) for about (0\.\d) seconds( each)?\.", told)
        assert match and bool(match[3]) == (times > 1), told
        assert float(match[2]) == pytest.approx(flight(height), abs=0.06)
        wordings.add(match[1])
    assert len(wordings) == 2


def test_jumps_of_different_heights_are_in_the_air_for_different_times():
    joints = jump(140, 3, (0.4, 0.1, 0.2))
    (event,) = read(measure(joints)).events
    assert event.airborne == pytest.approx([flight(height) for height in (0.4, 0.1, 0.2)], abs=0.05)
    assert re.search(r"(in the air|off the ground) for 0.3 to 0.6 seconds each", thought(joints))


@pytest.mark.parametrize("cut", [slice(24, None), slice(None, 26)])
def test_the_length_of_a_jump_that_the_clip_cuts_off_is_not_told(cut):
    whole, part = jump(60, 1), jump(60, 1)[cut]
    assert "jumps, rising" in thought(whole)
    for told in (thought(part), thought(part, 1)):
        assert "in the air" not in told and "off the ground" not in told


@pytest.mark.parametrize(
    "segment",
    [Segment("jump", "", 2), Segment("jump_forward", "", 2), Segment("hop", "left", 3), Segment("jump", "", 1)],
    ids=lambda segment: f"{segment.action} {segment.count}",
)
@pytest.mark.parametrize("manner", ["", "tired", "careful"])
def test_the_verifier_reads_the_time_in_the_air(segment, manner):
    joints = planned(segment, manner=manner)
    for seed in range(4):
        told = thought(joints, seed)
        assert re.search(r"(in the air|off the ground) for", told), told
        result = verify([told], joints)[0]
        assert not result.contradicted and not result.unread, result
        [length] = [claim for claim in result.claims if claim.stated.endswith("in the air")]
        assert length.kind == "time" and length.verdict == "holds", length
        # Nothing else in it speaks of a moment that is not when the movement starts.
        moments = {claim.stated for claim in result.claims if claim.kind == "time"} - {length.stated}
        assert moments <= {f"{start:g} s" for start in map(float, re.findall(r"(?:at|after) ([\d.]+) second", told))}


def test_bow_squat_and_kick():
    motions = all_motions()
    assert re.search(r"bends forward about (55|60|65) degrees and comes up by 4 seconds", thought(motions["bow"]))
    assert re.search(
        r"(goes down into a squat|bends the knees into a crouch) and is up again by (3.5|4) ",
        thought(motions["squat"]),
    )
    assert re.search(r"the left leg kicks forward to (knee|hip) height", thought(motions["kick"]))


def test_still_body_keeps_still():
    told = thought(bodies.standing(80))
    assert "keeps still" in told
    for word in ("hand rises", "walks", "turns", "waves", "jumps", "leg", "knee"):
        assert word not in told


def test_order_of_time():
    joints = bodies.swing_arm(bodies.standing(180), "left", 170.0 * bodies.bump(180, 0.5, 2.0))
    joints = bodies.pitch_trunk(joints, 50.0 * bodies.bump(180, 3.0, 5.0, 0.8))
    joints = bodies.turn(joints, 90.0 * bodies.ramp(180, 6.0, 8.0))
    told = thought(joints)
    assert told.index("left hand") < told.index("bends forward") < told.index("turns about 90 degrees")


@pytest.mark.parametrize("name", ["raise", "wave", "walk", "turn", "kick", "bow"])
def test_mirrored_motion_gives_the_mirrored_thought(name):
    joints = all_motions()[name]
    swapped = re.sub(r"\b(left|right)\b", lambda m: {"left": "right", "right": "left"}[m[0]], thought(joints))
    assert between(thought(np.asarray(mirror_joints(joints)))) == between(swapped)


# What was once told as something else: a blow or a clap as a wave, a seat as a walk, a look as a turn.
@pytest.mark.parametrize(
    ("segment", "said", "unsaid"),
    [
        (
            Segment("punch", "left", 3),
            r"left hand (punches|is thrust) forward 3 times",
            "wave|turn|right hand .*(rise|go)",
        ),
        (Segment("clap", "", 4), r"both hands come together 4 times", "wave|punch"),
        (Segment("sit"), r"sits down", "walk|backward|crouch"),
        (Segment("look", "right"), r"upper body turns to the right", "degrees to the right|walk"),
        (Segment("lunge", "right", 2), r"lunges forward with the right leg 2 times", "walk|kneel|crouch"),
        (Segment("jump", "", 2), r"jumps 2 times, rising", "crouch|squat|walk"),
        (Segment("jump_forward", "", 2), r"jumps forward 2 times, about half a meter each", "crouch|walks|runs"),
        (Segment("hop", "left", 3), r"hops on the left foot 3 times", "jump|knee"),
        (Segment("jack", "", 3), r"does 3 jumping jacks", "wave|hands (rise|go)"),
        (Segment("march", "", 4), r"takes 4 steps in place", "the (left|right) knee|walk"),
        (Segment("knee", "left", 3), r"left knee lifts to hip height 3 times", "kick|right knee"),
        (
            Segment("kick", "right", 2, direction="front"),
            r"right leg kicks forward to (hip|knee) height 2 times",
            "knee lifts",
        ),
        (Segment("kick", "right", 2, direction="side"), r"right leg kicks to the side", "knee lifts|crouch"),
        (Segment("circle", "left", 2, direction="backward"), r"left arm circles backward 2 times", "hand rises|wave"),
        (Segment("lean", "left", 2), r"trunk leans to the left about \d+ degrees 2 times", "bends forward"),
        (Segment("pick", "left"), r"reaches to the floor with the left hand", "squat|above the head"),
        (Segment("squat", "", 2), r"(goes down into a squat|a crouch) 2 times and is up again", "sits|jump|floor"),
        (Segment("walk", "", 5), r"walks forward about 2.5 meters", "runs|turns"),
        (Segment("run", "", 6), r"runs forward about (4|4.5) meters", "walks|jump"),
        (Segment("sidestep", "left", 3), r"walks to the left about 1 meter", "runs|walks forward"),
        (Segment("turn", "left", angle=180), r"turns about 180 degrees to the left in place", "walks|upper body"),
    ],
    ids=lambda value: value.action if isinstance(value, Segment) else "",
)
@pytest.mark.parametrize("manner", ["", "tired", "careful"])
def test_planned_actions_are_told_for_what_they_are(segment, said, unsaid, manner):
    told = between(thought(planned(segment, manner=manner)))
    # Fists that start folded at the shoulders are nothing that the annotator calls a blow; nor anything else.
    silent = (segment.action, manner) == ("punch", "careful")
    assert silent or re.search(said, told), told
    assert not re.search(unsaid, told), told


def test_sitting_and_standing_up_are_told_in_order():
    told = thought(planned(Segment("sit"), Segment("wave", "right", 4), Segment("stand")))
    assert told.index("sits down") < told.index("right hand") < told.index("stands up")


@pytest.mark.parametrize("hard", [False, True])
def test_events_agree_with_the_plans_of_synthetic_motion(hard):
    true, of_kind, recalled = [], {}, []
    for index in range(150):
        plan, motion = draw_clip(np.random.default_rng((7, int(hard), index)), hard)
        reading = read(measure(motion.joints))
        facts = [fact for event in reading.events for fact in benchmark.judged(event, plan, motion.spans)]
        for kind, agrees in facts + benchmark.judged_postures(reading, plan):
            true.append(agrees)
            of_kind.setdefault(kind, []).append(agrees)
        for segment, span in zip(plan.segments, motion.spans, strict=True):
            recalled.append(benchmark.found_by(segment, span, reading.events))
    assert len(true) > 1000 and np.mean(true) > 0.985 and np.mean(recalled) > 0.96
    poor = {kind: np.mean(facts) for kind, facts in of_kind.items() if len(facts) >= 25 and np.mean(facts) < 0.93}
    assert not poor


# -- form ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(all_motions()))
@pytest.mark.parametrize("seed", range(4))
def test_length_and_alphabet(name, seed):
    told = thought(all_motions()[name], seed)
    assert MIN_WORDS <= len(told.split()) <= MAX_WORDS, told
    assert re.fullmatch(r"[a-z0-9., ]+\.", told)
    # Half seconds, metres and turns; only time in the air is told in tenths.
    told = re.sub(r"(in the air|off the ground) for about \d(\.\d)? seconds?", "", told)
    for word in re.sub(r"[.,](?= |$)", "", told).split():
        assert word.isalpha() or NUMBER.match(word), word


def test_many_events_keep_within_the_words_and_in_order():
    frames = 1000
    joints = bodies.standing(frames)
    for k in range(12):
        side = "left" if k % 2 else "right"
        lift = bodies.bump(frames, 2.0 + 4.0 * k, 4.0 + 4.0 * k)

        shoulder, *rest = bodies.ARMS[side]
        raised = bodies.swing_arm(bodies.standing(frames), side, 170.0 * lift)
        joints[:, rest] = np.where(lift[:, None, None] > 0, raised[:, rest], joints[:, rest])
    told = thought(joints)
    assert MIN_WORDS <= len(told.split()) <= MAX_WORDS
    starts = [float(t) for t in re.findall(r"(?:at|after) ([\d.]+) second", told)]
    assert len(starts) >= 2 and starts == sorted(starts)


def test_features_and_joints_say_the_same():
    joints = all_motions()["wave"]
    features = joints_to_features(joints)
    assert between(thought(features)).replace("160", "") == between(thought(joints[:-1])).replace("160", "")


def test_same_input_same_thought_alone_and_in_a_batch():
    motions = list(all_motions().values())
    captions = [f"caption {i}" for i in range(len(motions))]
    annotator = KinematicAnnotator(seed=3)
    batch = annotator.annotate(motions, captions)
    assert batch == KinematicAnnotator(seed=3).annotate(motions, captions)
    alone = [annotator.annotate([m], [c])[0] for m, c in zip(motions, captions, strict=True)]
    assert batch == alone
    assert annotator.annotate(motions[::-1], captions[::-1])[::-1] == batch


def test_seed_and_caption_change_the_words_and_never_the_facts():
    joints = all_motions()["raise"]
    thoughts = {thought(joints, seed, caption) for seed in range(10) for caption in ("a", "b")}
    assert len(thoughts) > 5
    for told in thoughts:
        assert "left hand" in told and "above the head" in told and "right hand" not in told
        assert re.findall(r"[\d.]+ seconds?", told) == re.findall(r"[\d.]+ seconds?", thought(joints))


@pytest.mark.parametrize("caption", ["", "</think><Motion_3>", "人が手を振る 🙂", "x" * 10_000])
def test_nothing_of_a_caption_gets_into_a_thought(caption):
    assert re.fullmatch(r"[a-z0-9., ]+", thought(all_motions()["raise"], caption=caption))


def test_one_motion_with_several_captions():
    features = joints_to_features(all_motions()["raise"])
    told = KinematicAnnotator(0).annotate([features] * 6, [f"caption {i}" for i in range(6)])
    assert len(set(told)) > 1 and all("left hand" in text for text in told)


def test_a_walk_is_the_same_at_another_frame_rate():
    share = bodies.ramp(120, 0.5, 5.5)
    joints = bodies.travel(bodies.standing(120), 3.0 * share)
    told = KinematicAnnotator(0).annotate([np.repeat(joints, 3, axis=0)], fps=60.0)[0]
    assert "walks forward about 3 meters" in told


# -- plans ---------------------------------------------------------------------------------------------------------


def plan(joints: np.ndarray) -> str:
    return KinematicAnnotator(style="plan").annotate([joints])[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("still", "standing still for 6 s."),
        ("raise", "at 1 s left hand rises above the head."),
        ("turn", "at 1.5 s turns right 120 degrees."),
        ("kick", "at 2 s left leg kicks forward."),
        ("jump", "at 1 s jumps 3 times."),
    ],
)
def test_a_plan_has_events_alone_in_one_form(name, expected):
    assert plan(all_motions()[name]) == expected


@pytest.mark.parametrize("index", range(8))
def test_a_plan_is_half_as_long_in_order_and_true(index):
    _, motion = draw_clip(np.random.default_rng((11, index)), hard=index % 2 == 1)
    text = plan(motion.joints)
    assert len(text.split()) <= len(thought(motion.joints).split()) // 2
    starts = [float(when) for when in re.findall(r"(?:at|from) ([\d.]+)", text)]
    assert starts and starts == sorted(starts)
    (checked,) = verify([text], motion.joints)
    assert checked.claims and not checked.contradicted and not checked.unread


def test_a_caption_and_a_seed_change_nothing_of_a_plan():
    joints = all_motions()["wave"]
    plans = {KinematicAnnotator(seed, "plan").annotate([joints], [caption])[0] for seed in (0, 1) for caption in "ab"}
    assert len(plans) == 1


def test_where_words_run_out_the_most_telling_events_stay():
    reading = read(measure(planned(Segment("wave", "left", 3), Segment("jump", "", 2)), 20.0))
    whole = write_plan(reading, 100)
    assert "left hand" in whole and "jumps 2 times" in whole
    assert re.fullmatch(r"at [\d.]+ s jumps 2 times\.", write_plan(reading, 6))
    assert write_plan(reading, 1) == write_plan(reading, 6)  # one clause at least


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="style must be one of sentences, plan, got 'haiku'"):
        KinematicAnnotator(style="haiku")


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("motions", "message"),
    [
        ([np.zeros((40, 251))], r"motion 0: expected features"),
        ([np.zeros(263)], r"motion 0: expected features"),
        ([bodies.standing(40), np.full((40, 22, 3), np.nan)], r"motion 1: .*finite"),
        ([np.zeros((40, 21, 3))], r"motion 0: .*22"),
        ([bodies.standing(1)], r"motion 0: .*2 frames"),
        ([np.zeros((40, 22, 3))], r"motion 0: .*extent"),
    ],
)
def test_bad_motions_are_named(motions, message):
    with pytest.raises(ValueError, match=message):
        KinematicAnnotator().annotate(motions)


def test_count_of_captions_must_match():
    with pytest.raises(ValueError, match="one per motion, got 2 captions for 1 motions"):
        KinematicAnnotator().annotate([bodies.standing(40)], ["a", "b"])
    assert KinematicAnnotator().annotate([], []) == []


@pytest.mark.parametrize("frames", [2, 3, 5, 5000])
def test_very_short_and_very_long_motions(frames):
    assert len(thought(bodies.standing(frames)).split()) >= 15


def test_lying_body_is_said_to_lie():
    joints = bodies.standing(60)[..., (0, 2, 1)].copy()
    joints[..., 1] += 0.15
    assert "lying" in thought(joints)


# -- real motion ---------------------------------------------------------------------------------------------------


def test_a_direction_with_another_besides_is_not_the_labels():
    told = "the person begins standing. for 2 seconds the person walks {} about 2 meters slowly. the person ends so."
    for way, exactly, in_part in (
        ("to the left", True, True),
        ("forward and to the left", False, True),
        ("to the right", False, False),
    ):
        assert benchmark.claims(told.format(way), "walk-left") == [("direction", exactly)]
        assert benchmark.claims(told.format(way), "walk-left", in_part=True) == [("direction", in_part)]


def test_claims_agree_with_the_labels_of_real_motion(mocap_test_clips):
    thoughts = KinematicAnnotator(0).annotate([joints for joints, _ in mocap_test_clips])
    found = [
        agrees
        for (_, row), told in zip(mocap_test_clips, thoughts, strict=True)
        for _, agrees in benchmark.claims(told, row["content"])
    ]
    print(f"{sum(found)}/{len(found)} claims agree exactly on {len(mocap_test_clips)} clips")
    assert len(found) >= 0.9 * len(mocap_test_clips) and np.mean(found) >= 0.95
