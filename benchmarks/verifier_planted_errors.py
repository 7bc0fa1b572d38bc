"""How many planted errors the verifier finds, how often it accuses a true text, and how much text it can read.

    python -m benchmarks.verifier_planted_errors [--limit 1000] [--mocap DIR] [--humanml3d DIR] [--output FILE.json]

Synthetic clips are described by a known plan, so what is true of them is known. Into their detailed captions, into
captions retold as people write (those of `--language wide`) and into their thoughts this script plants one error each:
a swapped side of a limb, two actions in the wrong order, a wrong count, a wrong direction, an action that nobody did.
An edit that the plan makes true elsewhere is not planted, nor another order where "and" tells none. A planted text
counts as found when at least one of its claims is contradicted, and as located when such a claim overlaps the edit;
the text before the edit is the clean one that must not be flagged, so there are as many clean texts as planted ones.
Precision is flagged planted texts / all flagged texts. Intervals are 95% Wilson intervals.

The hand-written paraphrases of tests/fixtures are measured the same way: paraphrases.json, whose misses were used to
mend the reader, and paraphrases_held_out.json, which was held out until the reader was rebuilt for people's captions.
Coverage is the share of sentences with at least one claim that the verifier reads; `--mocap` takes a folder of joints
as `datasets_scripts.sources.joints` reads it, `--humanml3d` one in the official layout.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from datasets_scripts.schema import Clip
from datasets_scripts.sources import humanml3d, joints
from datasets_scripts.sources.synthetic.generator import CHOICES, SPLITS, draw_clip
from datasets_scripts.sources.synthetic.language import captions, thought
from datasets_scripts.sources.synthetic.motion import FPS, Motion, Plan, Segment
from datasets_scripts.sources.synthetic.retelling import retell
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.verify.verification import Verification, verify
from modeling_unimo.files_unimo import write_json
from modeling_unimo.motion_representation import features_to_joints

KINDS = ("side", "order", "count", "direction", "invented")
SOURCES = ("captions", "retellings", "thoughts")
_FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
# The second file was written after the reader had been mended by the first; since then both have been used.
PARAPHRASES = (_FIXTURES / "paraphrases.json", _FIXTURES / "paraphrases_held_out.json")
_DETAILED = 3  # captions() gives the three detailed wordings first


# -- texts and their parts -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A text as `joints[0] clauses[0] joints[1] clauses[1] ... joints[n]`; clause i tells segment i of the plan."""

    joints: tuple[str, ...]
    clauses: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(joint + clause for joint, clause in zip(self.joints, (*self.clauses, ""), strict=True))

    def span(self, index: int) -> tuple[int, int]:
        """Where a clause stands in the text.

        Args:
            index: Of the clause.

        Returns:
            [start, stop) in letters.
        """
        start = sum(map(len, self.joints[: index + 1])) + sum(map(len, self.clauses[:index]))
        return start, start + len(self.clauses[index])


@dataclass(frozen=True)
class Planted:
    """A text with one error: what kind, where, and the text before."""

    kind: str
    clean: str
    text: str
    start: int
    stop: int


_SUBJECT = re.compile(r"(?:(?:a|the)(?: \w+)? person|someone(?: (?:tired|proud|careful))?)(?: first)? ")
_JOINT = re.compile(r", then | and then | and finally ")
_MOMENT = re.compile(r"(?:^|(?<=\. ))At \d+\.\d s ")
_END = re.compile(r"\. End at ")


def parse_caption(text: str) -> Told:
    """Take a caption of the synthetic source apart.

    Args:
        text: Of `language.captions`.

    Returns:
        Its parts.

    Raises:
        ValueError: It is no such caption.
    """
    head = _SUBJECT.match(text)
    if head is None or not text.endswith("."):
        raise ValueError(f"no caption of the synthetic source: {text!r}")
    body = text[head.end() : -1]
    return Told((head[0], *_JOINT.findall(body), "."), tuple(_JOINT.split(body)))


