"""What happened in a motion: the kinematic annotator's reading of the measurements as events in time.

The bounds here are the annotator's own. They are set so that what falls between two readings (a hand half up, a sway
that might be a turn) gives no event: a missing statement costs less than a wrong one. They come from planned motion,
whose events are known, and were checked on captured motion with labels (Bandai-Namco):
`benchmarks/annotator_agreement.py` measures what they give. Lengths are shares of the body's own limbs where a comment
says so, so that they hold for bodies of any size.
"""

from dataclasses import replace

import numpy as np

from datasets_scripts.thoughts.annotate.events import (
    Bow,
    Circle,
    Clap,
    Event,
    HandRaise,
    Jump,
    Lean,
    LegRaise,
    Lowering,
    March,
    Posture,
    Reach,
    Reading,
    Rise,
    Travel,
    Turn,
    Twist,
)
from datasets_scripts.verify.kinematics import (
    SIDES,
    Measurements,
    Span,
    changing_span,
    divided_at_valleys,
    oscillations,
    quantile,
    spans_above,
    steps,
    swings,
)

# Travel: smoothed pelvis speed, m/s, and metres gained.
_MOVING, _STANDING, _MIN_TRAVEL, _MIN_TRAVEL_SECONDS = 0.25, 0.12, 0.25, 0.4
# Each foot goes about as far as the body does; a body that shifts over a planted foot travels nowhere.
_FOOT_TRAVEL = 0.5
# The factor by which the speed falls between two bouts of travel.
_VALLEY = 2.0
# A run is fast, or has both feet in motion (m/s) for a share of the time; a walk is slow and has none of that. A
# shuffling jog and a hurried walk lie between and are called neither.
_RUN_SPEED, _RUN_STRIDE_SPEED, _WALK_SPEED, _AMBLE_SPEED = 2.2, 0.9, 1.8, 0.75
_SWING_SPEED, _RUN_SHARE, _WALK_SHARE = 0.9, 0.06, 0.015
# Turns, degrees: a change of heading that counts, and a reversal that separates two.
_MIN_TURN, _TURN_REVERSAL = 30.0, 20.0
# Degrees a second: a turn that slows down to the second between two faster parts is two turns.
_TURNING, _TURN_PAUSE = 18.0, 7.0
# The chest against the hips, degrees, with the hands held still (arm lengths).
_TWIST, _TWIST_LEAVE, _TWIST_HANDS = 26.0, 12.0, 0.25
# Hands, in arm lengths over the shoulder (-1 hangs straight down), with the least rise over the clip's own low level.
_HAND_UP, _HAND_DOWN, _HAND_RISE, _HAND_LEAVE_RISE = -0.35, -0.60, 0.30, 0.18
# While travelling the arms swing: only what goes clearly over the shoulder is a raised hand.
_HAND_UP_TRAVELLING, _HAND_UP_SEATED = 0.30, -0.15
_WAVE_SWING, _MIN_WAVES, _MIN_WAVE_SECONDS = 0.15, 3, 0.8
# A wave is a raised hand, and goes across more than it goes to the front.
_WAVE_HEIGHT, _WAVE_FRONT = -0.12, 0.75
_MIN_REACH, _REACH_FROM = 0.80, 0.45
# A thrust starts with the arm bent and the fist before the body, and ends with the arm nearly straight; the hand gains
# that much to the front, that fast (arm lengths a second).
_THRUST_FROM, _THRUST_TO, _THRUST_GAIN, _THRUST_SPEED = 0.75, 0.85, 0.30, 1.8
# Hands that meet before the body: metres apart, the way they open, how unequal their reach may be, and not much over
# the shoulders, since hands that wave may pass as near to each other above.
_MEET, _MEET_OPEN, _MEET_UNEVEN, _MEET_FRONT, _MEET_UP = 0.26, 0.07, 0.25, 0.2, 0.05
# An arm that goes all around the shoulder, degrees, and how far to the front and back the hand gets.
_ROUND, _ROUND_PART, _ROUND_REACH = 290.0, 230.0, 1.1
# Trunk, degrees of forward pitch over the clip's usual one.
_MIN_BOW, _MIN_BOW_TRAVELLING, _BOW_LEAVE = 18.0, 35.0, 9.0
_STEADY_TRUNK = 12.0
# Trunk to a side, degrees over the clip's usual lean.
_LEAN, _LEAN_LEAVE, _USUAL_LEAN = 18.0, 8.0, 5.0
# Hips over the ankles' floor, in leg lengths; a lunge has one foot that far before the other; a hand at the floor,
# metres.
_LOWERED = 0.80
# The same below the clip's usual standing height, which is kept between two bounds: some stand with bent knees, and
# some clips hold no standing at all.
_STANDING_LOW, _STANDING_HIGH, _LOWERED_BY, _UPRIGHT_BY = 0.85, 0.97, 0.17, 0.09
_MIN_STOOP, _ONE_HAND = 40.0, 0.08
_LUNGE, _HAND_AT_FLOOR, _HANDS_AT_FLOOR = 0.55, 0.30, 0.22
# Feet: a raised foot or knee, in leg lengths; how far a kick goes out from the hip; feet apart sideways.
_FOOT_UP, _FOOT_DOWN, _KNEE_UP = 0.20, 0.09, 0.74
_KICK_REACH, _STRAIGHT_KNEE, _KNEE_REACH = 0.58, 105.0, 0.56
_MARCH_GAP, _STANDING_ON_ONE = 0.6, 0.65
_WIDE, _WIDE_LEAVE = 0.25, 0.12
# Airborne, metres; a foot that stays up through a hop; feet side by side in a jump, in leg lengths.
_AIRBORNE, _AIRBORNE_LEAVE, _JUMP_RISE, _HELD_FOOT, _SIDE_BY_SIDE = 0.05, 0.03, 0.06, 0.12, 0.4
_JUMP_DISTANCE = 0.25
# Seconds around a leap in which bent knees belong to it.
_LEAP_MARGIN = 0.45


