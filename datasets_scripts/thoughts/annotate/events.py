"""The events that the kinematic annotator tells of: what each kind of movement states, and when it happened.

Lengths are metres or, where a class says so, shares of the body's own limbs; angles are degrees.
"""

from dataclasses import dataclass

import numpy as np

from datasets_scripts.verify.kinematics import Span


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
    """A hand that is put out forward `count` times; `thrust` when a bent arm is straightened fast, as in a blow."""

    span: Span
    side: str
    count: int
    thrust: bool = False


@dataclass(frozen=True)
class Clap:
    """The hands come together before the body, `count` times."""

    span: Span
    count: int


@dataclass(frozen=True)
class Circle:
    """A straight arm goes all around its shoulder, `count` times; backward ones go up in front."""

    span: Span
    sides: tuple[str, ...]
    backward: bool
    count: int


@dataclass(frozen=True)
class Twist:
    """The upper body turns to `side` over hips that stay as they are, and back if `returns`."""

    span: Span
    side: str
    returns: bool


@dataclass(frozen=True)
class Lean:
    """The trunk leans over to `side` by `angle` degrees, `count` times."""

    span: Span
    side: str
    angle: float
    count: int


@dataclass(frozen=True)
class Bow:
    """The trunk pitches forward by `angle` degrees from the vertical; `returns` when it comes up again."""

    span: Span
    angle: float
    returns: bool


@dataclass(frozen=True)
class Lowering:
    """The hips go down; `pose` is crouching, squatting, lunging, reaching down, sitting, kneeling or lying.

    `share` of the standing hip height remains; `returns` when the hips come up again. `side` is the foot in front of a
    lunge, the hand (or both) that gets to the floor.
    """

    span: Span
    pose: str
    share: float
    returns: bool
    side: str = ""
    count: int = 1


@dataclass(frozen=True)
class Rise:
    """The hips come up again from a seat, from the knees or from lying."""

    span: Span


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
class March:
    """The knees are lifted in turn on the spot, `count` lifts in all."""

    span: Span
    count: int


@dataclass(frozen=True)
class Jump:
    """Off the ground and back, `count` times; `rise` of the pelvis and `forward` per jump in metres.

    `foot` is the side that hops while the other foot stays up, empty where both leave the ground; `spread` when the
    feet part and the arms go up with it. `airborne` are the seconds off the ground of each jump in turn, but for those
    that the clip cuts off and those with `spread`.
    """

    span: Span
    rise: float
    count: int
    forward: float = 0.0
    foot: str = ""
    spread: bool = False
    airborne: tuple[float, ...] = ()


Event = (
    Travel | Turn | HandRaise | Reach | Clap | Circle | Twist | Lean | Bow | Lowering | Rise | LegRaise | March | Jump
)


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
    trunk_steady: bool
    elbows_bent: bool
    arm_swing: bool
    still: bool
    hands_used: tuple[bool, bool]
    feet_planted: bool

    def seconds(self, frame: int) -> float:
        """The time of a frame.

        Args:
            frame: Of the clip.

        Returns:
            Seconds from its start.
        """
        return frame / self.fps
