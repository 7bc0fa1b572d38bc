"""The words of movement that the verifier reads: phrases, what they are, and what they mean.

A phrase maps to (category, value). Categories: `act` (a movement), `part` (of the body), `side`, `way` (direction),
`level` (height), `pace`, `unit`, `number`, `times` (a count by itself), `link` (between clauses), `not`, `stay`,
`when` (start or end), `pose`, `again` (the same movement as before), `vague`, `light` (a verb that says nothing).
"""

_ES = ("s", "sh", "ch", "x", "z")


def _forms(word: str) -> list[str]:
    """A regular verb's or noun's inflections."""
    if word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        return [word, f"{word}s", f"{word}d", f"{word[:-1]}ing"]
    if word.endswith("y") and word[-2] not in "aeiou":
        return [word, f"{word[:-1]}ies", f"{word[:-1]}ied", f"{word}ing"]
    forms = [word, f"{word}es" if word.endswith(_ES) else f"{word}s", f"{word}ed", f"{word}ing"]
    if len(word) > 2 and word[-1] not in "aeiouwxys" and word[-2] in "aeiou" and word[-3] not in "aeiou":
        forms += [f"{word}{word[-1]}ed", f"{word}{word[-1]}ing"]
    return forms


_ACTS = {
    "walk": "walk stroll stride amble saunter trudge wander tiptoe creep sneak limp strut pace waddle plod shamble",
    "shuffle": "shuffle stagger stumble hobble stomp skip prance gallop",
    "run": "run jog sprint dash race",
    "go": "move go travel advance approach return retreat come drift charge rush",
    "step": "step footstep",
    "sidestep": "sidestep",
    "march": "march",
    "turn": "turn rotate rotation revolution spin pivot revolve twirl swivel whirl",
    "curve": "curve arc loop semicircle",
    "jump": "jump leap vault spring",
    "bounce": "bounce",
    "hop": "hop",
    "dribble": "dribble",
    "kick": "kick punt",
    "lunge": "lunge",
    "squat": "squat",
    "invert": "cartwheel handstand somersault",
    "crawl": "crawl",
    "balance": "balance",
    "low": "crouch duck hunker",
    "kneel": "kneel genuflect",
    "sit": "sit",
    "lie": "lie",
    "lift": "raise lift rise elevate hoist",
    "lower": "lower drop descend",
    "hold": "hold keep",
    "extend": "extend stretch reach straighten put place bring push press shove thrust outstretch stick spread",
    "point": "point",
    "swing": "swing",
    "bend": "bend stoop hunch",
    "lean": "lean tilt tip sway",
    "bow": "bow",
    "circle": "circle windmill",
    "wave": "wave",
    "punch": "punch jab boxing strike uppercut",
    "clap": "clap applaud",
    "throw": "throw toss hurl lob fling pitch",
    "look": "look glance gaze stare peer",
    "pick": "pick grab collect",
    "touch": "touch tap",
    "meet": "meet",
    # Read, but nothing that joints could settle.
    "other": "dance gesture guide call respond slash climb swim cross scratch wipe drink eat play shake nod "
    "wobble twist swipe hit chop pull pour open close exercise stop pause act pretend mimic motion clean "
    "wash catch swoop greet beckon fight block dodge shrug rub stir relax shift bat stack interact dig drag "
    "carry brush pat clasp fall trip slide wiggle flap roll sweep rest fold fence squeeze set wrap "
    "strum talk signal salute flex rock shimmy crouch-walk skate row swat slap scrub knock adjust check "
    "tie unscrew screw smoke laugh cry juggle sneeze cough curtsy pirouette twerk",
}
_IRREGULAR = {
    "run": "ran running",
    "go": "goes going gone went came coming",
    "sit": "sat sitting",
    "squat": "squatted squatting",
    "lie": "lying lies lay lays",
    "lift": "rose risen rising",
    "kneel": "knelt kneels",
    "lower": "sank sinking sinks",
    "hold": "held kept",
    "swing": "swung",
    "bend": "bent",
    "throw": "threw thrown",
    "extend": "brought puts putting stuck spread spreading",
    "meet": "met",
    "lean": "swayed",
    "strike": "struck",
    "other": "hits hitting shook danced fell drank ate swam swum caught fought slid slept sword swordplay "
    "swaying ballet",
}
# Phrases, longest first where they share words.
_ACT_PHRASES = {
    "jack": "jumping jack|jumping jacks|star jump|star jumps",
    "sidestep": "side step|side steps|side stepping|side stepped|side shuffle|side shuffles",
    "sit": "take a seat|takes a seat|took a seat|taking a seat|sit down|sits down|sat down|sitting down|have a seat|"
    "has a seat|had a seat|having a seat",
    "stand": "stand up|stands up|stood up|standing up|get up|gets up|got up|getting up|gets to his feet|"
    "gets to her feet|gets to their feet|get to their feet|back to standing|to standing|returns to standing|"
    "returns to a standing|stand back up|stands back up|get back up|gets back up|back up to standing|"
    "rise to standing|rises to standing|up from the seat|from the seat|from a seat|from the chair",
    "bow": "takes a bow|take a bow",
    "look": "turn the head|turns the head|turns his head|turns her head|turns their head|head turns|looks around",
    "lean": "side bend|side bends",
    "knee": "knee raise|knee raises|knee lift|knee lifts|high knee|high knees",
    "pick": "pick up|picks up|picked up|picking up",
    "kneel": "on one knee|to one knee|kneeling down",
    "low": "crouching down|crouched down|crouches down|crouch down",
    "lie": "lie down|lies down|lay down|lays down|lying down",
    "still": "keep still|keeps still|stand still|stands still|standing still|stay still|stays still|remains still|"
    "does not move|do not move|motionless|stays in one spot|holds still",
    "end": "ends at|end at|finishes at|ending at",
    "face": "facing|faces|face towards|faced",
    "circle": "arm circle|arm circles",
    "turn": "u turn|about face",
    "squat": "deep knee bend|knee bend|knee bends|squatting down",
    "march": "marching steps|marching step",
    "go": "still moving|already moving",
}
_PARTS = {
    "arm": "arm hand wrist palm",
    "elbow": "elbow forearm finger knuckle fist",
    "leg": "leg foot ankle shin thigh heel toe",
    "knee": "knee",
    "hip": "hip pelvis waist",
    "trunk": "trunk torso chest spine",
    "shoulder": "shoulder",
    "head": "head face eye gaze chin neck mouth ear nose forehead hair cheek",
    "body": "body person figure man woman character individual he she someone somebody guy lady boy girl "
    "performer subject actor stickman human sim toon being dancer player robot character child kid adult mannequin "
    "avatar model dummy animation boxer ballerina gymnast athlete",
}
_PLURALS = {"foot": "feet", "body": "bodies", "man": "men", "woman": "women"}
_WAYS = {
    "forward": "forward|forwards|ahead|onward|onwards",
    "front": "in front|to the front|frontward|front|in front of him|in front of her|in front of them",
    "backward": "backward|backwards|rearward|in reverse",
    "back": "back|rear|behind",
    "sideways": "sideways|sideway|laterally|sideward|to one side|to the side|"
    "out to the side|to the sides|out to the sides|to either side|side|lateral|out to his side|out to her side|"
    "out to their side|out to his sides|out to her sides|out to their sides|on either side|on both sides",
    "to side": "to his side|to her side|to their side|to its side|to his sides|to her sides|to their sides|"
    "to its sides|to each side",
    "up": "up|up and down|upward|upwards|upright|skyward|raised",
    "overhead": "overhead|above the head|above his head|above her head|above their head|over the head|over his head|"
    "over her head|over their head|above head|over head|above the heads|above their heads|toward the ceiling|"
    "toward the sky|high above",
    "down": "down|downward|downwards|lowered",
    "in place": "in place|on the spot|in one spot|in the same spot|stationary|planted",
    "together": "together",
    "around": "around|all the way around|completely around",
    "out": "out|outward|outwards|outstretched|extended",
    "right": "clockwise|rightward|rightwards",
    "left": "counterclockwise|counter clockwise|anticlockwise|anti clockwise|leftward|leftwards",
}
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_TIMES = {
    "single": 1,
    "once": 1,
    "one time": 1,
    "twice": 2,
    "thrice": 3,
    "two times": 2,
    "a couple of times": 2,
    "a couple times": 2,
}
_SEVERAL = "several times|many times|a few times|multiple times|repeatedly|a number of times|some times|over and over"
_TURNS = {
    "quarter": 90,
    "a quarter": 90,
    "half": 180,
    "halfway": 180,
    "full": 360,
    "complete": 360,
    "all the way around": 360,
    "completely around": 360,
    "three quarter": 270,
    "semicircle": 180,
}