def parse_thought(text: str) -> Told:
    """Take a thought of the synthetic source apart.

    Args:
        text: Of `language.thought`.

    Returns:
        Its parts.

    Raises:
        ValueError: It is no such thought.
    """
    moments, end = list(_MOMENT.finditer(text)), _END.search(text)
    if not moments or end is None:
        raise ValueError(f"no thought of the synthetic source: {text!r}")
    cuts = [0]
    for index, moment in enumerate(moments):
        after = moments[index + 1].start() - 2 if index + 1 < len(moments) else end.start()
        cuts += [moment.end(), after]
    pieces = [text[a:b] for a, b in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    return Told(tuple(pieces[::2]), tuple(pieces[1::2]))


# -- the errors ----------------------------------------------------------------------------------------------------

_LIMBED = frozenset("hop knee kick lunge wave raise punch throw circle pick".split())
_SIDED_WAY = frozenset("curve sidestep turn look lean".split())
_ALONG = frozenset("walk walk_back run jump_forward lunge circle".split())
_TOWARD = {
    "front": ("to the front", "in front", "front kick"),
    "side": ("to the side", "sideways", "side kick"),
    "up": ("overhead", "overhead", ""),
}
_RELATED = re.compile(r"does the same|walks back the same way|as many times")
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
_TIMES = ("never", "once", "twice", "three times", "four times")
_COUNT = re.compile(
    r"\b(?:once|twice|(?:three|four) times|one(?! (?:leg|foot)\b)|two|three|four|five|six|seven|eight)\b"
)
_COUNTED = re.compile(
    r"\b(jumping jack|kick|punch|throw|bend|hop|lunge|squat|raise|circle|jump|step|wave|clap)(?:es|s)?\b"
)

# What else a fair reader sees in an action: telling that as well would not be an invention.
_CONTAINS = {
    "walk": "march",
    "run": "walk march jump",
    "curve": "walk turn look march",
    "jump": "squat raise jump_forward",
    "jump_forward": "jump squat raise walk",
    "hop": "jump knee raise",
    "march": "knee walk raise",
    "kick": "knee raise lean",
    "lunge": "walk squat knee raise",
    "squat": "sit bow raise pick",
    "sit": "squat bow raise walk_back",
    "stand": "bow squat walk raise",
    "wave": "raise",
    "punch": "raise look turn",
    "clap": "raise",
    "throw": "raise wave look turn lean circle",
    "lean": "raise wave bow",
    "jack": "jump raise hop",
    "circle": "raise wave",
    "pick": "squat bow raise sit",
    "turn": "look walk march",
    "knee": "march raise",
    "bow": "raise pick",
    "sidestep": "walk",
}


def _exchange(text: str, one: str, other: str) -> str:
    return re.sub(rf"\b(?:{one}|{other})\b", lambda found: other if found[0] == one else one, text)


def _elsewhere(plan: Plan, index: int, edited: Segment, attribute: str) -> bool:
    """Whether another action of the plan already does what the edited one would tell."""
    value = getattr(edited, attribute)
    return any(
        other.action == edited.action and getattr(other, attribute) in ((value, "both") if value else (value,))
        for position, other in enumerate(plan.segments)
        if position != index
    )


def _swapped_side(plan: Plan, index: int, clause: str, rng: random.Random) -> str | None:
    segment = plan.segments[index]
    if segment.action not in _LIMBED or segment.side not in ("left", "right"):
        return None
    other = replace(segment, side="right" if segment.side == "left" else "left")
    return None if _elsewhere(plan, index, other, "side") else _exchange(clause, "left", "right")


def _wrong_direction(plan: Plan, index: int, clause: str, rng: random.Random) -> str | None:
    segment = plan.segments[index]
    if segment.action in _SIDED_WAY:
        other = replace(segment, side="right" if segment.side == "left" else "left")
        return None if _elsewhere(plan, index, other, "side") else _exchange(clause, "left", "right")
    if segment.action in _ALONG:
        opposite = {"walk": "walk_back", "walk_back": "walk"}.get(segment.action)
        if any(other.action == opposite for other in plan.segments):
            return None
        if segment.action == "circle":
            other = replace(segment, direction="backward" if segment.direction == "forward" else "forward")
            if _elsewhere(plan, index, other, "direction"):
                return None
        return _exchange(clause, "forward", "backward")
    if segment.action in ("kick", "raise"):
        ways = [way for way in CHOICES[segment.action].directions if way != segment.direction]
        other = replace(segment, direction=rng.choice(ways))
        if _elsewhere(plan, index, other, "direction"):
            return None
        for now, then in zip(_TOWARD[segment.direction], _TOWARD[other.direction], strict=True):
            if now and then and now in clause:
                clause = clause.replace(now, then)
                # A thought tells how high the hand comes, too.
                if segment.direction == "up":
                    return clause.replace("above the head", "at shoulder height")
                return clause.replace("at shoulder height", "above the head") if other.direction == "up" else clause
    return None


def _wrong_count(plan: Plan, index: int, clause: str, rng: random.Random) -> str | None:
    segment, found = plan.segments[index], _COUNT.search(clause)
    if found is None or not segment.count:
        return None
    other = rng.choice([count for count in CHOICES[segment.action].counts if count != segment.count])
    if _elsewhere(plan, index, replace(segment, count=other), "count"):
        return None
    if found[0] in _TIMES:
        times = _TIMES[other] if other < len(_TIMES) else f"{_WORDS[other]} times"
        return clause[: found.start()] + times + clause[found.end() :]

    def inflected(noun: re.Match) -> str:
        return noun[1] + ("" if other == 1 else "es" if noun[1] == "punch" else "s")

    return clause[: found.start()] + _WORDS[other] + _COUNTED.sub(inflected, clause[found.end() :], count=1)


_EDITS = {"side": _swapped_side, "direction": _wrong_direction, "count": _wrong_count}


def _between(old: str, new: str, start: int) -> tuple[int, int]:
    """Where `new`, which stands at `start`, differs from `old`, in whole words."""
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    tail = 0
    while tail < min(len(old), len(new)) - first and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    last = len(new) - tail
    while first and new[first - 1] != " ":
        first -= 1
    while last < len(new) and new[last] not in " ,.":
        last += 1
    return start + first, start + max(last, first + 1)


def _edited(kind: str, plan: Plan, told: Told, rng: random.Random) -> Planted | None:
    indices = list(range(len(told.clauses)))
    rng.shuffle(indices)
    for index in indices:
        clause = _EDITS[kind](plan, index, told.clauses[index], rng)
        if clause is None or clause == told.clauses[index]:
            continue
        clauses = (*told.clauses[:index], clause, *told.clauses[index + 1 :])
        result = Told(told.joints, clauses)
        return Planted(kind, told.text, result.text, *_between(told.clauses[index], clause, result.span(index)[0]))
    return None


def _reordered(plan: Plan, told: Told, rng: random.Random) -> Planted | None:
    indices = list(range(len(told.clauses) - 1))
    rng.shuffle(indices)
    for index in indices:
        # "does the same with the other hand" would mean something else behind another clause.
        if any(_RELATED.search(clause) for clause in told.clauses[index : index + 3]):
            continue
        if told.joints[index + 1] in (" and ", ", "):
            continue
        one, two = plan.segments[index : index + 2]
        alone = all(plan.segments.count(segment) == 1 for segment in (one, two))
        if one == two or not alone or told.clauses[index] == told.clauses[index + 1]:
            continue
        clauses = list(told.clauses)
        clauses[index : index + 2] = clauses[index + 1], clauses[index]
        result = Told(told.joints, tuple(clauses))
        return Planted("order", told.text, result.text, result.span(index)[0], result.span(index + 1)[1])
    return None


def _invention(
    plan: Plan, told: Told, rng: random.Random, borrowed: dict[str, list[str]], spans: Sequence[tuple[int, int]] | None
) -> Planted | None:
    """Insert a clause about an action of another clip; `spans` (frames of each action) where the text tells times."""
    planned = {segment.action for segment in plan.segments}
    seen = planned | {part for action in planned for part in _CONTAINS.get(action, "").split()}
    if plan.manner in ("tired", "careful"):
        seen |= {"bow"}  # they stand bent forward
    # Getting up from a seat says more than one thing.
    able = sorted(action for action in borrowed if action not in seen | {"stand"} and borrowed[action])
    able = [action for action in able if not planned & set(_CONTAINS.get(action, "").split())]
    if not able:
        return None
    clause = rng.choice(borrowed[rng.choice(able)])
    places = list(range(len(told.clauses) + 1)) if spans is None else list(range(1, len(told.clauses) + 1))
    places = [i for i in places if i == len(told.clauses) or not _RELATED.search(told.clauses[i])]
    place, joints, clauses = rng.choice(places), list(told.joints), list(told.clauses)
    clauses.insert(place, clause)
    if spans is not None:
        moment = sum(spans[place - 1]) / 2 / FPS
        joints.insert(place, f". At {moment:.1f} s ")
    elif joints[-2] == " and finally ":
        joints.insert(max(place, 1), ", then ") if place < len(told.clauses) else joints.insert(-1, " and finally ")
        joints[1:-2] = [", then "] * (len(joints) - 3)
    else:
        joints.insert(max(place, 1), joints[1] if len(told.clauses) > 1 else " and then ")
    result = Told(tuple(joints), tuple(clauses))
    return Planted("invented", told.text, result.text, *result.span(place))


def plant(
    kind: str,
    plan: Plan,
    told: Told,
    rng: random.Random,
    borrowed: dict[str, list[str]],
    spans: Sequence[tuple[int, int]] | None = None,
) -> Planted | None:
    """Plant one error in a text.

    Args:
        kind: One of `KINDS`.
        plan: What is true of the motion.
        told: The text's parts, a clause for each action of the plan.
        rng: Draws the place and the error.
        borrowed: Clauses of other clips by action, for inventions.
        spans: [start, stop) in frames of each action, where the text tells times.

    Returns:
        The text with its error; None where the plan offers no place for it.

    Raises:
        ValueError: Clauses and actions are not equally many.
    """
    if len(told.clauses) != len(plan.segments):
        raise ValueError(f"{len(told.clauses)} clauses for {len(plan.segments)} actions: {told.text!r}")
    if kind == "order":
        return _reordered(plan, told, rng)
    if kind == "invented":
        return _invention(plan, told, rng, borrowed, spans)
    return _edited(kind, plan, told, rng)


# -- measuring -----------------------------------------------------------------------------------------------------


def synthetic_clip(seed: int, split: str, index: int) -> tuple[Plan, Motion, list[str], str]:
    """A clip as `synthetic.iter_clips` makes it.

    Args:
        seed: Of the dataset.
        split: One of `SPLITS`.
        index: Of the clip in its split.

    Returns:
        Plan, motion, detailed captions and thought.
    """
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    plan, motion = draw_clip(rng, split == "test_hard")
    return plan, motion, captions(plan, rng)[:_DETAILED], thought(plan, motion.joints, motion.spans)


def wilson(hits: int, total: int) -> list[float]:
    """95% Wilson interval of a share.

    Args:
        hits: Of the total.
        total: 0 gives the whole interval.

    Returns:
        Lower and upper bound.
    """
    if not total:
        return [0.0, 1.0]
    interval = binomtest(hits, total).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]


