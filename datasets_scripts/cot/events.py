"""What happened in a motion: the kinematic annotator's reading of the measurements as events in time.

The bounds here are the annotator's own. They are set so that what falls between two readings (a hand half up, a sway
that might be a turn) gives no event: a missing statement costs less than a wrong one.
"""

from dataclasses import dataclass, replace

import numpy as np

from datasets_scripts.cot.kinematics import (
    SIDES,
    Measurements,
    Span,
    changing_span,
    oscillations,
    quantile,
    spans_above,
    steps,
    swings,
)

# Travel: smoothed pelvis speed, m/s, and metres gained.
_MOVING, _STANDING, _MIN_TRAVEL, _MIN_TRAVEL_SECONDS = 0.30, 0.15, 0.30, 0.4
# A run is fast, or has both feet off the ground at once, or a runner's steps a second; a walk is slow and has none of
# that. A shuffling jog and a hurried walk lie between and are called neither.
_RUN_SPEED, _RUN_FLIGHT_SPEED, _RUN_CADENCE = 2.2, 1.6, 2.7
_WALK_SPEED, _WALK_CADENCE = 1.8, 2.4
_FLIGHT_CLEARANCE, _FLIGHT_SHARE = 0.04, 0.08
# Turns, degrees: a change of heading that counts, and a reversal that separates two.
_MIN_TURN, _TURN_REVERSAL = 30.0, 20.0
# Hands, in arm lengths over the shoulder (-1 hangs straight down), with the least rise over the clip's own low level.
_HAND_UP, _HAND_DOWN, _HAND_RISE, _HAND_LEAVE_RISE = -0.35, -0.60, 0.30, 0.18
# While travelling the arms swing: only what goes clearly over the shoulder is a raised hand.
_HAND_UP_TRAVELLING = 0.30
_WAVE_SWING, _MIN_WAVES = 0.15, 3
_MIN_REACH, _REACH_FROM = 0.80, 0.45
# Trunk, degrees of forward pitch over the clip's usual one.
_MIN_BOW, _BOW_LEAVE = 25.0, 12.0
# Hips over the ankles' floor, in leg lengths.
_LOWERED, _UPRIGHT = 0.80, 0.88
# Feet: a raised foot or knee, in leg lengths; airborne, metres.
_FOOT_UP, _FOOT_DOWN, _KNEE_UP = 0.30, 0.12, 0.82
_AIRBORNE, _AIRBORNE_LEAVE, _JUMP_RISE = 0.08, 0.04, 0.07


@dataclass(frozen=True)
class Travel:
    """Moving from place to place, at `speed` m/s, as gait "walk", "run" or (neither for certain) "move".

    `forward` and `left` are metres in the body's own directions, summed along the way.
    """

    span: Span
    forward: float
    left: float
    speed: float
    gait: str
    steps: int

    @property
    def distance(self) -> float:
        """Metres, straight, by `forward` and `left`."""
        return float(np.hypot(self.forward, self.left))


@dataclass(frozen=True)
class Turn:
    """A change of heading, degrees, positive to the left."""

    span: Span
    angle: float


@dataclass(frozen=True)
class HandRaise:
    """Hands that go up, `count` times: `levels` and `outward` name how high and where each of `sides` gets.

    `waves`: full back-and-forth cycles of a raised hand (0: none to speak of). `rises` is false when it is up from the
    first frame on, `lowers` when it is still up in the last.
    """

    span: Span
    sides: tuple[str, ...]
    levels: tuple[str, ...]
    outward: tuple[str, ...]
    waves: int
    rises: bool
    lowers: bool
    count: int = 1


@dataclass(frozen=True)
class Reach:
    """A hand that is put out forward `count` times."""

    span: Span
    side: str
    count: int


@dataclass(frozen=True)
class Bow:
    """The trunk pitches forward by `angle` degrees from the vertical; `returns` when it comes up again."""

    span: Span
    angle: float
    returns: bool


@dataclass(frozen=True)
class Lowering:
    """The hips go down; `pose` is crouching, squatting, sitting, kneeling or lying.

    `share` of the standing hip height remains; `returns` when the hips come up again.
    """

    span: Span
    pose: str
    share: float
    returns: bool


@dataclass(frozen=True)
class LegRaise:
    """A foot leaves the ground while the other stands: a kick (foot put out) or a knee lift, `count` times."""

    span: Span
    side: str
    kick: bool
    direction: str
    level: str
    count: int