def read(m: Measurements) -> Reading:
    """Find the events of a measured motion.

    Args:
        m: The measurements of a clip.

    Returns:
        Its events, posture and length.
    """
    jumps = _jumps(m)
    leaps = [_widened(jump.span, _LEAP_MARGIN * m.fps) for jump in jumps]
    travels = _travels(m, leaps)
    turns = _turns(m)
    legs = [] if m.num_frames < 4 else _leg_raises(m, travels, leaps)
    lowerings = _lowerings(m, [*leaps, *(leg.span for leg in legs)])
    bows = _bows(m, [travel.span for travel in travels])
    # What the whole body does takes the arms along.
    busy = [event.span for event in (*travels, *jumps, *legs)]
    busy += [event.span for event in lowerings if event.pose == "lunging"]
    circles = _circles(m)
    claps = _claps(m, busy)
    thrusts = _thrusts(m, busy)
    engaged = [(side, c.span) for c in circles for side in c.sides]
    engaged += [(side, c.span) for c in claps for side in SIDES]
    # Boxers hold both hands before the body, before the first blow and after the last.
    engaged += [(side, _widened(t.span, 0.5 * m.fps)) for t in thrusts for side in SIDES]
    engaged += [(side, jump.span) for jump in jumps if jump.spread for side in SIDES]
    # Arms that hang from a bent trunk, and those that come along on the way to a seat, are not raised.
    bent = [event.span for event in bows] + [e.span for e in lowerings if e.pose == "reaching down"]
    hands = _hand_raises(m, [*busy, *bent], [e.span for e in lowerings if e.pose == "sitting"], engaged)
    events: list[Event] = [
        *travels,
        *turns,
        *jumps,
        *bows,
        *lowerings,
        *_rises(m, lowerings),
        *circles,
        *claps,
        *thrusts,
        *_repeated(_join_hands(hands), m.fps),
        *_reaches(m, [*busy, *(event.span for event in lowerings)], engaged, hands),
        *_leans(m, busy),
        *_twists(m, busy),
        *legs,
    ]
    reach = np.ptp(m.hand, axis=0).max(axis=-1)
    shifts = float(np.hypot(*np.ptp(m.position, axis=0)))
    planted = shifts < 0.15 and m.foot_clearance.max() < 0.05 and not (travels or turns or jumps or legs)
    return Reading(
        duration=m.duration,
        fps=m.fps,
        events=tuple(sorted(events, key=lambda event: (event.span.start, event.span.stop))),
        start=posture(m, 0),
        end=posture(m, m.num_frames - 1),
        trunk_pitch=float(quantile(m.trunk_pitch, 0.5)),
        trunk_steady=bool(np.ptp(m.trunk_pitch) < _STEADY_TRUNK),
        elbows_bent=bool(quantile(m.elbow, 0.5).mean() < 110.0),
        arm_swing=bool(np.ptp(m.hand[..., 2], axis=0).min() > 0.35),
        still=bool(not events and reach.max() < 0.2 and shifts < 0.1),
        hands_used=(bool(reach[0] > 0.25), bool(reach[1] > 0.25)),
        feet_planted=bool(planted),
    )


