"""What is read in a text, and what the motion says to it: holds, contradicted, undecided."""

import cProfile
from dataclasses import replace

import numpy as np
import pytest

import bodies
from datasets_scripts.sources.synthetic.generator import draw_clip
from datasets_scripts.sources.synthetic.language import captions, mirrored, thought
from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
from datasets_scripts.verify.claims import read
from datasets_scripts.verify.verification import verify


def clip(*actions, manner=""):
    """Joints of a synthetic clip: an action is its name and what differs from the defaults."""
    segments = tuple(Segment(name, **values) for name, values in actions)
    motion = animate(Plan(segments, manner, tail=2))
    assert motion is not None
    return motion.joints


WALK = ("walk", {"count": 4})
WAVE_LEFT = ("wave", {"side": "left", "count": 3})
JUMPS = ("jump", {"count": 2})
TURN_LEFT = ("turn", {"side": "left", "angle": 90})
KICK_RIGHT = ("kick", {"side": "right", "count": 2, "direction": "front"})
SIT = ("sit", {})
JOINTS = {
    "walk": clip(WALK),
    "back": clip(("walk_back", {"count": 4})),
    "run": clip(("run", {"count": 6})),
    "wave": clip(WAVE_LEFT),
    "waves": clip(WAVE_LEFT, ("wave", {"side": "right", "count": 3})),
    "jumps": clip(JUMPS),
    "turn": clip(TURN_LEFT),
    "kick": clip(KICK_RIGHT),
    "walk, wave": clip(WALK, WAVE_LEFT),
    "walk, turn": clip(WALK, TURN_LEFT),
    "sit": clip(SIT),
    "lean": clip(("lean", {"side": "left", "count": 2}), ("lean", {"side": "right", "count": 2})),
    "raise": clip(("raise", {"side": "left", "direction": "up"})),
    "squat": clip(("squat", {"count": 3})),
    "circle": clip(("circle", {"side": "both", "count": 2, "direction": "forward"})),
    "pick": clip(("pick", {"side": "right"})),
    "clap": clip(("clap", {"count": 3})),
    "curve": clip(("curve", {"side": "left", "angle": 90})),
    "sidestep": clip(("sidestep", {"side": "right", "count": 3})),
    "bow": clip(("bow", {})),
    "stand": bodies.standing(),
}


def statements(text):
    return [statement for sentence in read(text) for statement in sentence.statements]


def contradicted(text, motion):
    return {claim.kind for claim in verify([text], JOINTS[motion])[0].contradicted}


# ---------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a man walks forward then turns to his left", [("travel", ""), ("turn", "left")]),
        ("and waves with his right hand three times", [("wave", "right")]),
        ("she raises both arms overhead", [("raise", "both")]),
        ("the left knee is lifted twice", [("knee", "left")]),
        ("two quick jumping jacks", [("jack", "")]),
        ("he bends down and picks something up with his right hand", [("bend", ""), ("take", "right")]),
        ("a person throws a punch with the left hand", [("punch", "left")]),
        ("a person tosses a ball with the right hand", [("throw", "right")]),
        ("the figure takes four steps backward", [("travel", "")]),
        ("someone sidesteps to the right", [("sidestep", "right")]),
        ("walks along a quarter circle to the left", [("curve", "left")]),
        ("a person makes a U turn", [("turn", "")]),
        ("swings the right arm in two circles", [("circle", "right")]),
        ("a person turns the head to the left", [("look", "left")]),
        ("the trunk bends to the right", [("lean", "right")]),
        ("a person gets up from the chair", [("stand", "")]),
        ("a person hops on one foot", [("hop", "")]),
        ("hands meet at the chest", [("clap", "")]),
        ("takes marching steps in place", [("march", "")]),
        ("left arm in front, hand at shoulder height", [("raise", "left")]),
        ("a person picks up a box", [("take", "")]),
        # The past of a verb tells what somebody did, not how somebody is held.
        ("the man hopped on his right foot and sat down", [("hop", "right"), ("sit", "")]),
        ("person kicked his left leg", [("kick", "left")]),
        ("the figure raised their left arm", [("raise", "left")]),
        ("a man lowered both arms and raised one knee", [("lower", "both"), ("knee", "")]),
        ("walks with raised left arm", [("travel", ""), ("held", "left")]),
        ("a person leaning to the right", [("lean", "right")]),
        ("she rocks and leans left and right", [("other", ""), ("lean", "")]),
        ("squatting three times before sitting down", [("squat", ""), ("sit", "")]),
        ("he punches with the left, then the right", [("punch", "left"), ("punch", "right")]),
        ("both arms move in circles backwards", [("circle", "both")]),
        ("a child waves goodbye with the right hand", [("wave", "right")]),
        ("she moves the left hand in a circle", [("other", "left")]),
        ("a boy stretches both arms out to the sides", [("raise", "both")]),
        ("does two kicks, first with the left leg and then with the right leg", [("kick", "left"), ("kick", "right")]),
    ],
)
def test_what_moves(text, expected):
    assert [(s.kind, s.side) for s in statements(text)] == expected