@dataclass
class Tally:
    """Planted and clean texts of one row, and how many of each were flagged."""

    planted: int = 0
    found: int = 0
    located: int = 0
    clean: int = 0
    accused: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @property
    def recall(self) -> float:
        """Flagged planted texts / planted texts."""
        return self.found / max(1, self.planted)

    @property
    def precision(self) -> float:
        """Flagged planted texts / flagged texts."""
        return self.found / max(1, self.found + self.accused)

    def summary(self) -> dict[str, object]:
        """The row as plain numbers.

        Returns:
            Counts, shares and the shares' 95% intervals by name.
        """
        return asdict(self) | {
            "recall": self.recall,
            "recall_ci95": wilson(self.found, self.planted),
            "located_recall": self.located / max(1, self.planted),
            "located_recall_ci95": wilson(self.located, self.planted),
            "precision": self.precision,
            "precision_ci95": wilson(self.found, self.found + self.accused),
            "false_positive_rate": self.accused / max(1, self.clean),
        }


@dataclass
class Coverage:
    """How much of some texts the verifier reads, and what it finds there."""

    texts: int = 0
    sentences: int = 0
    unread: int = 0
    flagged: int = 0
    claims: Counter[str] = field(default_factory=Counter)
    sentences_unread: Counter[str] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)

    def add(self, results: Iterable[Verification]) -> None:
        """Count the verified texts of one motion.

        Args:
            results: Of the texts.
        """
        for result in results:
            self.texts += 1
            self.sentences += result.sentences
            self.unread += len(result.unread)
            self.flagged += bool(result.contradicted)
            self.claims.update(claim.verdict for claim in result.claims)
            self.sentences_unread.update(result.unread)
            self.contradictions.update(f"{c.kind}: {c.text!r}, measured {c.measured}" for c in result.contradicted)

    def summary(self) -> dict[str, object]:
        """The row as plain numbers.

        Returns:
            Counts and shares, the sentences most often left unread and the contradictions most often found.
        """
        decided = self.claims["holds"] + self.claims["contradicted"]
        return {
            "texts": self.texts,
            "sentences": self.sentences,
            "coverage": 1 - self.unread / max(1, self.sentences),
            "coverage_ci95": wilson(self.sentences - self.unread, self.sentences),
            "flagged": self.flagged / max(1, self.texts),
            "flagged_ci95": wilson(self.flagged, self.texts),
            "claims": sum(self.claims.values()),
            "decided": decided,
            "consistency": self.claims["holds"] / max(1, decided),
            "unread": self.sentences_unread.most_common(20),
            "contradictions": self.contradictions.most_common(40),
        }