def posture(m: Measurements, frame: int) -> Posture:
    """The pose in one frame.

    Args:
        m: The measurements of a clip.
        frame: Of the clip.

    Returns:
        The pose.
    """
    hands = (_hand_level(m, frame, 0), _hand_level(m, frame, 1))
    hips = float(m.hip_height[frame])
    pitch = float(m.trunk_pitch[frame])
    if m.trunk_tilt[frame] > 60.0 and m.pelvis_height[frame] < 0.45 * m.leg_length:
        body = "lying"
    elif hips < _LOWERED:
        body = _low_pose(m, frame) if hips < 0.65 else "with bent knees"
    elif pitch > 45.0:
        body = "bent forward"
    elif pitch > 12.0:
        body = "leaning forward"
    elif pitch < -15.0:
        body = "leaning back"
    else:
        body = "upright"
    return Posture(body, hands)


def _hand_level(m: Measurements, frame: int, side: int) -> str:
    up = float(m.hand[frame, side, 1])
    over_head = float(m.hand_height[frame, side] - m.head_height[frame])
    if over_head > 0.08 and up > 0.25:
        return "above the head"
    if up > 0.25:
        return "head height"
    if up > -0.15:
        return "shoulder height"
    if up > -0.42:
        return "chest height"
    if up > -0.65:
        return "waist height"
    return "down"


def _widened(span: Span, frames: float) -> Span:
    return Span(span.start - round(frames), span.stop + round(frames))


def _within(span: Span, others: list[Span], share: float = 0.5) -> bool:
    """Whether `share` of a span or more falls into one of the others."""
    return any(span.overlap(other) >= share * len(span) for other in others)


def _travels(m: Measurements, leaps: list[Span]) -> list[Travel]:
    shortest = round(_MIN_TRAVEL_SECONDS * m.fps)
    bouts = spans_above(m.speed, _MOVING, _STANDING, shortest)
    found = []
    for span in (part for bout in bouts for part in divided_at_valleys(m.speed, bout, _VALLEY)):
        forward, left = m.velocity[span.slice].sum(axis=0) / m.fps
        distance = float(np.hypot(forward, left))
        if distance < _MIN_TRAVEL or _within(span, leaps):
            continue
        if float(m.toe_speed[span.slice].sum(axis=0).min()) / m.fps < _FOOT_TRAVEL * distance:
            continue
        speed = float(quantile(m.speed[span.slice], 0.5))
        both = float((m.toe_speed[span.slice].min(axis=1) > _SWING_SPEED).mean())
        if speed > _RUN_SPEED or (speed > _RUN_STRIDE_SPEED and both > _RUN_SHARE and forward > 0.9 * distance):
            gait = "run"
        else:
            walks = speed < _AMBLE_SPEED or (speed < _WALK_SPEED and both < _WALK_SHARE)
            gait = "walk" if walks else "move"
        found.append(Travel(span, float(forward), float(left), speed, gait, steps(m, span)))
    return found


def _turns(m: Measurements) -> list[Turn]:
    found = []
    rate = np.abs(np.gradient(m.hip_heading)) * m.fps
    for first, last, angle in swings(m.hip_heading, _TURN_REVERSAL):
        if abs(angle) < _MIN_TURN:
            continue
        parts = spans_above(rate[first : last + 1], _TURNING, _TURN_PAUSE, 2)
        for part in parts if len(parts) > 1 else [Span(0, last + 1 - first)]:
            begin, end = first + part.start, first + part.stop - 1
            turned = float(m.hip_heading[end] - m.hip_heading[begin])
            if abs(turned) >= _MIN_TURN:
                found.append(Turn(changing_span(m.hip_heading, begin, end), turned))
    return found