def test_a_sum_is_no_ones_count():
    counts = [s.count for s in statements("does two kicks, first with the left leg and then with the right leg")]
    assert counts == [None, None]


@pytest.mark.parametrize(
    "text, expected",
    [
        # A part of the body as a place, not as what moves.
        ("a woman stands, her palms resting on her hips", ["pose", "other"]),
        ("he strolls along, both arms by his sides", ["travel", "held"]),
        ("the figure scratches its left shoulder", ["other"]),
        ("she lays her hands on her knees", ["other"]),
        # Where a limb goes back to is no way that the body goes.
        ("a man lifts his left hand and returns it to his side", ["raise", "other"]),
        # A part that is described is not moved.
        ("he hobbles forward with an outstretched leg", ["travel"]),
        ("strides ahead with raised arms", ["travel", "held"]),
        # What is done to a thing is not done with the body.
        ("a boy keeps bouncing a basketball", ["other"]),
        ("the man hoists a barbell", ["other"]),
        ("someone turns a crank", ["other"]),
        ("she drops the bag", ["other"]),
        # Hips that move are not lowered; a shrug of the shoulders turns no chest.
        ("a dancer moves the hips a little", ["other"]),
        ("he rotates his shoulders", ["other"]),
        ("jogs on the spot", ["march"]),
        ("marches forward through the room", ["travel"]),
        ("balances on the right foot", ["balance"]),
        ("tries not to lose his balance", ["other"]),
        ("does a small hop", ["jump"]),
        ("hops on one leg", ["hop"]),
        ("performs a cartwheel", ["invert"]),
        ("picks up the left foot", ["leg"]),
        ("picks up a box with the left hand", ["take"]),
        ("basketball, forward dribble", ["travel"]),
        ("dribbles the ball with the right hand", ["other"]),
        ("the man has a seat", ["sit"]),
    ],
)
def test_the_role_of_a_word_decides(text, expected):
    assert [statement.kind for statement in statements(text)] == expected


def test_what_is_not_surely_understood_is_not_guessed():
    assert statements("the arms flurble upward") == statements("she glimps her left arm up") == []
    assert [s.vague for s in statements("he walks as if kicking a stone")] == [False, True]
    assert not verify(["someone pretends to jump."], JOINTS["walk"])[0].contradicted


def test_a_vague_way_is_contradicted_by_the_other_side_alone():
    [walk] = statements("walks forward, slightly to the left")
    assert walk.ways == {"forward", "left"} and walk.modest == {"left"}
    assert contradicted("a person walks forward and a little to the right.", "walk") == set()
    assert contradicted("a person walks slightly backward.", "walk") == {"direction"}
    assert contradicted("a person sidesteps a bit to the left.", "sidestep")