def _told_verdicts(result: Verification) -> list[str]:
    return [f"{c.verdict}: {c.text!r} is {c.stated}, measured {c.measured} ({c.kind})" for c in result.claims]


@dataclass
class Measured:
    """Everything the script measures."""

    rows: dict[str, dict[str, Tally]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Tally)))
    coverage: dict[str, Coverage] = field(default_factory=lambda: defaultdict(Coverage))
    wrong: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0

    def verify(self, texts: Sequence[str], body: np.ndarray) -> dict[str, Verification]:
        """Verify texts of one motion and keep the time it takes.

        Args:
            texts: Of the motion; a repeated one is verified once.
            body: (T, 22, 3) joints in metres at `FPS`.

        Returns:
            Verifications by text.
        """
        once = list(dict.fromkeys(texts))
        start = time.perf_counter()
        results = verify(once, body, fps=FPS)
        self.seconds += time.perf_counter() - start
        return dict(zip(once, results, strict=True))

    def note(self, source: str, kind: str, clip: object, result: Verification, **more: object) -> None:
        """Keep what went wrong, with the verdicts.

        Args:
            source: Of the text.
            kind: Of the error.
            clip: Which it is, as JSON.
            result: The verification.
            **more: Further entries of the row.
        """
        row = {"source": source, "kind": kind, "clip": clip, "text": result.text, "verdicts": _told_verdicts(result)}
        self.wrong.append(row | more)