def _hand_raises(
    m: Measurements, busy: list[Span], seated: list[Span], engaged: list[tuple[str, Span]]
) -> list[HandRaise]:
    found = []
    carried = np.zeros(m.num_frames, dtype=bool)
    for span in busy:
        carried[span.slice] = True
    for side, name in enumerate(SIDES):
        height = m.hand[:, side, 1]
        base = float(quantile(height, 0.03))
        if base > _HAND_UP:
            # Up from the first frame to the last: not a rise, but worth saying, and it may wave.
            enter = leave = _HAND_DOWN
        else:
            enter = max(_HAND_UP, base + _HAND_RISE)
            leave = max(_HAND_DOWN, base + _HAND_LEAVE_RISE)
        free = np.ones(m.num_frames, dtype=bool)
        for arm, span in engaged:
            if arm == name:
                free[max(span.start, 0) : span.stop] = False
        spans = spans_above(np.where(free, height, -2.0), enter, leave, round(0.25 * m.fps), round(0.4 * m.fps))
        for span in spans:
            part = height[span.slice]
            cut = (span.start > 0 and not free[span.start - 1], span.stop < m.num_frames and not free[span.stop])
            if cut[0] and part.max() - part[0] < _HAND_RISE:
                continue
            if carried[span.slice].mean() > 0.3 and part.max() < _HAND_UP_TRAVELLING:
                continue
            if _within(span, seated, 0.3) and part.max() < _HAND_UP_SEATED:
                continue
            if _also_rises(m, 1 - side, span, float(part.max())):
                continue
            top = span.start + int(part.argmax())
            waves = _waves(m, side, span)
            # left is positive, so the right hand's outward direction is negative.
            outward = float(m.hand[top, side, 0]) * (1.0 if side == 0 else -1.0)
            front = float(m.hand[top, side, 2])
            where = "to the side" if outward > max(0.45, 1.3 * front) else ""
            where = "in front" if front > max(0.45, 1.3 * outward) else where
            level = _hand_level(m, top, side)
            found.append(
                HandRaise(
                    span,
                    (name,),
                    (level,),
                    ("" if level == "above the head" else where,),
                    waves,
                    rises=span.start > 0 or bool(part.max() - part[0] > _HAND_RISE),
                    lowers=(span.stop < m.num_frames and not cut[1]) or bool(part.max() - part[-1] > 2 * _HAND_RISE),
                )
            )
    return found


def _also_rises(m: Measurements, side: int, span: Span, top: float) -> bool:
    """Whether the other hand nearly does the same without being called raised: then neither is the one that rises."""
    height = m.hand[:, side, 1]
    high = float(height[span.slice].max())
    return _HAND_UP > high > top - 0.2 and high - float(quantile(height, 0.03)) > 0.15


def _waves(m: Measurements, side: int, span: Span) -> int:
    """Cycles of a raised hand across, 0 where there are too few to be called a wave."""
    high = m.hand[span.slice, side, 1] > _WAVE_HEIGHT
    if high.mean() < 0.5:
        return 0
    # What the hand does on its way up and down, or lower down afterwards, is no part of it.
    top = max(spans_above(m.hand[span.slice, side, 1], _WAVE_HEIGHT, _WAVE_HEIGHT - 0.1), key=len)
    if len(top) < _MIN_WAVE_SECONDS * m.fps:
        return 0
    waves, axis = oscillations(m.hand[span.slice, side][top.slice], m.fps, _WAVE_SWING)
    return waves if waves >= _MIN_WAVES and abs(float(axis[2])) < _WAVE_FRONT else 0


def _join_hands(raises: list[HandRaise]) -> list[HandRaise]:
    """Hands that are up at the same time become one event of both."""
    rights = [event for event in raises if event.sides == ("right",)]
    joined: list[HandRaise] = []
    for left in (event for event in raises if event.sides == ("left",)):
        partner = max(rights, key=lambda right: right.span.overlap(left.span), default=None)
        if partner is None or partner.span.overlap(left.span) < 0.6 * max(len(partner.span), len(left.span)):
            joined.append(left)
            continue
        rights.remove(partner)
        both_wave = min(left.waves, partner.waves) > 0 and abs(left.waves - partner.waves) <= 1
        if not both_wave and max(left.waves, partner.waves) > 0:
            joined.extend([left, partner])
            continue
        joined.append(
            HandRaise(
                Span(min(left.span.start, partner.span.start), max(left.span.stop, partner.span.stop)),
                ("left", "right"),
                (left.levels[0], partner.levels[0]),
                (left.outward[0], partner.outward[0]),
                min(left.waves, partner.waves),
                rises=left.rises and partner.rises,
                lowers=left.lowers and partner.lowers,
            )
        )
    return joined + rights


