"""The kinematic annotator: thoughts about a motion in words, each statement measured on its joints.

A thought is some 25 to 60 words of plain, regular English: the pose at the start, what happens in order of time (with
seconds, metres, degrees and counts), what stays as it is, the pose at the end. Several wordings of each statement are
drawn from the seed and the motion, so a data set does not repeat one sentence; the facts never depend on the draw.
"""

import random
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from datasets_scripts.thoughts.annotate.event_reader import read
from datasets_scripts.thoughts.annotate.event_words import direction, half, salience, with_turns
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
from datasets_scripts.thoughts.annotate.plan_style import write_plan
from datasets_scripts.verify.kinematics import Span, measure
from modeling_unimo.skeletons_unimo import HUMANML3D

MIN_WORDS, MAX_WORDS = 25, 60
STYLES = ("sentences", "plan")
# m/s: slower is slow, faster is quick.
_PACES = {"walk": (0.75, 1.4), "move": (1.2, 1.9), "run": (0.0, 3.3)}  # nobody runs slowly
_PACE_WORDS = ("slowly", "at a steady pace", "quickly")
_GAITS = {"walk": "walks", "run": "runs", "move": "moves"}
_UPRIGHT_PITCH, _LEANING_PITCH = 8.0, 12.0

Choose = Callable[[Sequence[str]], str]