def measure_planted(measured: Measured, limit: int, seed: int, sources: Sequence[str] = SOURCES) -> None:
    """Plant errors of each kind into the texts of each source of the synthetic test split.

    Args:
        measured: Changed in place.
        limit: Errors of each kind and source, and clips whose texts count for coverage.
        seed: Of the clips and of the errors.
        sources: Some of `SOURCES`.
    """
    rng = random.Random(seed)
    # Retellings draw for themselves, so that the samples of captions and thoughts stay those of earlier measurements.
    draws = {source: rng for source in sources} | {"retellings": random.Random(f"{seed} retellings")}
    borrowed: dict[str, dict[str, list[str]]] = {source: defaultdict(list) for source in sources}
    missing = {(source, kind): limit for source in sources for kind in KINDS}
    index, annotator = -1, KinematicAnnotator(seed)
    with tqdm(total=sum(missing.values()), desc="planted errors", disable=None) as bar:
        while any(missing.values()):
            index += 1
            plan, motion, detailed, reasoning = synthetic_clip(seed, "test", index)
            errors: list[tuple[str, Planted]] = []
            retold = [retell(plan, np.random.default_rng((seed, index, k))) for k in range(_DETAILED)]
            told = {
                "captions": [parse_caption(text) for text in detailed],
                "retellings": [Told(one.joints, one.clauses) for one in retold],
                "thoughts": [parse_thought(reasoning)],
            }
            for source in sources:
                for kind in KINDS:
                    if not missing[source, kind]:
                        continue
                    spans = motion.spans if source == "thoughts" else None
                    error = plant(
                        kind, plan, draws[source].choice(told[source]), draws[source], borrowed[source], spans
                    )
                    if error is not None:
                        errors.append((source, error))
                for text in told[source]:
                    for segment, clause in zip(plan.segments, text.clauses, strict=True):
                        if not _RELATED.search(clause):
                            borrowed[source][segment.action] = [*borrowed[source][segment.action][-19:], clause]
            own = {
                "synthetic captions": detailed,
                "retold captions": [one.text for one in retold],
                "synthetic thoughts": [reasoning],
            }
            if index < limit:
                own["kinematic thoughts"] = annotator.annotate([motion.joints])
            every = [text for texts in own.values() for text in texts] + [error.text for _, error in errors]
            results = measured.verify(every, motion.joints)
            for name, texts in own.items():
                if index < limit:
                    measured.coverage[name].add(results[text] for text in texts)
            for source, error in errors:
                missing[source, error.kind] -= 1
                bar.update()
                accused, flagged = results[error.clean].contradicted, results[error.text].contradicted
                located = any(c.start < error.stop and c.stop > error.start for c in flagged)
                row = Tally(1, bool(flagged), located, 1, bool(accused))
                measured.rows[source][error.kind] += row
                if not flagged:
                    measured.note(source, error.kind, index, results[error.text], clean=error.clean, wrong="missed")
                if accused:
                    measured.note(source, error.kind, index, results[error.clean], wrong="true, but flagged")