def _repeated(raises: list[HandRaise], fps: float) -> list[HandRaise]:
    """The same rise again and again, shortly after one another, is one event with a count."""
    found: list[HandRaise] = []
    for event in sorted(raises, key=lambda event: event.span.start):
        last = found[-1] if found else None
        if (
            last is not None
            and (last.sides, last.levels, last.waves) == (event.sides, event.levels, 0)
            and event.waves == 0
            and last.rises
            and event.span.start - last.span.stop < 1.5 * fps
        ):
            span = Span(last.span.start, event.span.stop)
            found[-1] = replace(last, span=span, lowers=event.lowers, count=last.count + 1)
        else:
            found.append(event)
    return found


def _reaches(
    m: Measurements, busy: list[Span], engaged: list[tuple[str, Span]], raises: list[HandRaise]
) -> list[Reach]:
    found = []
    for side, name in enumerate(SIDES):
        front = m.hand[:, side, 2]
        low = float(quantile(front, 0.3))
        taken = [*busy, *(span for arm, span in engaged if arm == name)]
        taken += [up.span for up in raises if name in up.sides]
        spans = [
            span
            for span in spans_above(front, max(_MIN_REACH, low + 0.35), max(_REACH_FROM, low + 0.2), 2)
            if span.start > 0 and not _within(span, taken, 0.3)
        ]
        if spans:
            found.append(Reach(Span(spans[0].start, spans[-1].stop), name, len(spans)))
    return found


def _thrusts(m: Measurements, busy: list[Span]) -> list[Reach]:
    """Fast extensions of an arm that was held bent before the body."""
    found: list[Reach] = []
    for side, name in enumerate(SIDES):
        hand = m.hand[:, side]
        length = np.linalg.norm(hand, axis=-1)
        spans = []
        for first, last, change in swings(hand[:, 2], 0.5 * _THRUST_GAIN):
            if change < 0:
                continue
            span = Span(first, last + 1)
            # The way to the guard and the blow may run into one another: the blow starts where the arm is most bent.
            span = Span(first + int(length[span.slice].argmin()), last + 1)
            gain = float(hand[last, 2] - hand[span.start, 2])
            bent = float(length[span.start]) < _THRUST_FROM and -0.75 < float(hand[span.start, 1]) < 0.1
            out = float(length[last]) > _THRUST_TO and float(hand[last, 1]) > -0.5
            speed = float(np.gradient(hand[span.slice, 2]).max()) * m.fps if len(span) > 1 else 0.0
            if gain > _THRUST_GAIN and bent and out and speed > _THRUST_SPEED and not _within(span, busy, 0.3):
                spans.append(span)
        for run in _series(spans, 1.2 * m.fps):
            found.append(Reach(Span(run[0].start, run[-1].stop), name, len(run), thrust=True))
    return found


def _claps(m: Measurements, busy: list[Span]) -> list[Clap]:
    front = m.hand[..., 2]
    meets = []
    for first, last, change in swings(m.hands_apart, _MEET_OPEN):
        near = float(m.hands_apart[last])
        first = max(first, last - round(0.5 * m.fps))
        even = float(np.abs(front[first : last + 1, 0] - front[first : last + 1, 1]).max()) < _MEET_UNEVEN
        before = float(front[last].min()) > _MEET_FRONT and float(m.hand[last, :, 1].max()) < _MEET_UP
        if change < 0 and near < _MEET and even and before:
            span = Span(last, last + 1)
            if not _within(span, busy):
                meets.append(span)
    return [
        Clap(_widened(Span(run[0].start, run[-1].stop), 0.1 * m.fps), len(run))
        for run in _series(meets, 1.2 * m.fps)
        if len(run) > 1
    ]