# Ways that are verbs where something is done to a part of the body: "raised both arms".
VERBS_TOO = {"raised": "lift", "lowered": "lower", "extended": "extend", "outstretched": "extend"}
# Poses that are movements where they are counted: "squatting three times".
COUNTED_POSES = {"squatting": "squat"}

PHRASES: dict[tuple[str, ...], tuple[str, object]] = {}


def _add(text: str, category: str, value: object) -> None:
    PHRASES[tuple(text.split())] = (category, value)


for _kind, _words in _ACTS.items():
    for _word in _words.split():
        for _form in _forms(_word):
            _add(_form, "act", _kind)
for _kind, _words in _IRREGULAR.items():
    for _word in _words.split():
        _add(_word, "act", "punch" if _kind == "strike" else _kind)
for _part, _words in _PARTS.items():
    for _word in _words.split():
        _add(_word, "part", (_part, _word, False))
        _add(_PLURALS.get(_word, f"{_word}s"), "part", (_part, _word, True))
for _verb in "keep keeps keeping kept lose loses losing lost regain regains regaining off maintain maintains".split():
    for _whose in ("", "his ", "her ", "their ", "the "):
        _add(f"{_verb} {_whose}balance", "act", "other")
_add("lower body", "part", ("hip", "lower body", False))
for _verb in "get gets getting got is go goes drop drops dropped fall falls down rests stays".split():
    for _on in ("on", "onto", "to", "down on", "down to", "down onto"):
        for _whose in ("his", "her", "their", "the", "both"):
            _add(f"{_verb} {_on} {_whose} knees", "act", "kneel")
