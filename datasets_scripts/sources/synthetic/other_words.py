"""Other words for the actions of synthetic clips: verbs and objects that people choose, and titles.

Placeholders are those of `language.filled`. A wording with conditions is for segments whose attributes have one of the
values named.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from datasets_scripts.sources.synthetic.motion import Segment


@dataclass(frozen=True)
class Wording:
    """A wording of an action, in the third person of the present.

    Attributes:
        text: With placeholders.
        where: Values that each attribute of the segment may have.
    """

    text: str
    where: Mapping[str, tuple[object, ...]]

    def fits(self, segment: Segment) -> bool:
        """Whether the wording tells a segment truly.

        Args:
            segment: An action of a plan.

        Returns:
            Whether it does.
        """
        return all(getattr(segment, name) in values for name, values in self.where.items())


def _worded(text: str, **where: object) -> Wording:
    return Wording(text, {name: value if isinstance(value, tuple) else (value,) for name, value in where.items()})


_NOT_FAST = ("slow", "normal")

OTHER_WORDS: Mapping[str, tuple[Wording, ...]] = {
    "walk": (
        _worded("strolls forward", speed=_NOT_FAST),
        _worded("strides forward", speed=("normal", "fast")),
        _worded("walks straight ahead"),
        _worded("walks straight forward for {n} steps"),
        _worded("walks in a straight line"),
        _worded("walks forward in a straight line"),
        _worded("steps forward {n} times"),
        _worded("moves forward {n} steps"),
        _worded("goes forward {n} steps"),
        _worded("walks ahead"),
        _worded("walks forward at a steady pace", speed="normal"),
        _worded("walks forward at a normal pace", speed="normal"),
        _worded("walks at a moderate pace", speed="normal"),
        _worded("walks forward at a brisk pace", speed="fast"),
        _worded("walks forward at a slow pace", speed="slow"),
    ),
    "walk_back": (
        _worded("walks in reverse"),
        _worded("steps back {n} times"),
        _worded("moves backward {n} steps"),
        _worded("backs up {n} steps"),
        _worded("goes backward"),
        _worded("walks straight backward"),
    ),
    "run": (
        _worded("jogs forward"),
        _worded("jogs {n} steps"),
        _worded("jogs"),
        _worded("sprints forward"),
        _worded("dashes forward"),
        _worded("runs straight ahead"),
        _worded("runs in a straight line"),
        _worded("moves forward at a jog"),
    ),
    "curve": (
        _worded("walks in a curved path to the {side}"),
        _worded("curves to the {side}"),
        _worded("walks in a semicircle to the {side}", angle=180),
        _worded("walks in an arc to the {side}"),
        _worded("walks along a curve to the {side}"),
        _worded("strolls in a curve to the {side}", speed=_NOT_FAST),
        _worded("walks half of a circle to the {side}", angle=180),
        _worded("walks around in a half circle", angle=180),
    ),
    "sidestep": (
        _worded("shuffles to the {side}"),
        _worded("moves sideways to the {side}"),
        _worded("moves to the {side}"),
        _worded("walks sideways to the {side}"),
        _worded("shuffles sideways to the {side}"),
        _worded("steps to the {side} {t}"),
        _worded("takes {n} step{p} to the {side}"),
        _worded("sidesteps {side} {t}"),
    ),
    "turn": (
        _worded("turns around", angle=(180, 360)),
        _worded("turns around to the {side}", angle=180),
        _worded("spins around", angle=360),
        _worded("spins around to the {side}", angle=360),
        _worded("spins in a full circle", angle=360),
        _worded("rotates to the {side}"),
        _worded("pivots to the {side}", angle=(90, 180)),
        _worded("turns {side}"),
        _worded("turns slightly {side}", angle=45),
        _worded("turns a little to the {side}", angle=45),
        _worded("rotates a full circle to the {side}", angle=360),
        _worded("rotates in place to the {side}"),
        _worded("turns on the spot to the {side}"),
        _worded("faces {side}", angle=90),
    ),
    "jump": (
        _worded("jumps in the air {t}"),
        _worded("jumps into the air {t}"),
        _worded("jumps up and down {t}", count=(2, 3)),
        _worded("jumps in place {t}"),
        _worded("jumps on the spot {t}"),
        _worded("jumps high in the air {t}", size="large"),
        _worded("leaps into the air {t}", size=("", "large")),
        _worded("leaps up {t}", size=("", "large")),
        _worded("hops up and down", count=(2, 3), size=("", "small")),
        _worded("jumps with both feet {t}"),
        _worded("does {n} jump{p} in place"),
        _worded("jumps and lands on both feet", count=1),
        _worded("does a small jump", count=1, size="small"),
    ),
    "jump_forward": (
        _worded("hops forward {t}"),
        _worded("leaps ahead {t}"),
        _worded("jumps ahead {t}"),
        _worded("hops forward with both feet {t}"),
        _worded("does {n} forward jump{p}"),
        _worded("takes {n} leap{p} forward"),
    ),
    "hop": (
        _worded("hops on the {side} leg {t}"),
        _worded("jumps on the {side} foot {t}"),
        _worded("hops on one leg {t}"),
        _worded("bounces on the {side} foot {t}"),
        _worded("hops up and down on the {side} leg", count=(2, 3, 4)),
        _worded("stands on the {side} leg and hops {t}"),
    ),
    "march": (
        _worded("walks in place"),
        _worded("walks on the spot for {n} steps"),
        _worded("marches on the spot"),
        _worded("steps in place {n} times"),
        _worded("lifts the knees and marches in place"),
        _worded("marches in place with high knees"),
    ),
    "knee": (
        _worded("brings the {side} knee up {t}"),
        _worded("lifts the {side} knee up {t}"),
        _worded("raises the {side} leg with a bent knee {t}"),
        _worded("lifts the {side} leg {t}"),
        _worded("lifts the {side} knee to the waist {t}"),
        _worded("picks up the {side} foot {t}"),
        _worded("balances on the {far} leg with the {side} knee up", count=1),
        _worded("stands on the {far} leg and lifts the {side} knee", count=1),
    ),
    "kick": (
        _worded("kicks the {side} leg {t}"),
        _worded("kicks with the {side} foot {t}"),
        _worded("kicks the {side} leg forward {t}", direction="front"),
        _worded("kicks forward with the {side} foot {t}", direction="front"),
        _worded("kicks something with the {side} foot", direction="front", count=1),
        _worded("kicks a ball with the {side} foot", direction="front", count=1),
        _worded("kicks out to the side with the {side} leg {t}", direction="side"),
        _worded("swings the {side} leg in a kick", count=1),
        _worded("throws {n} kick{p} with the {side} leg"),
        _worded("does a high kick with the {side} leg", size="large", count=1),
        _worded("kicks a soccer ball with the {side} foot", direction="front", count=1),
        _worded("makes a kicking motion with the {side} leg", count=1),
    ),
    "lunge": (
        _worded("steps forward into a lunge with the {side} leg", count=1),
        _worded("does a {side} lunge", count=1),
        _worded("lunges forward with the {side} foot {t}"),
        _worded("lunges forward"),
        _worded("performs {n} lunge{p} with the {side} leg"),
    ),
    "squat": (
        _worded("bends the knees and squats {t}"),
        _worded("crouches down {t}", size=("", "large")),
        _worded("crouches", size=("", "large"), count=1),
        _worded("performs {n} squat{p}"),
        _worded("bends both knees", count=1),
        _worded("squats down and stands back up {t}"),
        _worded("lowers into a squat {t}"),
        _worded("does {n} knee bend{p}"),
    ),
    "sit": (
        _worded("sits on a chair"),
        _worded("sits down on a chair"),
        _worded("sits down on something"),
        _worded("has a seat"),
        _worded("goes to sit down"),
    ),
    "stand": (
        _worded("stands back up"),
        _worded("gets up"),
        _worded("gets up from the chair"),
        _worded("rises from the chair"),
        _worded("stands up straight"),
        _worded("gets back up"),
    ),
    "wave": (
        _worded("waves"),
        _worded("waves hello with {hand}"),
        _worded("waves {arm}"),
        _worded("raises {arm} and waves"),
        _worded("lifts {hand} up and waves {t}"),
        _worded("waves goodbye with {hand}"),
        _worded("waves at someone with {hand}"),
        _worded("greets someone with {hand}"),
        _worded("waves {hand} in the air"),
        _worded("waves {hand} back and forth"),
        _worded("makes a waving motion with {hand}"),
    ),
    "raise": (
        _worded("raises {hand} up", direction="up"),
        _worded("raises {arm} above the head", direction="up"),
        _worded("lifts {arm} over the head", direction="up"),
        _worded("reaches up with {arm}", direction="up"),
        _worded("stretches {arm} up in the air", direction="up"),
        _worded("puts {arm} up in the air", direction="up"),
        _worded("raises {arm} up high", direction="up"),
        _worded("stretches {arm} out in front", direction="front"),
        _worded("raises {arm} straight out in front", direction="front"),
        _worded("reaches forward with {hand}", direction="front"),
        _worded("extends {arm} forward", direction="front"),
        _worded("holds {arm} out in front", direction="front"),
        _worded("lifts {arm} to shoulder height", direction=("front", "side")),
        _worded("holds {arm} out to the side", direction="side"),
        _worded("stretches {arm} out to the side", direction="side"),
        _worded("extends {arm} sideways", direction="side"),
        _worded("spreads both arms out to the sides", direction="side", side="both"),
        _worded("holds outstretched arms to the sides", direction="side", side="both"),
        _worded("holds {arm} fully extended to the side", direction="side"),
    ),
    "punch": (
        _worded("punches the air with the {side} hand {t}"),
        _worded("jabs with the {side} hand {t}"),
        _worded("throws {n} {side} punch{es}"),
        _worded("punches forward with the {side} arm {t}"),
        _worded("strikes with the {side} fist {t}"),
        _worded("punches with the {side} fist {t}"),
        _worded("does {n} punch{es} with the {side} arm"),
    ),
    "clap": (
        _worded("claps the hands"),
        _worded("claps the hands together {t}"),
        _worded("claps in front of the chest {t}"),
        _worded("applauds"),
        _worded("claps both hands together"),
        _worded("brings both hands together and claps {t}"),
    ),
    "bow": (
        _worded("bends forward {adv}"),
        _worded("bends over {adv}"),
        _worded("bends forward at the waist"),
        _worded("bends at the waist"),
        _worded("leans forward {adv}"),
        _worded("bends down {adv}"),
        _worded("makes a {adj}bow"),
        _worded("bends the upper body forward"),
    ),
    "throw": (
        _worded("throws a ball with the {side} hand {t}"),
        _worded("tosses something with the {side} hand {t}"),
        _worded("throws an object with the {side} hand {t}"),
        _worded("throws something forward with the {side} arm {t}"),
        _worded("throws a ball"),
        _worded("tosses a ball with the {side} hand"),
        _worded("throws a baseball with the {side} arm {t}"),
        _worded("makes a throwing motion with the {side} arm {t}"),
    ),
    "look": (
        _worded("turns the head {side}"),
        _worded("glances to the {side}"),
        _worded("looks {side}"),
        _worded("looks over the {side} shoulder"),
        _worded("looks around to the {side}"),
    ),
    "lean": (
        _worded("leans over to the {side} {t}"),
        _worded("tilts to the {side} {t}"),
        _worded("bends sideways to the {side} {t}"),
        _worded("bends the upper body to the {side} {t}"),
        _worded("stretches to the {side} {t}"),
        _worded("leans {side}"),
        _worded("does {n} {side} side bend{p}"),
    ),
    "jack": (
        _worded("jumps and raises both arms {t}"),
        _worded("does a few jumping jacks", count=(3, 4)),
        _worded("does some jumping jacks"),
        _worded("jumps with arms and legs apart {t}"),
        _worded("completes {n} jumping jack{p}"),
        _worded("exercises by doing jumping jacks"),
    ),
    "circle": (
        _worded("rotates {arm} {way} {t}"),
        _worded("moves {arm} in a circle"),
        _worded("moves {arm} in {n} circle{p} {way}"),
        _worded("swings {arm} around {t}"),
        _worded("does {n} {way} arm circle{p}"),
        _worded("rotates {arm} in circles"),
        _worded("swings {arm} {way} in a circle", count=1),
    ),
    "pick": (
        _worded("picks up something with the {side} hand"),
        _worded("picks something up off the ground"),
        _worded("bends down to pick something up"),
        _worded("bends over and picks up an object with the {side} hand"),
        _worded("reaches down to the floor with the {side} hand"),
        _worded("bends down to touch the floor with the {side} hand"),
        _worded("grabs something from the ground with the {side} hand"),
        _worded("picks up a box from the floor"),
        _worded("picks an item up from the ground"),
        _worded("leans down and picks something up"),
    ),
}

# What stands in a list of trials or over a picture: "slow walk", "two jumps", "left kick".
TITLES: Mapping[str, tuple[str, ...]] = {
    "walk": ("{pace}walk", "{pace}walk forward", "{pace}forward walk", "{n} {pace}steps forward", "{pace}walking"),
    "walk_back": ("{pace}backward walk", "{pace}walk backward", "{n} {pace}steps backward", "walking backward"),
    "run": ("run", "run forward", "jog", "{n} running steps", "running"),
    "curve": ("{pace}walk in a curve to the {side}", "curve to the {side}", "{pace}walk in {arc}"),
    "sidestep": ("{n} side step{p} to the {side}", "sidestep {side}", "{pace}side step to the {side}"),
    "turn": ("{turn} turn to the {side}", "turn {side}", "turning {side}", "{side} turn"),
    "jump": ("{adj}jump", "{n} {adj}jump{p}", "jump up", "jumping"),
    "jump_forward": ("forward jump", "{n} forward jump{p}", "jump forward", "long jump"),
    "hop": ("{n} hop{p} on the {side} foot", "hop on the {side} leg", "hop", "hopping on one foot"),
    "march": ("{pace}march in place", "march on the spot", "marching"),
    "knee": ("{side} knee raise", "{n} {side} knee raise{p}", "{side} knee up"),
    "kick": (
        "{adj}kick",
        "{adj}{kind} kick",
        "{side} leg kick",
        "{n} kick{p} with the {side} leg",
        "kick ball",
        "soccer kick",
    ),
    "lunge": ("lunge", "{side} leg lunge", "{n} lunge{p} with the {side} leg", "lunge forward"),
    "squat": ("{adj}squat", "{n} {adj}squat{p}", "squatting"),
    "sit": ("sit", "sit down", "sitting down"),
    "stand": ("stand up", "get up", "standing up"),
    "wave": ("wave", "wave with {hand}", "waving {hand}"),
    "raise": ("raise {arm} {toward}", "raising {arm} {toward}", "arm raise {toward}"),
    "punch": ("{n} {side} punch{es}", "punch", "punching with the {side} hand", "boxing"),
    "clap": ("clap", "{n} clap{p}", "clapping", "hand clapping"),
    "bow": ("{adj}bow", "bend forward", "bowing"),
    "throw": ("throw", "throw ball", "{side} hand throw", "throwing something"),
    "look": ("look {side}", "look to the {side}", "looking {side}"),
    "lean": ("side bend to the {side}", "lean {side}", "{n} side bend{p} to the {side}"),
    "jack": ("jumping jacks", "{n} jumping jack{p}"),
    "circle": ("arm circles", "{n} {way} arm circle{p}", "circling {arm} {way}"),
    "pick": ("pick up object", "pick something up", "pick up something from the floor", "picking something up"),
}