def _circles(m: Measurements) -> list[Circle]:
    found: list[Circle] = []
    for side, name in enumerate(SIDES):
        hand = m.hand[:, side]
        angle = np.degrees(np.unwrap(np.arctan2(hand[:, 2], -hand[:, 1])))
        for first, last, turned in swings(angle, 60.0):
            if abs(turned) < _ROUND or float(np.ptp(hand[first : last + 1, 2])) < _ROUND_REACH:
                continue
            rate = np.abs(np.gradient(angle[first : last + 1]))
            parts = spans_above(rate, 0.3 * float(rate.max()), 0.1 * float(rate.max()), 2)
            rounds = [Span(first + part.start, first + part.stop) for part in parts]
            rounds = [part for part in rounds if _change(angle, part) > _ROUND_PART]
            for run in _series(rounds, 1.2 * m.fps):
                around = sum(_change(angle, part) for part in run)
                if around < _ROUND:
                    continue
                circle = Circle(Span(run[0].start, run[-1].stop), (name,), turned > 0, round(around / 360.0))
                other = next((c for c in found if side and _same_circle(c, circle)), None)
                if other is None:
                    found.append(circle)
                else:
                    found[found.index(other)] = replace(other, sides=SIDES)
    return found


def _change(series: np.ndarray, span: Span) -> float:
    """How much a series changes over a span."""
    return abs(float(series[span.stop - 1] - series[span.start]))


def _same_circle(one: Circle, other: Circle) -> bool:
    """Whether the left and the right arm circle together."""
    together = one.span.overlap(other.span) > 0.7 * min(len(one.span), len(other.span))
    return together and len(one.sides) == 1 and (one.backward, one.count) == (other.backward, other.count)


def _series(spans: list[Span], gap: float) -> list[list[Span]]:
    """Spans in runs of which each follows the one before within `gap` frames."""
    runs: list[list[Span]] = []
    for span in sorted(spans, key=lambda span: span.start):
        if runs and span.start - runs[-1][-1].stop < gap:
            runs[-1].append(span)
        else:
            runs.append([span])
    return runs


def _leans(m: Measurements, busy: list[Span]) -> list[Lean]:
    # A clip may hold little else than the lean: only a small slant is taken for the usual one.
    lean = m.trunk_lean - min(max(float(quantile(m.trunk_lean, 0.5)), -_USUAL_LEAN), _USUAL_LEAN)
    found = []
    for sign, side in ((1.0, "left"), (-1.0, "right")):
        spans = spans_above(sign * lean, _LEAN, _LEAN_LEAVE, round(0.2 * m.fps))
        spans = [span for span in spans if not _within(span, busy, 0.3)]
        for run in _series(spans, 1.0 * m.fps):
            span = Span(run[0].start, run[-1].stop)
            found.append(Lean(span, side, float(np.abs(lean[span.slice]).max()), len(run)))
    return found


def _twists(m: Measurements, busy: list[Span]) -> list[Twist]:
    found = []
    for sign, side in ((1.0, "left"), (-1.0, "right")):
        for span in spans_above(sign * m.chest_twist, _TWIST, _TWIST_LEAVE, round(0.3 * m.fps)):
            hips = float(np.ptp(m.hip_heading[span.slice]))
            hands = float(np.ptp(m.hand[span.slice, :, 1], axis=0).max())
            if hips < 12.0 and hands < _TWIST_HANDS and not _within(span, busy, 0.2):
                found.append(Twist(span, side, span.stop < m.num_frames))
    return found


def _bows(m: Measurements, travels: list[Span]) -> list[Bow]:
    usual = max(0.0, float(quantile(m.trunk_pitch, 0.2)))
    found = []
    for span in spans_above(m.trunk_pitch, usual + _MIN_BOW, usual + _BOW_LEAVE, round(0.3 * m.fps), 5):
        part = m.trunk_pitch[span.slice]
        if span.start == 0 or m.hip_height[span.slice].min() < _LOWERED:
            continue
        # A runner's trunk pitches as well.
        if part.max() < usual + _MIN_BOW_TRAVELLING and _within(span, travels, 0.3):
            continue
        found.append(Bow(span, float(part.max()), span.stop < m.num_frames))
    return found