@dataclass(frozen=True)
class Jump:
    """Both feet off the ground, `count` times; `seconds` of the longest flight, `rise` of the pelvis in metres."""

    span: Span
    seconds: float
    rise: float
    count: int


Event = Travel | Turn | HandRaise | Reach | Bow | Lowering | LegRaise | Jump


@dataclass(frozen=True)
class Posture:
    """A pose at one moment: `body` (upright, leaning forward, ...) and the height level of either hand."""

    body: str
    hands: tuple[str, str]


@dataclass(frozen=True)
class Reading:
    """Everything the annotator may state about a motion; `events` run in order of their start."""

    duration: float
    fps: float
    events: tuple[Event, ...]
    start: Posture
    end: Posture
    trunk_pitch: float
    elbows_bent: bool
    arm_swing: bool
    still: bool
    hands_used: tuple[bool, bool]
    feet_planted: bool

    def seconds(self, frame: int) -> float:
        """The time of a frame."""
        return frame / self.fps


def read(m: Measurements) -> Reading:
    """Find the events of a measured motion."""
    travels = _travels(m)
    turns = _turns(m)
    jumps = _jumps(m, travels)
    bows = _bows(m)
    hands = _hand_raises(m, travels)
    legs = [] if m.num_frames < 4 else _leg_raises(m, travels, jumps)
    events: list[Event] = [
        *travels,
        *turns,
        *jumps,
        *bows,
        *_lowerings(m),
        *_repeated(_join_hands(hands), m.fps),
        *_reaches(m, travels, hands),
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
        elbows_bent=bool(quantile(m.elbow, 0.5).mean() < 110.0),
        arm_swing=bool(np.ptp(m.hand[..., 2], axis=0).min() > 0.35),
        still=bool(not events and reach.max() < 0.2),
        hands_used=(bool(reach[0] > 0.25), bool(reach[1] > 0.25)),
        feet_planted=bool(planted),
    )


def posture(m: Measurements, frame: int) -> Posture:
    """The pose in one frame."""
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
    if over_head > 0.08:
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


def _travels(m: Measurements) -> list[Travel]:
    spans = spans_above(m.speed, _MOVING, _STANDING, round(_MIN_TRAVEL_SECONDS * m.fps))
    flight = m.foot_clearance.min(axis=1) > _FLIGHT_CLEARANCE
    found = []
    for span in spans:
        forward, left = m.velocity[span.slice].sum(axis=0) / m.fps
        if np.hypot(forward, left) < _MIN_TRAVEL:
            continue
        speed = float(quantile(m.speed[span.slice], 0.5))
        flies = float(flight[span.slice].mean()) > _FLIGHT_SHARE
        taken = steps(m, span)
        cadence = taken * m.fps / len(span) if taken >= 4 else 0.0
        if speed > _RUN_SPEED or (speed > _RUN_FLIGHT_SPEED and flies) or cadence > _RUN_CADENCE:
            gait = "run"
        else:
            gait = "walk" if speed < _WALK_SPEED and cadence < _WALK_CADENCE and not flies else "move"
        found.append(Travel(span, float(forward), float(left), speed, gait, taken))
    return found


def _turns(m: Measurements) -> list[Turn]:
    found = []
    for first, last, angle in swings(m.heading, _TURN_REVERSAL):
        if abs(angle) >= _MIN_TURN:
            found.append(Turn(changing_span(m.heading, first, last), angle))
    return found


def _hand_raises(m: Measurements, travels: list[Travel]) -> list[HandRaise]:
    found = []
    walking = np.zeros(m.num_frames, dtype=bool)
    for travel in travels:
        walking[travel.span.slice] = True
    for side, name in enumerate(SIDES):
        height = m.hand[:, side, 1]
        base = float(quantile(height, 0.03))
        if base > _HAND_UP:
            # Up from the first frame to the last: not a rise, but worth saying, and it may wave.
            enter = leave = _HAND_DOWN
        else:
            enter = max(_HAND_UP, base + _HAND_RISE)
            leave = max(_HAND_DOWN, base + _HAND_LEAVE_RISE)
        for span in spans_above(height, enter, leave, round(0.25 * m.fps), round(0.4 * m.fps)):
            part = height[span.slice]
            if walking[span.slice].mean() > 0.5 and part.max() < _HAND_UP_TRAVELLING:
                continue
            top = span.start + int(part.argmax())
            waves, _ = oscillations(m.hand[span.slice, side], m.fps, _WAVE_SWING)
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
                    waves if waves >= _MIN_WAVES else 0,
                    rises=span.start > 0 or bool(part.max() - part[0] > _HAND_RISE),
                    lowers=span.stop < m.num_frames or bool(part.max() - part[-1] > 2 * _HAND_RISE),
                )
            )
    return found


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