_add("upper body", "part", ("trunk", "upper body", False))
_add("someone", "part", ("body", "someone", False))
for _way, _texts in _WAYS.items():
    for _text in _texts.split("|"):
        _add(_text, "way", _way)
for _text, _angle in _TURNS.items():
    _add(_text, "turned", _angle)
for _kind, _texts in _ACT_PHRASES.items():
    for _text in _texts.split("|"):
        _add(_text, "act", _kind)
for _text in (
    "does not move its feet|without moving the feet|without moving their feet|feet stay in place|feet remain in place|"
    "feet do not move|feet stay planted|feet remain planted|feet stay on the ground|remains in place|stays in place|"
    "stay in place|remain in place"
).split("|"):
    _add(_text, "act", "stay")
for _index, _word in enumerate(_NUMBERS):
    _add(_word, "number", float(_index))
for _text, _count in _TIMES.items():
    _add(_text, "times", _count)
for _text in _SEVERAL.split("|"):
    _add(_text, "several", None)
for _text in ("as many times", "the same number of times", "equally often", "just as often", "just as many times"):
    _add(_text, "as many", None)
for _text in (
    "does the same|do the same|repeats this|repeats that|repeats it|repeats the same|repeats the motion|"
    "repeats the movement|does so again|does it again|does that again|same again|the same movement|likewise|"
    "repeats the action|does likewise|the same thing|the same on|the same to|the same with"
).split("|"):
    _add(_text, "again", None)