def _lowerings(m: Measurements, explained: list[Span]) -> list[Lowering]:
    """Hips that go down, but for what jumps and lifted legs explain: knees bend before a jump and after it."""
    found: list[Lowering] = []
    standing = min(max(float(quantile(m.hip_height, 0.8)), _STANDING_LOW), _STANDING_HIGH)
    enter, leave = standing - _LOWERED_BY, standing - _UPRIGHT_BY
    for span in spans_above(-m.hip_height, -enter, -leave, round(0.25 * m.fps)):
        if any(span.overlap(other) for other in explained):
            continue
        low = span.start + int(m.hip_height[span.slice].argmin())
        share = float(m.hip_height[low])
        pose, side = _low_pose(m, low), ""
        gap = float(m.foot[low, 0, 2] - m.foot[low, 1, 2])
        hand = m.hand_height[low]
        if pose in ("crouching", "squatting", "kneeling") and abs(gap) > _LUNGE and share > 0.45:
            pose, side = "lunging", SIDES[0] if gap > 0 else SIDES[1]
        elif pose in ("crouching", "squatting") and m.trunk_pitch[low] > _MIN_STOOP:
            # Both hands get low in a deep squat as well.
            if abs(float(hand[0] - hand[1])) > _ONE_HAND and hand.min() < _HAND_AT_FLOOR:
                pose, side = "reaching down", SIDES[int(hand.argmin())]
            elif hand.max() < _HANDS_AT_FLOOR:
                pose, side = "reaching down", "both"
        event = Lowering(span, pose, share, span.stop < m.num_frames, side)
        last = found[-1] if found else None
        if (
            last is not None
            and (last.pose, last.side) == (event.pose, event.side)
            and event.pose in ("crouching", "squatting", "lunging")
            and span.start - last.span.stop < 1.0 * m.fps
        ):
            joined = Span(last.span.start, span.stop)
            found[-1] = replace(event, span=joined, share=min(last.share, share), count=last.count + 1)
        else:
            found.append(event)
    return found


def _rises(m: Measurements, lowerings: list[Lowering]) -> list[Rise]:
    found = []
    for event in lowerings:
        if event.returns and event.pose in ("sitting", "kneeling", "lying"):
            hips = m.hip_height[event.span.slice]
            bottom = float(hips.min()) + 0.1 * float(hips[-1] - hips.min())
            found.append(Rise(Span(event.span.start + int(np.flatnonzero(hips <= bottom)[-1]), event.span.stop)))
    return found


def _low_pose(m: Measurements, frame: int) -> str:
    hips = float(m.hip_height[frame])
    if m.trunk_tilt[frame] > 60.0 and m.pelvis_height[frame] < 0.45 * m.leg_length:
        return "lying"
    if m.knee_height[frame].min() < 0.15:
        return "kneeling"
    if hips < 0.65 and m.foot[frame, :, 2].min() > 0.2 and abs(m.trunk_pitch[frame]) < 35.0:
        return "sitting"
    return "squatting" if hips < 0.6 else "crouching"


def _leg_raises(m: Measurements, travels: list[Travel], leaps: list[Span]) -> list[LegRaise | March]:
    busy = [*(travel.span for travel in travels), *leaps]
    lifts: list[LegRaise] = []
    for side, name in enumerate(SIDES):
        for span in spans_above(m.foot_height[:, side], _FOOT_UP, _FOOT_DOWN, 2):
            stands = float(m.foot_clearance[span.slice, 1 - side].mean()) < 0.04
            if not stands or _within(span, busy) or m.hip_height[span.slice].min() < _STANDING_ON_ONE:
                continue
            lift = _leg_raise(m, side, name, span)
            if lift is not None:
                lifts.append(lift)
    lifts.sort(key=lambda lift: lift.span.start)
    found: list[LegRaise | March] = []
    index = 0
    while index < len(lifts):
        run = _in_turn(lifts[index:], _MARCH_GAP * m.fps)
        if len(run) > 2:
            found.append(March(Span(run[0].span.start, run[-1].span.stop), len(run)))
            index += len(run)
            continue
        event, last = lifts[index], found[-1] if found else None
        if (
            isinstance(last, LegRaise)
            and (last.side, last.kick, last.direction) == (event.side, event.kick, event.direction)
            and event.span.start - last.span.stop < 1.2 * m.fps
        ):
            found[-1] = replace(last, span=Span(last.span.start, event.span.stop), count=last.count + 1)
        else:
            found.append(event)
        index += 1
    return found


def _in_turn(lifts: list[LegRaise], gap: float) -> list[LegRaise]:
    """The first knee lifts of `lifts` that change sides one shortly after the other."""
    run = lifts[:1]
    for lift in lifts[1:]:
        if run[-1].kick or lift.kick or lift.side == run[-1].side or lift.span.start - run[-1].span.stop > gap:
            break
        run.append(lift)
    return run