def test_a_jump_that_is_not_sure_still_goes_one_way():
    """Low hops aside may be jumps or a shuffle; that they go to the left is clear."""
    seconds = np.arange(60) / 20.0
    flight = (seconds[:, None] - [0.6, 1.3, 2.0]) / 0.3
    up = np.where((flight > 0) & (flight < 1), 0.16 * flight * (1 - flight), 0.0).sum(axis=1)
    path = np.stack([np.interp(seconds, [0.6, 2.4], [0.0, 1.2]), up, 0 * up], axis=-1)
    left, right = verify([f"a person hops sideways to the {side}." for side in ("left", "right")],
                         bodies.standing(60) + path[:, None])  # fmt: skip
    assert [claim.verdict for claim in left.claims] == ["undecided", "holds"]
    assert [claim.verdict for claim in right.claims] == ["undecided", "contradicted"]


def test_an_arm_that_is_held_somewhere_is_looked_for_at_any_time():
    assert contradicted("a person stands with both arms by the sides.", "stand") == set()
    assert contradicted("a person stands with both arms raised overhead.", "stand") == {"posture"}
    assert contradicted("a person stands with the left arm up.", "raise") == set()


def test_feet_over_an_uneven_ground_do_not_fly():
    lifted = JOINTS["walk"].copy()
    lifted[20:60, :, 1] += bodies.bump(40, 0.0, 2.0)[:, None] * 0.15
    assert contradicted("a person jumps.", "walk") == {"action"}
    assert verify(["a person jumps."], lifted)[0].contradicted


def test_everything_said_about_a_movement_is_kept():
    [walk] = statements("From 1 to 3.5 seconds the person slowly walks four steps forward, about 2 meters.")
    assert (walk.count, walk.metres, walk.pace, walk.at, walk.until) == (4, 2.0, "slow", 1.0, 3.5)
    assert walk.ways == {"forward"} and walk.gait == "walk"
    [turn] = statements("it turns a quarter to the left")
    assert turn.angle == 90
    assert statements("he spins 270 degrees clockwise")[0].side == "right"
    assert statements("half a meter forward she walks")[0].metres == 0.5
    assert statements("the hand rises to chest height")[0].level == "chest"
    assert statements("she kicks several times")[0].least == 2
    assert statements("she waves about 5 times")[0].rough


def test_a_passage_is_found_again_in_the_text():
    text = "First he stands. Then he jumps twice, and finally waves his left hand."
    for claim in verify([text], JOINTS["jumps"])[0].claims:
        assert text[claim.start : claim.stop] == claim.text
    jump = next(s for s in statements(text) if s.kind == "jump")
    assert text[jump.start : jump.stop].endswith("jumps twice")


@pytest.mark.parametrize(
    "text, sides",
    [
        ("raises the left arm, then does the same with the other arm", ["left", "right"]),
        ("kicks with the right leg, then kicks with the other leg", ["right", "left"]),
        ("raises the left hand and waves", ["left", "left"]),
        ("raises the left hand. It waves with the same hand", ["left", "left"]),
        ("turns to the left and then does the same to the other side", ["left", "right"]),
        ("hops on the left foot twice, then on the right foot", ["left", "right"]),
        ("leans to the left and then to the right", ["left", "right"]),
    ],
)
def test_sides_that_are_told_by_what_came_before(text, sides):
    assert [s.side for s in statements(text)] == sides


def test_as_many_times_is_the_count_before():
    assert [s.count for s in statements("he claps three times, then jumps as many times")] == [3, 3]


# ----------------------------------------------------------------------------------------------------------- checking