class KinematicAnnotator:
    """Writes thoughts from 3D joints alone; needs no model and no network.

    Args:
        seed: of the wording.
        style: "sentences", or "plan" for the events alone as clauses of a fixed form, in at most half as many words.

    Raises:
        ValueError: there is no such style.

    Examples:

        >>> annotator = KinematicAnnotator(seed=0)
        >>> thoughts = annotator.annotate([features], ["a person waves."])  # features (T, 263) or joints (T, 22, 3)
    """

    def __init__(self, seed: int = 0, style: str = "sentences"):
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
        self.seed, self.style = seed, style

    def annotate(
        self, motions: Sequence[np.ndarray], captions: Sequence[str] | None = None, fps: float = 20.0
    ) -> list[str]:
        """One thought per motion.

        Args:
            motions: raw features (T, 263) or joints (T, 22, 3) in metres, Y up, each of at least two frames.
            captions: as many texts, or None. A caption only picks the wording, never the content: one motion under two
                captions gets the same facts in other words, as a plan in the same.
            fps: frame rate of all motions.

        Returns:
            The thoughts in input order; each depends on its own motion and caption alone.

        Raises:
            ValueError: if a motion has another shape or values that are not finite (the message names its index), or
                if there are not as many captions as motions.
        """
        captions = [""] * len(motions) if captions is None else captions
        if len(captions) != len(motions):
            raise ValueError(
                f"captions must be one per motion, got {len(captions)} captions for {len(motions)} motions"
            )
        thoughts: list[str] = []
        reading: Reading | None = None
        for index, (motion, caption) in enumerate(zip(motions, captions, strict=True)):
            # A clip with several captions comes as the same array several times in a row: measure it once.
            if reading is None or motion is not motions[index - 1]:
                try:
                    reading = read(measure(_joints(motion), fps))
                except ValueError as error:
                    raise ValueError(f"motion {index}: {error}") from error
            thought = write(reading, f"{self.seed}|{caption}")
            thoughts.append(thought if self.style == "sentences" else write_plan(reading, _words(thought) // 2))
        return thoughts


def write(reading: Reading, key: str = "") -> str:
    """Put a reading into words; `key` picks among the wordings.

    Args:
        reading: What was found in a motion.
        key: Any text; the same one gives the same wordings.

    Returns:
        The thought.
    """
    facts = f"{key}|{reading.duration:.2f}|{[type(event).__name__ for event in reading.events]}"
    generator = random.Random(zlib.crc32(facts.encode()))
    writer = _Writer(reading, generator.choice)
    return writer.thought()


def _joints(motion: np.ndarray) -> np.ndarray:
    motion = np.asarray(motion)
    if motion.ndim == 2 and motion.shape[1] == HUMANML3D.feature_dim:
        from modeling_unimo.recovery_unimo import features_to_joints

        return features_to_joints(motion)
    if motion.ndim == 3:
        return motion
    raise ValueError(
        f"expected features (T, {HUMANML3D.feature_dim}) or joints (T, {HUMANML3D.num_joints}, 3), got {motion.shape}"
    )


class _Writer:
    """One thought in the making: the reading, the drawn subject, and the wordings."""

    def __init__(self, reading: Reading, choose: Choose):
        self.reading = reading
        self.choose = choose
        self.subject = choose(("the person", "the body", "the figure"))

    def thought(self) -> str:
        opening, closing = self._opening(), self._closing()
        room = MAX_WORDS - _words(opening)
        told: list[tuple[int, str]] = []
        # The most telling events first, until the words run out; then back into the order of time.
        groups = with_turns(self.reading.events)
        for position in sorted(range(len(groups)), key=lambda i: (-salience(groups[i][0]), i)):
            sentence = self._sentence(groups[position])
            if _words(sentence) <= room:
                told.append((position, sentence))
                room -= _words(sentence)
        # What happened comes before how it ended, and both before how long a jump took.
        ending = [closing] if _words(closing) <= room else []
        room -= sum(map(_words, ending))
        sentences = []
        for position, sentence in sorted(told):
            aloft = self._aloft(groups[position][0])
            if aloft and _words(aloft) <= room:
                sentence = f"{sentence[:-1]}, {aloft}."
                room -= _words(aloft)
            sentences.append(sentence)
        count = MAX_WORDS - room
        for detail in self._details():
            if count >= MIN_WORDS and (len(sentences) > 1 or count >= MIN_WORDS + 8):
                break
            if count + _words(detail) <= MAX_WORDS:
                sentences.append(detail)
                count += _words(detail)
        return " ".join([opening, *sentences, *ending])

    # -- structure ----------------------------------------------------------------------------------------------

    def _sentence(self, group: tuple[Event, list[Turn]]) -> str:
        event, turns = group
        match event:
            case Travel():
                text = self._travel(event, turns)
            case Turn():
                text = f"{self._when(event.span)} {self.subject} turns {_angle(event.angle)} in place"
            case HandRaise():
                text = self._hand_raise(event)
            case Reach():
                act = self.choose(("punches", "is thrust")) if event.thrust else "reaches"
                text = f"{self._when(event.span)} the {event.side} hand {act} forward{_times(event.count)}"
            case Clap():
                text = f"{self._when(event.span)} both hands come together{_times(event.count)}"
            case Circle():
                text = self._circle(event)
            case Twist():
                text = f"{self._when(event.span)} the upper body turns to the {event.side}"
                text += f" and back by {self._by(event.span.stop)[3:]}" if event.returns else ""
            case Lean():
                text = f"{self._when(event.span)} the trunk leans to the {event.side} about {_degrees(event.angle)}"
                text += _times(event.count)
            case Bow():
                text = self._bow(event)
            case Lowering():
                text = self._lowering(event)
            case Rise():
                text = f"{self._when(event.span)} {self.subject} stands up"
            case LegRaise():
                text = self._leg_raise(event)
            case March():
                text = f"{self._when(event.span)} {self.subject} takes {event.count} steps in place, lifting the knees"
            case Jump():
                text = self._jump(event)
        return text + "."

    # -- times --------------------------------------------------------------------------------------------------

    def _when(self, span: Span) -> str:
        start = half(self.reading.seconds(span.start))
        if start == 0:
            return self.choose(("right away", "at the start"))
        return self.choose((f"at {_seconds(start)}", f"after {_seconds(start)}"))

    def _range(self, span: Span) -> str:
        first = half(self.reading.seconds(span.start))
        last = half(self.reading.seconds(span.stop))
        if first == 0 and last >= half(self.reading.duration) - 0.5:
            return f"for {_seconds(half(self.reading.duration))}"
        if last - first < 0.5:
            return f"at {_seconds(first)}"
        return f"from {first:g} to {_seconds(last)}"

    def _by(self, frame: int) -> str:
        return f"by {_seconds(max(0.5, half(self.reading.seconds(frame))))}"

    # -- statements ---------------------------------------------------------------------------------------------

    def _opening(self) -> str:
        verb = self.choose(("starts", "begins"))
        if self._moving_at_start():
            return f"{self.subject} {verb} {self.reading.start.body}, already moving."
        return f"{self.subject} {verb} {_pose(self.reading.start)}."

    def _closing(self) -> str:
        frames = round(self.reading.duration * self.reading.fps)
        if any(isinstance(event, Travel) and event.span.stop == frames for event in self.reading.events):
            return self.choose((f"at the end {self.subject} is still moving.", f"{self.subject} ends still moving."))
        if self.reading.end == self.reading.start and not self._moving_at_start():
            return self.choose((f"{self.subject} ends in the same pose.", "the last pose is like the first."))
        pose = _pose(self.reading.end)
        return self.choose((f"at the end {self.subject} is {pose}.", f"{self.subject} ends {pose}."))

    def _moving_at_start(self) -> bool:
        return any(isinstance(event, Travel) and event.span.start == 0 for event in self.reading.events)

    def _travel(self, event: Travel, turns: list[Turn]) -> str:
        slow, quick = _PACES[event.gait]
        pace = _PACE_WORDS[int(event.speed > slow) + int(event.speed > quick)]
        text = (
            f"{self._range(event.span)} {self.subject} {_GAITS[event.gait]} {direction(event)} "
            f"about {_meters(event.distance)} {pace}"
        )
        biggest = sorted(sorted(turns, key=lambda turn: -abs(turn.angle))[:2], key=lambda turn: turn.span.start)
        said = [f"{_angle(turn.angle)} {self._range(turn.span)}" for turn in biggest]
        return f"{text}, turning {' and '.join(said)}" if said else text

    def _hand_raise(self, event: HandRaise) -> str:
        both = len(event.sides) == 2
        hands = "both hands" if both else f"the {event.sides[0]} hand"
        if len(set(event.levels)) == 1:
            height = _level(event.levels[0], event.outward[0] if len(set(event.outward)) == 1 else "")
            goes = height if event.levels[0] == "above the head" else f"to {height}"
        else:
            pairs = [
                f"the {side} {level if level == 'above the head' else f'to {level}'}"
                for side, level in zip(event.sides, event.levels, strict=True)
            ]
            goes = f"up, {pairs[0]} and {pairs[1]}"
        waves = f"{'wave' if both else 'waves'} about {event.waves} times" if event.waves else ""
        stay = "stay up" if both else "stays up"
        lowered = f"{'are' if both else 'is'} lowered {self._by(event.span.stop)}"
        if event.rises:
            verb = self.choose(("rise", "go", "move") if both else ("rises", "goes", "moves"))
            parts = [f"{self._when(event.span)} {hands} {verb} {goes}{_times(event.count)}", waves]
            parts.append(lowered if event.lowers else "" if waves else stay)
        else:
            # How high is in the opening already.
            parts = [f"{hands} {stay}", waves, lowered if event.lowers else ""]
        parts = [part for part in parts if part]
        return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]

    def _bow(self, event: Bow) -> str:
        trunk = self.choose(("trunk bends", "upper body bends"))
        text = f"{self._when(event.span)} the {trunk} forward about {_degrees(event.angle)}"
        return f"{text} and comes up {self._by(event.span.stop)}" if event.returns else text

    def _lowering(self, event: Lowering) -> str:
        if event.span.start == 0 and event.pose not in ("lunging", "reaching down"):
            text = f"{self._when(event.span)} {self.subject} is {event.pose}"
        else:
            act = {
                "crouching": "bends the knees into a crouch",
                "squatting": "goes down into a squat",
                "lunging": f"lunges forward with the {event.side} leg",
                "reaching down": f"bends down and reaches to the floor with {_hands(event.side)}",
                "sitting": "sits down",
                "kneeling": "kneels down",
                "lying": "lies down",
            }[event.pose]
            text = f"{self._when(event.span)} {self.subject} {act}{_times(event.count)}"
        # Whoever sits, kneels or lies stays so for a while: getting up is an event of its own.
        if not event.returns or event.pose in ("sitting", "kneeling", "lying"):
            return text
        return f"{text} and is up again {self._by(event.span.stop)}"

    def _leg_raise(self, event: LegRaise) -> str:
        when = self._when(event.span)
        if event.kick:
            return f"{when} the {event.side} leg kicks {event.direction} to {event.level}{_times(event.count)}"
        return f"{when} the {event.side} knee lifts to {event.level}{_times(event.count)}"

    def _jump(self, event: Jump) -> str:
        when = self._when(event.span)
        if event.spread:
            jacks = "jumping jacks" if event.count > 1 else "jumping jack"
            return f"{when} {self.subject} does {event.count if event.count > 1 else 'a'} {jacks}"
        if event.foot:
            return f"{when} {self.subject} hops on the {event.foot} foot{_times(event.count)}"
        if event.forward:
            each = " each" if event.count > 1 else ""
            return f"{when} {self.subject} jumps forward{_times(event.count)}, about {_meters(event.forward)}{each}"
        height = max(5, 5 * round(20 * event.rise))
        return f"{when} {self.subject} jumps{_times(event.count)}, rising about {height} centimeters"

    def _aloft(self, event: Event) -> str:
        """How long the jumps of an event are in the air; empty for other events and where it is not known."""
        if not isinstance(event, Jump) or not event.airborne:
            return ""
        where = self.choose(("in the air", "off the ground"))
        return f"{where} {_airborne(event.airborne)}{' each' if event.count > 1 else ''}"

    def _circle(self, event: Circle) -> str:
        both = len(event.sides) == 2
        arms = "both arms circle" if both else f"the {event.sides[0]} arm circles"
        way = "backward" if event.backward else "forward"
        return f"{self._when(event.span)} {arms} {way}{_times(event.count)}"

    def _details(self) -> list[str]:
        """What else was measured, the most characteristic first: used where the events leave room."""
        reading = self.reading
        details = []
        bends = any(isinstance(event, Bow | Lowering) for event in reading.events)
        if reading.trunk_pitch > _LEANING_PITCH and not bends:
            details.append(f"the trunk leans forward about {_degrees(reading.trunk_pitch)}.")
        travels = any(isinstance(event, Travel) for event in reading.events)
        if travels:
            swing = "the arms swing" if reading.arm_swing else "the arms hardly swing"
            details.append(f"{swing} with {'bent' if reading.elbows_bent else 'loose'} elbows.")
        if reading.feet_planted:
            details.append("the feet stay in place.")
        idle = [side for side, used in zip(("left", "right"), reading.hands_used, strict=True) if not used]
        levels = dict(zip(("left", "right"), reading.start.hands, strict=True))
        down = [side for side in idle if levels[side] == "down"]
        if not travels and len(down) == 2:
            details.append("both arms stay down.")
        elif not travels and len(down) == 1:
            details.append(f"the {down[0]} arm stays down.")
        if abs(reading.trunk_pitch) < _UPRIGHT_PITCH and reading.trunk_steady and not bends:
            details.append("the trunk stays upright.")
        details.append(f"the whole motion takes about {_seconds(max(0.5, half(reading.duration)))}.")
        if reading.still:
            details.insert(0, f"{self.subject} keeps still.")
        return details


def _pose(posture: Posture) -> str:
    body = posture.body
    body = f"standing {body}" if body in ("upright", "with bent knees") else body
    left, right = posture.hands
    if left == right:
        hands = "both arms down" if left == "down" else f"both hands {_at(left)}"
    else:
        hands = " and ".join(
            f"the {side} {'arm down' if level == 'down' else f'hand {_at(level)}'}"
            for side, level in (("left", left), ("right", right))
        )
    return f"{body}, {hands}" if body.startswith("standing with") else f"{body} with {hands}"


def _at(level: str) -> str:
    return level if level == "above the head" else f"at {level}"


def _level(level: str, where: str) -> str:
    return f"{level} {where}" if where else level


def _hands(side: str) -> str:
    return "both hands" if side == "both" else f"the {side} hand"


def _times(count: int) -> str:
    return f" {count} times" if count > 1 else ""


def _seconds(value: float) -> str:
    return f"{value:g} second" if value == 1 else f"{value:g} seconds"


def _airborne(seconds: Sequence[float]) -> str:
    """How long jumps last, to a tenth: one figure where all take about as long."""
    if max(seconds) - min(seconds) < 0.15:
        return f"for about {_seconds(round(sum(seconds) / len(seconds), 1))}"
    return f"for {round(min(seconds), 1):g} to {_seconds(round(max(seconds), 1))}"


def _meters(value: float) -> str:
    if value < 0.75:
        return "half a meter"
    rounded = half(value)
    return f"{rounded:g} meter" if rounded == 1 else f"{rounded:g} meters"


def _degrees(value: float) -> str:
    return f"{max(5, 5 * round(value / 5))} degrees"


def _angle(angle: float) -> str:
    side = "left" if angle > 0 else "right"
    turns = abs(angle) / 360.0
    if turns > 0.92:
        rounded = half(turns)
        return f"about {rounded:g} full turn{'s' if rounded != 1 else ''} to the {side}"
    return f"about {15 * round(abs(angle) / 15)} degrees to the {side}"


def _words(text: str) -> int:
    return len(text.split())