def _leg_raise(m: Measurements, side: int, name: str, span: Span) -> LegRaise | None:
    """A kick, a knee lift or neither."""
    outward = m.foot[span.slice, side, 0] * (1.0 if side == 0 else -1.0)
    front = m.foot[span.slice, side, 2]
    reach = np.maximum(front, outward)
    far = int(reach.argmax())
    straight = float(m.knee[span.slice, side][far])
    if reach[far] > _KICK_REACH and straight > _STRAIGHT_KNEE:
        direction = "forward" if front[far] >= outward[far] else "to the side"
        level = "hip height" if m.foot_height[span.start + far, side] > 0.75 else "knee height"
        return LegRaise(span, name, True, direction, level, 1)
    if m.knee_height[span.slice, side].max() > _KNEE_UP and reach[far] < _KNEE_REACH:
        return LegRaise(span, name, False, "", "hip height", 1)
    return None


def _jumps(m: Measurements) -> list[Jump]:
    """Flights that start and land on both feet side by side, or hop on one; a runner's strides are neither."""
    low = m.foot_clearance.min(axis=1)
    standing = float(quantile(m.pelvis_height, 0.5))
    margin = max(1, round(0.1 * m.fps))
    wide = np.abs(m.foot[:, 0, 0] - m.foot[:, 1, 0])
    spread = np.minimum((wide - float(quantile(wide, 0.2))) / _WIDE, m.hand[..., 1].min(axis=1) / 0.2)
    jacks = _series(spans_above(spread, 1.0, 0.5, 2), 1.2 * m.fps)
    found = [
        Jump(_widened(Span(run[0].start, run[-1].stop), 0.2 * m.fps), 0.0, len(run), spread=True) for run in jacks
    ]
    parts: list[tuple[Span, str, float]] = []
    for span in spans_above(low, _AIRBORNE, _AIRBORNE_LEAVE, 2):
        before, after = max(span.start - margin, 0), min(span.stop + margin, m.num_frames) - 1
        top = span.start + int(low[span.slice].argmax())
        rise = float(m.pelvis_height[span.slice].max()) - standing
        held = m.foot_clearance[[before, top, after]].min(axis=0) > _HELD_FOOT
        level = np.abs(m.foot_clearance[[before, after], 0] - m.foot_clearance[[before, after], 1]).max()
        gap = abs(float(m.foot[top, 0, 2] - m.foot[top, 1, 2]))
        if _within(span, [jack.span for jack in found if jack.spread]):
            continue
        if held.any() and not held.all() and level > _HELD_FOOT:
            parts.append((span, SIDES[0] if held[1] else SIDES[1], rise))
        elif rise > _JUMP_RISE and gap < _SIDE_BY_SIDE and level < _HELD_FOOT:
            parts.append((span, "", rise))
    for span, foot, rise in parts:
        whole = span.start > 0 and span.stop < m.num_frames
        airborne = (_airborne(low, span) / m.fps,) if whole else ()
        start, stop = max(span.start - margin, 0), min(span.stop + margin, m.num_frames) - 1
        forward = float(m.velocity[start : stop + 1, 0].sum()) / m.fps
        event = Jump(span, rise, 1, forward if forward > _JUMP_DISTANCE else 0.0, foot, airborne=airborne)
        last = found[-1] if found else None
        if (
            last is not None
            and not last.spread
            and (last.foot, last.forward > 0.0) == (event.foot, event.forward > 0.0)
            and span.start - last.span.stop < 1.0 * m.fps
        ):
            found[-1] = replace(
                last,
                span=Span(last.span.start, span.stop),
                rise=max(last.rise, rise),
                forward=last.forward + event.forward,
                count=last.count + 1,
                airborne=last.airborne + airborne,
            )
        else:
            found.append(event)
    return [replace(jump, forward=jump.forward / jump.count) for jump in found]


def _airborne(low: np.ndarray, span: Span) -> float:
    """Frames, and parts of one at either end, that the lower foot's clearance `low` (T,) is over what ends a flight.

    Flights of a few frames are told in tenths of a second, so where it is passed between two frames matters.
    """
    first, last = span.start, span.stop - 1
    up = (low[first] - _AIRBORNE_LEAVE) / (low[first] - low[first - 1])
    down = (low[last] - _AIRBORNE_LEAVE) / (low[last] - low[last + 1])
    return float(up + last - first + down)