@pytest.mark.parametrize(
    "motion, true, false, kind",
    [
        ("wave", "waves the left hand", "waves the right hand", "side"),
        ("kick", "kicks with the right leg", "kicks with the left leg", "side"),
        ("pick", "picks something up with the right hand", "picks something up with the left hand", "side"),
        ("turn", "turns left", "turns right", "turn"),
        ("turn", "turns counterclockwise", "turns clockwise", "turn"),
        ("turn", "turns 90 degrees", "turns 180 degrees", "angle"),
        ("turn", "makes a quarter turn", "makes a full turn", "angle"),
        ("curve", "walks in a curve to the left", "walks in a curve to the right", "turn"),
        ("walk", "walks forward", "walks backward", "direction"),
        ("back", "walks backwards", "walks ahead", "direction"),
        ("kick", "kicks to the front", "kicks to the side", "direction"),
        ("circle", "circles both arms forward", "circles both arms backward", "direction"),
        ("raise", "raises the left arm overhead", "raises the left arm to the side", "direction"),
        ("walk", "takes four steps", "takes five steps", "count"),
        ("wave", "waves three times", "waves twice", "count"),
        ("jumps", "jumps twice", "jumps once", "count"),
        ("squat", "squats three times", "squats 4 times", "count"),
        ("clap", "claps three times", "claps two times", "count"),
        ("sidestep", "sidesteps to the right three times", "sidesteps to the right twice", "count"),
        ("run", "runs", "walks", "gait"),
        ("walk", "walks", "jogs", "gait"),
        ("walk", "walks 2 meters", "walks 6 meters", "distance"),
        ("raise", "the left hand goes above the head", "the left hand goes to waist height", "height"),
        ("walk, wave", "walks, then waves", "waves, then walks", "order"),
        ("walk, wave", "waves after walking", "walks after waving", "order"),
        ("walk, wave", "walks before waving", "before walking, a person waves", "order"),
        ("walk, turn", "walks. Then the person turns", "turns. Then the person walks", "order"),
        ("lean", "leans to the left, then to the right", "leans to the right, then to the left", "order"),
        ("walk, wave", "at 0.2 s he walks", "at 5.5 s he walks", "time"),
        ("sit", "the person ends seated", "the person ends standing", "posture"),
        ("turn", "at the end the person is facing left", "at the end the person is facing right", "direction"),
    ],
)
def test_what_is_so_holds_and_what_is_not_is_contradicted(motion, true, false, kind):
    told = verify([f"a person {true}." if "person" not in true else true], JOINTS[motion])[0]
    assert told.consistency == 1.0 and not told.contradicted and told.coverage == 1.0
    assert kind in {claim.kind for claim in told.claims if claim.verdict == "holds"} or kind == "order"
    assert kind in contradicted(f"a person {false}." if "person" not in false else false, motion)


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("a person jumps, in the air for about 0.5 seconds", (0.5, 0.5)),
        ("jumps twice, rising about 20 centimeters, off the ground for 0.4 seconds each", (0.4, 0.4)),
        ("jumps and is airborne about 0.6 s each time", (0.6, 0.6)),
        ("jumps 3 times, in the air for 0.3 to 0.6 seconds each", (0.3, 0.6)),
        ("hops on the left foot with an air time of 0.3 s", (0.3, 0.3)),
        ("leaps and spends half a second in the air", (0.5, 0.5)),
        ("the person is in the air for 0.5 seconds", (0.5, 0.5)),
    ],
)
def test_a_time_in_the_air_is_a_length_and_no_moment(text, seconds):
    [leap] = [statement for statement in statements(text) if statement.kind in ("jump", "hop")]
    assert leap.airborne == seconds and leap.at is None and not leap.side == "both"


@pytest.mark.parametrize(
    "text",
    [
        "jumps off the ground at 2 seconds",
        "raises the left hand in the air for 2 seconds, then jumps",
        "hops on the left foot, the right foot off the ground for 3 seconds",
        "jumps, one hand in the air for 1 second",
        "jumps for 3 seconds",
    ],
)
def test_other_times_are_no_time_in_the_air(text):
    assert [s.airborne for s in statements(text) if s.kind in ("jump", "hop")] == [None]