def measure_paraphrases(measured: Measured, path: Path) -> None:
    """Verify hand-written texts: those that are true must not be flagged, the others must.

    Args:
        measured: Changed in place; rows are named by the file.
        path: JSON list of `clip`, `text` and `truth`: "true" or a kind of error.
    """
    name = path.stem.replace("_", " ")
    with open(path, encoding="utf-8") as file:
        entries = json.load(file)
    clips: dict[tuple[int, str, int], list[dict]] = defaultdict(list)
    for entry in entries:
        clip = entry["clip"]
        clips[clip["seed"], clip["split"], clip["index"]].append(entry)
    clean = Tally()
    for key, group in clips.items():
        results = measured.verify([entry["text"] for entry in group], synthetic_clip(*key)[1].joints)
        for entry in group:
            result, truth = results[entry["text"]], entry["truth"]
            measured.coverage[name].add([result])
            flagged = bool(result.contradicted)
            if truth == "true":
                clean += Tally(clean=1, accused=flagged)
            else:
                measured.rows[name][truth] += Tally(planted=1, found=flagged, located=flagged)
            if flagged == (truth == "true"):
                measured.note(name, truth, list(key), result, wrong="true, but flagged" if flagged else "missed")
    # True paraphrases belong to no kind: they stand in the sum only.
    measured.rows[name]["clean"] += clean


def measure_coverage(measured: Measured, name: str, clips: Iterable[Clip]) -> None:
    """Verify the captions of clips of another source.

    Args:
        measured: Changed in place.
        name: Of the row.
        clips: With their captions.
    """
    for clip in tqdm(clips, desc=name, disable=None):
        texts = list(dict.fromkeys(caption.text for caption in clip.captions))
        body = np.asarray(features_to_joints(clip.features))
        measured.coverage[name].add(measured.verify(texts, body).values())