def _reaches(m: Measurements, travels: list[Travel], raises: list[HandRaise]) -> list[Reach]:
    found = []
    for side, name in enumerate(SIDES):
        front = m.hand[:, side, 2]
        spans = spans_above(front, _MIN_REACH, _REACH_FROM, 2)
        busy = [travel.span for travel in travels] + [up.span for up in raises if name in up.sides]
        spans = [s for s in spans if s.start > 0 and not any(s.overlap(b) > 0.5 * len(s) for b in busy)]
        if spans:
            found.append(Reach(Span(spans[0].start, spans[-1].stop), name, len(spans)))
    return found


def _bows(m: Measurements) -> list[Bow]:
    usual = max(0.0, float(quantile(m.trunk_pitch, 0.2)))
    found = []
    for span in spans_above(m.trunk_pitch, usual + _MIN_BOW, usual + _BOW_LEAVE, round(0.3 * m.fps), 5):
        part = m.trunk_pitch[span.slice]
        if span.start == 0 or m.hip_height[span.slice].min() < _LOWERED:
            continue
        found.append(Bow(span, float(part.max()), span.stop < m.num_frames))
    return found


def _lowerings(m: Measurements) -> list[Lowering]:
    found = []
    for span in spans_above(-m.hip_height, -_LOWERED, -_UPRIGHT, round(0.25 * m.fps), round(0.3 * m.fps)):
        low = span.start + int(m.hip_height[span.slice].argmin())
        found.append(Lowering(span, _low_pose(m, low), float(m.hip_height[low]), span.stop < m.num_frames))
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


def _leg_raises(m: Measurements, travels: list[Travel], jumps: list[Jump]) -> list[LegRaise]:
    busy = [travel.span for travel in travels] + [jump.span for jump in jumps]
    found: list[LegRaise] = []
    for side, name in enumerate(SIDES):
        spans = spans_above(m.foot_height[:, side], _FOOT_UP, _FOOT_DOWN, 2)
        events: list[LegRaise] = []
        for span in spans:
            if any(span.overlap(b) > 0.5 * len(span) for b in busy) or m.hip_height[span.slice].min() < _LOWERED:
                continue
            top = span.start + int(m.foot_height[span.slice, side].argmax())
            aside, _, front = m.foot[top, side]
            outward = float(aside) * (1.0 if side == 0 else -1.0)
            straight = float(m.knee[span.slice, side].max()) > 140.0 and max(front, outward) > 0.3
            if straight:
                direction = "forward" if front >= outward else "to the side"
                level = "hip height" if m.foot_height[top, side] > 0.75 else "knee height"
                events.append(LegRaise(span, name, True, direction, level, 1))
            elif m.knee_height[span.slice, side].max() > _KNEE_UP:
                events.append(LegRaise(span, name, False, "", "hip height", 1))
        for event in events:
            last = found[-1] if found else None
            if last is not None and (last.side, last.kick, last.direction) == (
                event.side,
                event.kick,
                event.direction,
            ):
                found[-1] = replace(last, span=Span(last.span.start, event.span.stop), count=last.count + 1)
            else:
                found.append(event)
    return found


def _jumps(m: Measurements, travels: list[Travel]) -> list[Jump]:
    flights = spans_above(m.foot_clearance.min(axis=1), _AIRBORNE, _AIRBORNE_LEAVE, 2)
    standing = float(quantile(m.pelvis_height, 0.5))
    found: list[Jump] = []
    for span in flights:
        rise = float(m.pelvis_height[span.slice].max()) - standing
        if rise < _JUMP_RISE or any(t.gait == "run" and t.span.overlap(span) for t in travels):
            continue
        seconds = len(span) / m.fps
        if found and span.start - found[-1].span.stop < 1.2 * m.fps:
            last = found[-1]
            found[-1] = Jump(
                Span(last.span.start, span.stop), max(last.seconds, seconds), max(last.rise, rise), last.count + 1
            )
        else:
            found.append(Jump(span, seconds, rise, 1))
    return found