for _pace, _texts in {
    "slow": "slow|slowly|gently|leisurely|sluggishly|gradually|unhurriedly",
    "fast": "fast|quick|quickly|rapidly|swiftly|briskly|hurriedly|at full speed|hastily|speedily|rapid|swift|brisk",
}.items():
    for _text in _texts.split("|"):
        _add(_text, "pace", _pace)
for _unit, _texts in {
    "degrees": "degree|degrees|deg|°|º",
    "m": "m|meter|meters|metre|metres",
    "cm": "cm|centimeter|centimeters|centimetre|centimetres",
    "s": "s|sec|secs|second|seconds",
    "times": "times|time|repetition|repetitions|reps|x|cycles|rounds",
}.items():
    for _text in _texts.split("|"):
        _add(_text, "unit", _unit)
for _link, _texts in {
    "then": "then|and then|after that|after which|afterwards|afterward|next|finally|lastly|subsequently|followed by|"
    "later|thereafter|before|eventually|and finally|and lastly|once done|at last|and after that",
    "after": "after|having|once he|once she|once they",
    "earlier": "before that|earlier|previously|beforehand|prior to that",
    "while": "while|as|meanwhile|simultaneously|at the same time|whilst|all the while|with",
    "and": "and|plus|or",
    "first": "first|firstly|initially|to begin with",
}.items():
    for _text in _texts.split("|"):
        _add(_text, "link", _link)
for _text in "not|no|never|without|neither|nor|cannot|don't|doesn't|isn't|aren't|didn't|won't".split("|"):
    _add(_text, "not", None)
for _text in "hardly|barely|scarcely|almost|nearly".split("|"):
    _add(_text, "vague", None)
for _text in "stay|stays|stayed|staying|remain|remains|remained|remaining".split("|"):
    _add(_text, "stay", None)
for _when, _texts in {
    "start": "start|starts|started|starting|begin|begins|began|beginning|at the start|at first|right away|"
    "at the beginning",
    "end": "end|ends|ended|ending|at the end|finish|finishes|finished|finishing|in the end|by the end|ends up|"
    "end up|ending up|the last pose",
}.items():
    for _text in _texts.split("|"):
        _add(_text, "when", _when)
for _pose, _texts in {
    "standing": "stand|stands|stood|standing|standing upright|upright stance|standing position|stance",
    "upright": "upright|erect|stands straight|stand straight|standing straight|sits straight",
    "seated": "seated|sitting|sitting position|seated position",
    "low": "crouching|crouched|crouched stance|squatting|with bent knees|bent knees|knees bent|crouched position",
    "kneeling": "kneeling",
    "lying": "lying",
    "bent": "bent forward|bent over|hunched|slumped|stooped",
    "leaning": "leaning forward",
    "same": "same pose|same position|original position|original stance|starting position|like the first",
}.items():
    for _text in _texts.split("|"):
        _add(_text, "pose", _pose)
for _text in (
    "do|does|did|doing|make|makes|made|making|take|takes|took|taking|perform|performs|performed|performing|give|gives|"
    "execute|executes|complete|completes"
).split("|"):
    _add(_text, "light", None)
for _text in "other|opposite".split("|"):
    _add(_text, "side", "other")
_add("same", "side", "same")
_add("both", "side", "both")
_add("each", "side", "both")
_add("either", "side", "any")
_add("alternating", "side", "both")
_add("alternate", "side", "both")
_add("left", "lateral", "left")
_add("right", "lateral", "right")
for _text in ("other side", "opposite side", "opposite direction", "other direction", "other way", "opposite way"):
    _add(_text, "lateral", "other")
for _text in (
    "left and right",
    "right and left",
    "left and the right",
    "right and the left",
    "left and then right",
    "left to right",
    "right to left",
):
    _add(_text, "lateral", "both")
for _text in ("right away", "right after", "right now", "left over", "straight ahead"):
    _add(_text, "skip", None)