def test_the_time_in_the_air_is_checked():
    joints = bodies.standing(80)
    t = np.arange(80) / bodies.FPS - 1.25
    joints[..., 1] += np.maximum(0.0, 0.3 - 0.5 * 9.81 * t**2)[:, None]  # 0.49 s
    verdicts = {}
    for seconds in ("0.1", "0.25", "0.5", "0.75", "1.2"):
        [claim] = [
            claim
            for claim in verify([f"the person jumps, in the air for {seconds} seconds."], joints)[0].claims
            if claim.kind == "time"
        ]
        verdicts[seconds] = claim.verdict
    assert verdicts["0.5"] == "holds" and verdicts["0.1"] == verdicts["1.2"] == "contradicted"
    assert "contradicted" not in (verdicts["0.25"], verdicts["0.75"])


INVENTED = (
    "jumps",
    "kicks with the left leg",
    "sits down",
    "lies down",
    "waves",
    "claps",
    "turns around",
    "bows",
    "raises both arms",
    "squats",
    "walks",
    "runs",
    "throws something",
    "punches",
    "does jumping jacks",
    "hops on the right foot",
    "lunges",
    "picks something up",
    "circles the left arm",
    "leans to the left",
    "raises a knee",
    "marches in place",
    "kneels",
)


@pytest.mark.parametrize("action", INVENTED)
def test_what_nobody_did_is_contradicted(action):
    assert contradicted(f"the person {action}.", "stand") == {"action"}
    assert contradicted(f"the person does not {action.replace('s ', ' ', 1)}.", "stand") == set()


def test_a_denied_movement_that_happens_is_contradicted():
    assert contradicted("the feet stay in place.", "walk") == {"action"}
    assert contradicted("both arms stay down.", "raise") == {"action"}
    assert contradicted("the person keeps still.", "walk") == {"posture"}
    assert contradicted("the feet stay in place.", "wave") == set()


def test_a_movement_told_twice_must_happen_twice():
    assert contradicted("a person waves the left hand, then waves the right hand.", "waves") == set()
    assert contradicted("a person turns left, then turns left.", "turn") <= {"action", "order"} != set()
    assert contradicted("At 0.2 s turn left. At 3.0 s turn left.", "turn")


def test_what_joints_cannot_tell_is_undecided():
    told = verify(["a person dances angrily and looks as if he were a bird."], JOINTS["walk"])[0]
    assert told.consistency is None and not told.contradicted and told.claims


def test_between_yes_and_no_lies_a_band():
    verdicts = []
    for angle in (60, 90, 125, 180):
        claims = verify([f"turns {angle} degrees to the left."], JOINTS["turn"])[0].claims
        verdicts += [claim.verdict for claim in claims if claim.kind == "angle"]
    assert verdicts == ["undecided", "holds", "undecided", "contradicted"]


@pytest.mark.parametrize("side, other", [("left", "right"), ("right", "left")])
def test_plain_bodies_without_the_synthetic_source(side, other):
    arm = bodies.swing_arm(bodies.standing(60), side, 150.0 * bodies.bump(60, 0.6, 2.2))
    assert verify([f"a person raises the {side} hand."], arm)[0].consistency == 1.0
    assert verify([f"a person raises the {other} hand."], arm)[0].contradicted
    turned = bodies.turn(bodies.standing(60), bodies.ramp(60, 0.5, 2.0) * (90.0 if side == "left" else -90.0))
    assert verify([f"the person turns to the {side}."], turned)[0].consistency == 1.0
    assert {c.kind for c in verify([f"the person turns to the {other}."], turned)[0].contradicted} == {"turn"}


def test_where_a_body_stands_and_faces_changes_no_verdict():
    texts = ["walks four steps forward, then waves the left hand three times.", "waves the right hand, then walks."]
    plain = verify(texts, JOINTS["walk, wave"])
    moved = bodies.rotate_scene(JOINTS["walk, wave"], 130.0) + np.array([5.0, 0.3, -2.0])
    assert [v.contradicted != () for v in verify(texts, moved)] == [False, True]
    for one, other in zip(plain, verify(texts, moved), strict=True):
        assert [(c.kind, c.verdict) for c in one.claims] == [(c.kind, c.verdict) for c in other.claims]


