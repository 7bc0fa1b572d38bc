"""Motion beyond one clip: continued, edited, filled in, written and described as a timeline.

A model of clips writes longer motion a part at a time. One that was taught to continue and to fill is shown what there
is in its prompt. For any other, what is known is put in front of what it writes: the answer is made to begin with the
last codes there are, and the model goes on from them. All codes are then decoded together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .generated_unimo import GeneratedMotion
from .inference_unimo import evaluating
from .inputs_unimo import as_int, as_number
from .joining_unimo import follow_path, meet, seam_jerk, smooth_seams
from .modeling_motion_vqvae import MotionVQVAEModel
from .processing_unimo import Given, UniMoProcessor

MAX_SEGMENTS = 200
# Codes on either side of a part that a model is shown which was taught to continue and fill.
CONTEXT_CODES = 8
# Codes that any other model's answer is made to begin with: with more of them it writes on what was asked for before.
PREFIX_CODES = 4
# Answers written for a gap, of which the one that meets what follows best is taken.
CANDIDATES = 8
# What a push of the root by 1 m/s costs against a jerk of 1 km/s^3 at the seam.
_PUSH_COST = 1.0
_WINDOW_SECONDS = 4.0
# Share of words that two captions have in common from which they tell the same.
_AGREEMENT = 0.6


@dataclass(frozen=True)
class _Known:
    """A motion that is given: raw features, and codes that stand for its frames from `lead` on."""

    features: np.ndarray
    codes: list[int]
    lead: int
    text: str


@dataclass(frozen=True)
class _Gap:
    """A part that is to be written: the codes around it, what happens in it, and how many codes it takes if set."""

    text: str
    count: int | None
    before: Sequence[int] = ()
    after: Sequence[int] = ()


class TimelineMixin:
    """The methods of `UniMoForConditionalGeneration` for motion beyond one clip."""

    # Of the class that this one is mixed into.
    motion_vqvae: MotionVQVAEModel
    device: Any
    decode_codes: Any
    generate_answers: Any
    _as_motion: Any
    _check_loaded: Any

    # ---------------------------------------------------------------- one part more

    def continue_motion(
        self,
        motion: Any,
        text: str,
        processor: UniMoProcessor,
        duration: float | None = None,
        seed: int | None = None,
        **generate_kwargs: Any,
    ) -> GeneratedMotion:
        """A motion that goes on from another.

        Args:
            motion: The motion so far, of any length: raw features (T, D), or what else `describe_motion` takes.
            text: What comes next.
            processor: The processor that belongs to the model.
            duration: Seconds to add (0.2 to 9.6), rounded to whole codes; None: the model decides.
            seed: Seed of the draws.
            **generate_kwargs: As `generate_answers`.

        Returns:
            Old and new frames as one motion, the old ones as they were; `segments` says where the new ones begin.

        Raises:
            ValueError: a motion of another skeleton or frame rate, or too short; a blank text; a duration that does
                not fit.
        """
        return self.continue_motions([motion], [text], processor, [duration], seed, **generate_kwargs)[0]

    def continue_motions(
        self,
        motions: Sequence[Any],
        texts: Sequence[str],
        processor: UniMoProcessor,
        durations: Sequence[float | None] | None = None,
        seed: int | None = None,
        **generate_kwargs: Any,
    ) -> list[GeneratedMotion]:
        """Several motions that go on, written together; arguments, results and errors as of `continue_motion`.

        Args:
            motions: One motion a row.
            texts: One text a row.
            processor: The processor of the model.
            durations: Seconds of each new part; None leaves the length to the model.
            seed: Of the sampling.
            **generate_kwargs: As of `continue_motion`.

        Returns:
            One motion a row.
        """
        durations = [None] * len(texts) if durations is None else durations
        knowns, gaps = [], []
        for motion, text, duration in zip(motions, texts, durations, strict=True):
            knowns.append(self._known(motion, processor, "the motion", from_end=True))
            count = None if duration is None else self._codes_to_add(duration, processor)
            gaps.append(_Gap(text, count, knowns[-1].codes))
        written = self._written(gaps, processor, seed, **generate_kwargs)
        unit, continued = processor.feature_extractor.unit_length, []
        for known, gap, ((thought, new),) in zip(knowns, gaps, written, strict=True):
            shown = self._shown(known.codes)
            decoded = self._decoded([*shown, *new], processor)
            seam = len(shown) * unit
            added = meet(decoded[seam:], (known.features[-1], decoded[seam - 1]), None)
            features = np.concatenate([known.features, added])
            segments = self._segments(processor, [(len(known.features), known.text), (len(added), gap.text)])
            codes = [*known.codes, *new]
            continued.append(self._as_motion(gap.text, thought, codes, features, processor, segments))
        return continued

    def edit_motion(
        self,
        motion: Any,
        text: str,
        processor: UniMoProcessor,
        start: float = 0.0,
        end: float | None = None,
        seed: int | None = None,
        candidates: int = CANDIDATES,
        **generate_kwargs: Any,
    ) -> GeneratedMotion:
        """A motion with one part written anew; the rest stays as it is, in pose, place and heading.

        Args:
            motion: The motion, of any length: raw features (T, D), or what else `describe_motion` takes.
            text: What happens in the new part.
            processor: The processor that belongs to the model.
            start, end: The part in seconds, rounded to whole codes; `end` None: to the end of the motion.
            seed: Seed of the draws.
            candidates: New parts written, of which the one that meets the rest best is taken.
            **generate_kwargs: As `generate_answers`.

        Returns:
            A motion of the same length. Where the new part leads elsewhere than the old one, it is pushed along
            steadily to meet what follows.

        Raises:
            ValueError: a part outside the motion, shorter than a code, longer than 9.6 s, or the whole of it; a
                motion of another skeleton or frame rate; a blank text.
        """
        known = self._known(motion, processor, "the motion", from_end=False)
        unit, total = processor.feature_extractor.unit_length, len(known.features)
        first, last = self._span(start, end, total, processor)
        count = -(-(last - first) // unit)
        self._check_fits(count, processor, "the part")
        before, after = known.codes[: first // unit], known.codes[first // unit + count :]
        gap = _Gap(text, count, before, after)
        (written,) = self._written([gap], processor, seed, candidates, **generate_kwargs)
        best: tuple[float, str, list[int], np.ndarray] | None = None
        for thought, new in written:
            part = self._between(known.features[:first], before, new, after, known.features[last:], processor)
            part, push = part[: last - first], 0.0
            if last < total:
                part, push = follow_path(part, known.features[first:last])
            whole = np.concatenate([known.features[:first], part, known.features[last:]])
            cost = self._cost(whole, [seam for seam in (first, last) if 0 < seam < total], push, processor)
            if best is None or cost < best[0]:
                best = cost, thought, new, whole
        assert best is not None
        _, thought, new, whole = best
        parts = [(first, known.text), (last - first, text), (total - last, known.text)]
        segments = self._segments(processor, parts)
        return self._as_motion(text, thought, [*before, *new, *after], whole, processor, segments)

    def fill_motion(
        self,
        before: Any,
        after: Any,
        text: str,
        processor: UniMoProcessor,
        duration: float = 2.0,
        seed: int | None = None,
        candidates: int = CANDIDATES,
        **generate_kwargs: Any,
    ) -> GeneratedMotion:
        """Two motions joined by what happens between them.

        Args:
            before, after: The motions on either side, of any length; `after` goes on from where the new part leads.
            text: What happens between them.
            processor: The processor that belongs to the model.
            duration: Seconds between them (0.2 to 9.6), rounded to whole codes.
            seed: Seed of the draws.
            candidates: Parts written, of which the one that meets `after` best is taken.
            **generate_kwargs: As `generate_answers`.

        Returns:
            All three as one motion; the frames of `before` and `after` are as they were.

        Raises:
            ValueError: a motion of another skeleton or frame rate, or too short; a blank text; a duration that does
                not fit.
        """
        return self.fill_motions(
            [before], [after], [text], processor, [duration], seed, candidates, **generate_kwargs
        )[0]

    def fill_motions(
        self,
        befores: Sequence[Any],
        afters: Sequence[Any],
        texts: Sequence[str],
        processor: UniMoProcessor,
        durations: Sequence[float],
        seed: int | None = None,
        candidates: int = CANDIDATES,
        **generate_kwargs: Any,
    ) -> list[GeneratedMotion]:
        """Several gaps filled, written together; arguments, results and errors as of `fill_motion`.

        Args:
            befores: Motion before each gap.
            afters: Motion after each gap.
            texts: One text a gap.
            processor: The processor of the model.
            durations: Seconds of each gap.
            seed: Of the sampling.
            candidates: As of `fill_motion`.
            **generate_kwargs: As of `fill_motion`.

        Returns:
            One motion a gap.
        """
        sides, gaps = [], []
        for before, after, text, duration in zip(befores, afters, texts, durations, strict=True):
            left = self._known(before, processor, "the motion before", from_end=True)
            right = self._known(after, processor, "the motion after", from_end=False)
            sides.append((left, right))
            gaps.append(_Gap(text, self._codes_to_add(duration, processor), left.codes, right.codes))
        written = self._written(gaps, processor, seed, candidates, **generate_kwargs)
        filled = []
        for (left, right), gap, ways in zip(sides, gaps, written, strict=True):
            best: tuple[float, str, list[int], np.ndarray] | None = None
            for thought, new in ways:
                part = self._between(left.features, left.codes, new, right.codes, right.features, processor)
                whole = np.concatenate([left.features, part, right.features])
                seams = [len(left.features), len(left.features) + len(part)]
                cost = self._cost(whole, seams, 0.0, processor)
                if best is None or cost < best[0]:
                    best = cost, thought, new, whole
            assert best is not None
            _, thought, new, whole = best
            lengths = [len(left.features), len(new) * processor.feature_extractor.unit_length, len(right.features)]
            segments = self._segments(processor, list(zip(lengths, (left.text, gap.text, right.text), strict=True)))
            codes = [*left.codes, *new, *right.codes]
            filled.append(self._as_motion(gap.text, thought, codes, whole, processor, segments))
        return filled

    # ---------------------------------------------------------------- timelines

    def generate_timeline(
        self,
        segments: Iterable[tuple[str, float | None]],
        processor: UniMoProcessor,
        loop: bool = False,
        seed: int | None = None,
        candidates: int = CANDIDATES,
        **generate_kwargs: Any,
    ) -> GeneratedMotion:
        """One motion for several texts in a row, minutes of it where asked for.

        Args:
            segments: (text, seconds) of each part; seconds None: the model decides. The first part takes up to
                9.8 s, each later one up to 9.6 s.
            processor: The processor that belongs to the model.
            loop: Let the motion end as it begins, in pose, height and speed, so that it can be played over and over;
                place and heading go on from where they are.
            seed: Seed of the draws.
            candidates: For a loop, ends written, of which the one that meets the beginning best is taken.
            **generate_kwargs: As `generate_answers`.

        Returns:
            The motion, with its `segments`.

        Raises:
            ValueError: no segments or more than 200, a blank text, or a duration that does not fit; the message names
                the segment.
        """
        return self.generate_timelines([segments], processor, loop, seed, candidates, **generate_kwargs)[0]

    def generate_timelines(
        self,
        timelines: Iterable[Iterable[tuple[str, float | None]]],
        processor: UniMoProcessor,
        loop: bool = False,
        seed: int | None = None,
        candidates: int = CANDIDATES,
        **generate_kwargs: Any,
    ) -> list[GeneratedMotion]:
        """Several timelines, written together; arguments, results and errors as of `generate_timeline`.

        Args:
            timelines: (text, seconds or None) of the parts of each timeline.
            processor: The processor of the model.
            loop: Let each motion end as it begins.
            seed: Of the sampling.
            candidates: As of `generate_timeline`.
            **generate_kwargs: As of `generate_timeline`.

        Returns:
            One motion a timeline.
        """
        plans = [self._plan(segments, processor) for segments in timelines]
        seed = None if seed is None else as_int("seed", seed, -(2**63), 2**64 - 1)
        codes: list[list[int]] = [[] for _ in plans]
        counts: list[list[int]] = [[] for _ in plans]
        thoughts: list[list[str]] = [[] for _ in plans]
        for index in range(max(map(len, plans), default=0)):
            rows = [row for row, plan in enumerate(plans) if index < len(plan)]
            gaps = [_Gap(*plans[row][index], codes[row]) for row in rows]
            # Of its own for each part: a text that comes again is to be drawn anew.
            own_seed = None if seed is None else (seed + index) % 2**64
            written = self._written(gaps, processor, own_seed, **generate_kwargs)
            for row, ((thought, new),) in zip(rows, written, strict=True):
                codes[row] = codes[row] + new
                counts[row].append(len(new))
                thoughts[row].append(thought)
        lines = []
        for row, plan in enumerate(plans):
            all_codes, texts = codes[row], [text for text, _ in plan]
            if loop:
                last = _Gap(texts[-1], counts[row][-1])
                all_codes = self._closed_loop(all_codes, last, processor, seed, candidates, **generate_kwargs)
            features = (self._decoded_round if loop else self._decoded)(all_codes, processor)
            unit = processor.feature_extractor.unit_length
            seams = [unit * sum(counts[row][:index]) for index in range(0 if loop else 1, len(counts[row]))]
            features = smooth_seams(features, seams, cyclic=loop)
            told = self._segments(processor, [(n * unit, text) for n, text in zip(counts[row], texts, strict=True)])
            thought = "\n".join(thoughts[row])
            lines.append(self._as_motion(" ".join(texts), thought, all_codes, features, processor, told))
        return lines

    def describe_timeline(
        self,
        motion: Any,
        processor: UniMoProcessor,
        window: float = _WINDOW_SECONDS,
        seed: int | None = None,
        **generate_kwargs: Any,
    ) -> list[tuple[float, float, str]]:
        """What happens when in a motion of any length.

        The motion is described in windows that overlap by half; each description stands for the middle of its window,
        and neighbours that tell the same are merged.

        Args:
            motion: The motion: raw features (T, D), or what else `describe_motion` takes.
            processor: The processor that belongs to the model.
            window: Seconds of a window (0.4 to 9.8).
            seed: Seed of the draws.
            **generate_kwargs: As `generate_answers`.

        Returns:
            (start, end, caption) in seconds, in order and without gaps.

        Raises:
            ValueError: a motion of another skeleton or frame rate, or too short; a window that does not fit.
        """
        known = self._known(motion, processor, "the motion", from_end=False)
        length = processor.codes_of_duration(window)
        if length < 2:
            raise ValueError(f"window must be at least {2 * processor.seconds_per_code:g} seconds, got {window!r}")
        unit, fps = processor.feature_extractor.unit_length, self._fps(processor)
        starts = _window_starts(len(known.codes), length)
        windows = [known.codes[begin : begin + length] for begin in starts]
        answers = self.generate_answers("m2t", None, windows, processor, seed=seed, **generate_kwargs)
        captions = [answer.caption for (answer,) in answers]
        # Where two windows overlap, each tells the half that is nearer to its middle.
        bounds = [0, *((a + length + b) * unit // 2 for a, b in zip(starts, starts[1:], strict=False))]
        ends = [*bounds[1:], len(known.features)]
        return merged_captions(
            [(begin / fps, end / fps, caption) for begin, end, caption in zip(bounds, ends, captions, strict=True)]
        )

    # ---------------------------------------------------------------- details

    @staticmethod
    def _fps(processor: UniMoProcessor) -> float:
        return processor.feature_extractor.fps

    def _known(self, motion: Any, processor: UniMoProcessor, name: str, from_end: bool) -> _Known:
        """A given motion with its codes, counted from its end or its beginning."""
        extractor = processor.feature_extractor
        written = motion if isinstance(motion, GeneratedMotion) else None
        if written is not None and written.fps != extractor.fps:
            raise ValueError(
                f"{name} has {written.fps:g} frames a second and the model {extractor.fps:g}; resample it first"
            )
        features = extractor.read_long(motion, name)
        text = "" if written is None else written.text
        if written is not None and len(written.codes) * extractor.unit_length == len(features):
            return _Known(features, list(written.codes), 0, text)
        rest = len(features) % extractor.unit_length
        lead = rest if from_end else 0
        self._check_loaded()
        with torch.no_grad(), evaluating(self):
            clip = torch.from_numpy(extractor.normalize(features[lead:])).to(self.device)
            codes = self.motion_vqvae.encode(clip[None]).codes[0].tolist()
        return _Known(features, codes, lead, text)

    def _written(
        self,
        gaps: Sequence[_Gap],
        processor: UniMoProcessor,
        seed: int | None,
        ways: int = 1,
        **generate_kwargs: Any,
    ) -> list[list[tuple[str, list[int]]]]:
        """Thought and codes of each gap, in so many ways."""
        ways = as_int("candidates", ways, 1)
        tasks: list[str] = []
        shown: list[Given | None] = []
        beginnings: list[list[int]] = []
        durations: list[float | None] = []
        for gap in gaps:
            processor.messages("t2m", gap.text)
            task = "t2m"
            given: Given | None = None
            beginning: list[int] = []
            near, after, count = list(gap.before[-CONTEXT_CODES:]), list(gap.after[:CONTEXT_CODES]), gap.count
            if near and after and count and "fill" in processor.tasks:
                task, given = "fill", Given(near, after, count)
            elif near and "continue" in processor.tasks:
                task, given = "continue", Given(near)
            else:
                room = processor.max_motion_codes - (count or 1)
                beginning = near[-min(PREFIX_CODES, room) :] if room else []
            tasks.append(task)
            shown.append(given)
            beginnings.append(beginning)
            seconds = processor.seconds_per_code
            durations.append(None if count is None else (len(beginning) + count) * seconds)
        processor.warn_of_unknown_words([gap.text for gap in gaps])
        texts = [gap.text for gap in gaps]
        answers = self.generate_answers(
            tasks, texts, shown, processor, durations=durations, beginnings=beginnings, num_samples=ways, seed=seed,
            **generate_kwargs,
        )  # fmt: skip
        return [
            [(answer.thought, answer.codes[len(beginning) :]) for answer in several]
            for several, beginning in zip(answers, beginnings, strict=True)
        ]

    def _shown(self, codes: Sequence[int]) -> list[int]:
        """The last codes, as many as it takes for the last frames to be decoded as in the whole."""
        reach = self.motion_vqvae.decoder_reach
        return list(codes) if reach is None else list(codes[-(reach[0] + 1) :])

    def _decoded(self, codes: Sequence[int], processor: UniMoProcessor) -> np.ndarray:
        return self.decode_codes([codes], processor)[0]

    def _decoded_round(self, codes: Sequence[int], processor: UniMoProcessor) -> np.ndarray:
        """Features of codes whose last one is followed by the first again."""
        reach = self.motion_vqvae.decoder_reach or (len(codes), len(codes))
        before, after = reach
        round_ = [codes[place % len(codes)] for place in range(-before, len(codes) + after)]
        unit = processor.feature_extractor.unit_length
        return self._decoded(round_, processor)[before * unit : (before + len(codes)) * unit]

    def _between(
        self,
        kept_before: np.ndarray,
        before: Sequence[int],
        new: Sequence[int],
        after: Sequence[int],
        kept_after: np.ndarray,
        processor: UniMoProcessor,
    ) -> np.ndarray:
        """Features of new codes that meet the kept features on either side (either may be empty)."""
        reach, unit = self.motion_vqvae.decoder_reach, processor.feature_extractor.unit_length
        shown = self._shown(before) if before else []
        follow = list(after) if reach is None else list(after[: reach[1] + 1])
        decoded = self._decoded([*shown, *new, *follow], processor)
        begin, end = len(shown) * unit, (len(shown) + len(new)) * unit
        return meet(
            decoded[begin:end],
            (kept_before[-1], decoded[begin - 1]) if shown else None,
            (kept_after[0], decoded[end]) if follow else None,
        )

    def _cost(
        self,
        features: np.ndarray,
        seams: list[int],
        push: float,
        processor: UniMoProcessor,
    ) -> float:
        """How badly parts meet: the jerk at the seams, and how hard the root has to be pushed."""
        fps = self._fps(processor)
        return seam_jerk(features, seams, fps) / 1000 + _PUSH_COST * push * fps

    def _closed_loop(
        self,
        codes: list[int],
        last: _Gap,
        processor: UniMoProcessor,
        seed: int | None,
        candidates: int,
        **generate_kwargs: Any,
    ) -> list[int]:
        """Codes whose end, up to a second of the last part, is written anew to lead back to the beginning."""
        count = min(max(1, (last.count or 1) // 2), round(1 / processor.seconds_per_code), len(codes) - 1)
        if count < 1:
            return codes
        kept, unit = codes[:-count], processor.feature_extractor.unit_length
        gap = _Gap(last.text, count, kept, codes)
        (written,) = self._written([gap], processor, seed, candidates, **generate_kwargs)
        ways = [codes[-count:], *(new for _, new in written)]

        def cost(new: list[int]) -> float:
            features = self._decoded_round([*kept, *new], processor)
            turned = np.concatenate([features[-count * unit :], features[: count * unit]])
            return self._cost(turned, [count * unit], 0.0, processor)

        return [*kept, *min(ways, key=cost)]

    def _plan(
        self, segments: Iterable[tuple[str, float | None]], processor: UniMoProcessor
    ) -> list[tuple[str, int | None]]:
        """Text and number of codes of each segment, all of them checked before the first is written."""
        if isinstance(segments, (str, bytes)):
            raise ValueError("segments must be (text, seconds) pairs, got a string")
        plan: list[tuple[str, int | None]] = []
        for index, segment in enumerate(segments):
            if isinstance(segment, (str, bytes)) or len(segment) != 2:
                raise ValueError(f"segment {index} must be a (text, seconds) pair, got {segment!r}")
            if index == MAX_SEGMENTS:
                raise ValueError(f"a timeline has 1 to {MAX_SEGMENTS} segments, got more; write it in parts")
            text, seconds = segment
            try:
                processor.messages("t2m", text)
                count = None if seconds is None else processor.codes_of_duration(seconds)
                if index:
                    self._check_fits(count or 1, processor, "a later segment")
            except ValueError as error:
                raise ValueError(f"segment {index}: {error}") from error
            plan.append((text, count))
        if not plan:
            raise ValueError(f"a timeline has 1 to {MAX_SEGMENTS} segments, got none")
        return plan

    def _codes_to_add(self, duration: float, processor: UniMoProcessor) -> int:
        count = processor.codes_of_duration(duration)
        self._check_fits(count, processor, "duration")
        return count

    @staticmethod
    def _check_fits(count: int, processor: UniMoProcessor, name: str) -> None:
        """A part that goes on from another leaves room for one code of that."""
        longest = (processor.max_motion_codes - 1) * processor.seconds_per_code
        if count > processor.max_motion_codes - 1:
            raise ValueError(
                f"{name} takes at most {longest:g} seconds, got {count * processor.seconds_per_code:g}: one code of "
                "what comes before is written with it"
            )

    def _span(self, start: Any, end: Any, frames: int, processor: UniMoProcessor) -> tuple[int, int]:
        """First frame of a part and the first one behind it, on the borders of codes."""
        fps, unit = self._fps(processor), processor.feature_extractor.unit_length
        seconds = frames / fps
        start, end = as_number(start), seconds if end is None else as_number(end)
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (start, end))
        if not numbers or not 0 <= start < end <= seconds + 1e-6:
            raise ValueError(f"the part must lie within the motion, 0 to {seconds:g} s, got {start!r} to {end!r}")
        first = round(start * fps / unit) * unit
        last = frames if end * fps > frames - unit / 2 else round(end * fps / unit) * unit
        if last - first < unit or end - start < unit / fps - 1e-6:
            raise ValueError(f"the part must be at least one code, {unit / fps:g} s, long, got {start!r} to {end!r}")
        if first == 0 and last == frames:
            raise ValueError(f"the part is the whole motion of {seconds:g} s; use generate_motion")
        return first, last

    def _segments(self, processor: UniMoProcessor, parts: Sequence[tuple[int, str]]) -> list[tuple[float, float, str]]:
        """(start, end, text) in seconds from the frames of each part; empty parts are left out."""
        fps, begin, told = self._fps(processor), 0, []
        for frames, text in parts:
            if frames:
                told.append((begin / fps, (begin + frames) / fps, text))
            begin += frames
        return told


def _window_starts(count: int, length: int) -> list[int]:
    """Where windows of `length` codes begin, overlapping by about half, the last one at the end."""
    if count <= length:
        return [0]
    steps = -(-(count - length) // max(1, length // 2))
    return [round(step * (count - length) / steps) for step in range(steps + 1)]


def merged_captions(parts: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Neighbouring (start, end, caption) parts as one where their captions agree.

    Captions agree that have most of their words in common; of those merged, the one that is most like the others
    stays.

    Args:
        parts: (start, end, caption) in seconds, in order.

    Returns:
        The parts that are left, in order.
    """
    groups: list[list[tuple[float, float, str]]] = []
    for part in parts:
        if groups and _alike(groups[-1][-1][2], part[2]) >= _AGREEMENT:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [
        (
            group[0][0],
            group[-1][1],
            max((part[2] for part in group), key=lambda caption: sum(_alike(caption, other[2]) for other in group)),
        )
        for group in groups
    ]


def _alike(one: str, other: str) -> float:
    """Share of words, counted with repeats, that two captions have in common (Jaccard)."""
    first, second = (Counter(caption.lower().strip(" .!").split()) for caption in (one, other))
    union = (first | second).total()
    return (first & second).total() / union if union else 1.0