# Words that are parts or movements elsewhere, and not here.
for _text in (
    "at a steady pace|steady pace|pace|back to|back and forth|on the other hand|in turn|on one hand|head first|"
    "hand in hand|side by side|takes place|step by step|face to face|at once|in a row|the bow|in succession|"
    "the whole motion|by hand|such as|as well|for a moment|something|someone|an object|the way|"
    "the same way|goodbye|hello|this time|at a time|one after|bit|bits|on top|goes on|"
    "picks up speed|pick up speed|picking up speed|"
    "picks up the pace|by turns|on foot|once more|once again|once landed"
).split("|"):
    _add(_text, "skip", None)
for _text in ("in total", "in all", "altogether", "total"):
    _add(_text, "total", None)
_add("and a half", "plus half", None)
for _text in ("ground", "floor"):
    _add(_text, "floor", None)
# -- roles: words that say nothing of a movement, but what the others are to it ---------------------------------------

for _text in "slight|slightly|a little|a little bit|a bit|a tiny bit|somewhat|partially|a tad|marginally".split("|"):
    _add(_text, "modest", None)
# Whether what follows happens is left open.
for _text in (
    "pretends to|pretending to|pretend to|appears to|appear to|appearing to|seems to|seem to|seeming to|looks like|"
    "look like|looking like|as if|as though|like|tries to|trying to|try to|tried to|attempts to|about to|"
    "attempting to|"
    "ready to|prepares to|preparing to|wants to|instead of|rather than|struggles to|struggling to|imitating|"
    "imitates|mimicking|"
    "mimics|similar to|possibly|maybe|perhaps|might|could|would"
).split("|"):
    _add(_text, "hedge", None)
for _text in "by|at|on|along|beside|against|near|down by|down at|down to|back to|back down to|back by|back at".split(
    "|"
):
    for _whose in "his|her|their|its|the|both".split("|"):
        for _place in ("side", "sides"):
            _add(f"{_text} {_whose} {_place}", "place", "hanging")
for _text in (
    "ball box object something weight weights item phone violin bottle cup table shelf rope sword racket bat club "
    "basketball soccer baseball golf guitar paddle drink soda water chair stool ladder stairs"
).split():
    _add(_text, "thing", _text)
DETERMINERS = frozenset(
    "the his her their its a an this that these those own some any another my your one's person's".split()
)
PRONOUNS = frozenset("it them him this that everything themselves himself herself itself themself".split())
PARTICLES = frozenset(
    "up down out back off away over around forward forwards backward backwards outward inward".split()
)
ADVERBS = frozenset(
    "again very just even still well too also high low straight wide open diagonally apart then more hard around fast "
    "once twice".split()
)
# A part of the body that one of these governs is a place: "hands on his hips", "in front of his face".
LANDMARK_PREPOSITIONS = frozenset(
    "at by on onto to toward towards from of in into inside against near beside behind under below beneath between "
    "over "
    "above across past through along off upon around".split()
)
FUNCTION_WORDS = (
    DETERMINERS
    | PRONOUNS
    | ADVERBS
    | LANDMARK_PREPOSITIONS
    | frozenset(
        "is are was were be been being has have had having who which whose while when where until as to for but so if "
        "because there here he she they we you i what than until continues continue continuing does did this "
        "across using used uses without during about only not times steps appears seems towards legs arms".split()
    )
)
# Movements that a foot can be what they are made on: "hops on the left foot".
STANDING_VERBS = frozenset({"hop", "jump", "bounce", "kick", "squat", "balance"})
# Parts of the body that are names of heights.
LEVELS = {
    "chest": "chest",
    "shoulder": "shoulder",
    "head": "head",
    "face": "head",
    "eye": "head",
    "mouth": "head",
    "ear": "head",
    "forehead": "head",
    "nose": "head",
    "chin": "shoulder",
    "waist": "waist",
    "hip": "waist",
    "knee": "knee",
}
MAX_WORDS = max(map(len, PHRASES))