def test_jitter_leaves_true_texts_alone():
    rng = np.random.default_rng(0)
    for name, text in {
        "walk": "walks forward",
        "wave": "waves the left hand",
        "kick": "kicks with the right leg",
    }.items():
        noisy = JOINTS[name] + rng.normal(0.0, 0.006, JOINTS[name].shape)
        assert not verify([f"a person {text}."], noisy)[0].contradicted


def test_planted_errors_are_found_and_true_texts_are_not_accused():
    accused, found, planted = 0, 0, 0
    for index in range(60):
        rng = np.random.default_rng((77, index))
        plan, motion = draw_clip(rng, index % 4 == 3)
        true = [captions(plan, rng)[0], thought(plan, motion.joints, motion.spans)]
        sided = [i for i, s in enumerate(plan.segments) if s.side in ("left", "right") and s.action != "look"]
        wrong = []
        if sided:
            segments = list(plan.segments)
            segments[sided[0]] = mirrored(segments[sided[0]])
            wrong = [captions(replace(plan, segments=tuple(segments)), rng, 0.0, detailed_only=True)[0]]
        checked = verify([*true, *wrong], motion.joints)
        accused += sum(bool(v.contradicted) for v in checked[:2])
        found += sum(bool(v.contradicted) for v in checked[2:])
        planted += len(wrong)
    assert accused <= 3 and found >= 0.9 * planted and planted > 20


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "text, sentences, unread",
    [
        ("", 0, 0),
        (" \n ... !!", 0, 0),
        ("一个人向前走。他转身。", 2, 2),
        ("</think><Motion_3>", 0, 0),
        ("a person walks.</think> <Answer>blah", 2, 1),
        ("It is raining. A person walks forward.", 2, 1),
        ("walks 1.5 meters at 0.4 s. turns", 2, 0),
        ("\x00\x07 walks \u202e left", 1, 0),
        ("İİİ walks forward", 1, 0),
    ],
)
def test_odd_texts_are_counted_not_guessed(text, sentences, unread):
    checked = verify([text], JOINTS["walk"])[0]
    assert (checked.sentences, len(checked.unread)) == (sentences, unread)
    assert checked.coverage == (1.0 if not sentences else 1 - unread / sentences)


@pytest.mark.parametrize(
    "joints, match",
    [
        (np.full((30, 22, 3), np.nan), "must be finite"),
        (np.zeros((0, 22, 3)), "at least 2 frames"),
        (JOINTS["walk"][:1], "at least 2 frames"),
        (np.zeros((30, 21, 3)), "shape"),
        (np.zeros((30, 263)), "shape"),
        (np.zeros((30, 22, 3)), "no extent"),
    ],
)
def test_a_motion_that_cannot_be_measured_is_refused(joints, match):
    with pytest.raises(ValueError, match=match):
        verify(["a person walks."], joints)


def test_texts_must_be_a_list_of_strings():
    with pytest.raises(ValueError, match="must be a list of strings, got one string"):
        verify("a person walks.", JOINTS["walk"])
    with pytest.raises(ValueError, match=r"texts\[1\] must be a string, got NoneType"):
        verify(["a person walks.", None], JOINTS["walk"])
    assert verify([], JOINTS["walk"]) == []


@pytest.mark.parametrize("frames", [2, 3, 5, 9])
def test_motions_of_a_few_frames_are_checked(frames):
    every = [f"a person {action}." for action in INVENTED] + ["he looks left.", "the trunk leans forward."]
    assert len(verify(every, JOINTS["run"][:frames])) == len(every)


def test_long_texts_take_time_in_proportion():
    sentence = "a person walks forward, then waves the left hand twice, then turns left and jumps. "

    def calls(repeats):
        """Function calls, which unlike seconds do not depend on what else the machine does."""
        profile = cProfile.Profile()
        profile.runcall(verify, [sentence * repeats], JOINTS["walk, wave"])
        return sum(entry.callcount for entry in profile.getstats())

    calls(5)
    assert calls(400) < 12 * calls(40)
    assert verify(["walks " * 20_000 + "9" * 5000], JOINTS["walk"])[0].sentences == 1