def some_clips(rows: Iterable[object], limit: int, seed: int) -> list[Clip]:
    """Draw clips.

    Args:
        rows: Clips, and notes on skipped ones.
        limit: How many at most.
        seed: Of the draw.

    Returns:
        The drawn clips; all where there are no more.
    """
    clips = [row for row in rows if isinstance(row, Clip)]
    return random.Random(seed).sample(clips, min(limit, len(clips)))


def _share(row: dict, name: str) -> str:
    low, high = row[f"{name}_ci95"]
    return f"{row[name]:.3f} [{low:.3f}, {high:.3f}]"


def _tables(measured: Measured) -> str:
    """The figures as Markdown."""
    lines = [
        "| text | error | planted | recall | located | clean flagged | precision |",
        "| --- | --- | ---: | --- | --- | ---: | --- |",
    ]
    for source, kinds in measured.rows.items():
        for kind in (*KINDS, "all"):
            tally = sum(kinds.values(), Tally()) if kind == "all" else kinds[kind]
            row = tally.summary()
            true = f"{tally.accused}/{tally.clean}" if tally.clean else "–"
            precise = _share(row, "precision") if tally.clean else "–"
            located = _share(row, "located_recall") if source in SOURCES else "–"
            shares = f"{_share(row, 'recall')} | {located} | {true} | {precise}"
            lines.append(f"| {source} | {kind} | {tally.planted} | {shares} |")
    lines += [
        "",
        "| text | texts | sentences | read | claims | decided | hold | texts flagged |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for name, coverage in measured.coverage.items():
        row = coverage.summary()
        numbers = f"{row['claims']} | {row['decided']} | {row['consistency']:.3f} | {_share(row, 'flagged')}"
        lines.append(f"| {name} | {row['texts']} | {row['sentences']} | {_share(row, 'coverage')} | {numbers} |")
    return "\n".join(lines)


def _summary(measured: Measured) -> dict[str, object]:
    """The figures as plain numbers."""
    return {
        "planted": {
            source: {kind: tally.summary() for kind, tally in kinds.items()}
            | {"all": sum(kinds.values(), Tally()).summary()}
            for source, kinds in measured.rows.items()
        },
        "coverage": {name: coverage.summary() for name, coverage in measured.coverage.items()},
        "seconds_in_verify": measured.seconds,
        "wrong": measured.wrong,
    }


def main(argv: list[str] | None = None) -> None:
    """Measure, print the tables and write the figures.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=1000, help="errors of each kind, clips of each source (1000)")
    parser.add_argument("--seed", type=int, default=31, help="of the clips and of the errors")
    parser.add_argument("--paraphrases", type=Path, nargs="*", default=PARAPHRASES, help="hand-written texts (JSON)")
    parser.add_argument("--mocap", type=Path, help="folder of joints with captions, for coverage")
    parser.add_argument("--humanml3d", type=Path, help="folder in HumanML3D's layout, for coverage")
    parser.add_argument("--output", type=Path, help="JSON with all figures, and every text judged wrongly")
    arguments = parser.parse_args(argv)
    if arguments.limit < 1:
        parser.error("--limit must be at least 1")
    measured = Measured()
    measure_planted(measured, arguments.limit, arguments.seed)
    for path in arguments.paraphrases:
        measure_paraphrases(measured, path)
    for name, folder, reader in (
        ("mocap captions", arguments.mocap, joints),
        ("humanml3d captions", arguments.humanml3d, humanml3d),
    ):
        if folder is not None:
            clips = some_clips(reader.iter_clips(folder), arguments.limit, arguments.seed)
            measure_coverage(measured, name, clips)
    print(_tables(measured))
    print(f"\n{measured.seconds:.1f} s in verify()", file=sys.stderr)
    if arguments.output:
        write_json(arguments.output, _summary(measured))


if __name__ == "__main__":
    main()
