"""Motion beyond one clip: continued, edited, filled in, written and described as a timeline.

A model of clips writes longer motion a part at a time. One that was taught to continue and to fill is shown what there
is in its prompt. For any other, what is known is put in front of what it writes: the answer is made to begin with the
last codes there are, and the model goes on from them. All codes are then decoded together.

A part is written several times, and the best of these candidates is taken: the one whose new codes the model itself
reads as the text that was asked for, unless it meets the motion around it badly. In a timeline every other candidate
is written as a clip of its own, which follows its text better than one that begins in the middle of a movement.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .candidates_unimo import Request, score_answers
from .generated_unimo import GeneratedMotion
from .inference_unimo import evaluating
from .inputs_unimo import as_int, as_number
from .joining_unimo import follow_path, meet, seam_jerk, smooth_seams
from .modeling_motion_vqvae import MotionVQVAEModel
from .processing_unimo import Answer, Given, UniMoProcessor

MAX_SEGMENTS = 200
# Codes on either side of a part that a model is shown which was taught to continue and fill.
CONTEXT_CODES = 8
# Codes that any other model's answer is made to begin with: with more of them it writes on what was asked for before.
PREFIX_CODES = 4
# Candidates for a part that what follows is given for, and for each part of a timeline: one of each kind.
CANDIDATES = 8
TIMELINE_CANDIDATES = 2
# Nats of the model's own reading that a jerk of 1 km/s^3 at a seam costs, and a push of the root by 1 m/s.
_JERK_COST = 4.0
_PUSH_COST = 4.0
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


@dataclass(frozen=True)
class _Part:
    """One candidate for a gap: thought, codes, and how likely the model finds the text by them (0 where unread)."""

    thought: str
    codes: list[int]
    score: float = 0.0


@dataclass(frozen=True)
class _Way:
    """A candidate between what is around it: all features, and what speaks against it."""

    part: _Part
    features: np.ndarray
    cost: float


class TimelineMixin:
    """The methods of `UniMoForConditionalGeneration` for motion beyond one clip."""

    # Of the class that this one is mixed into.
    motion_vqvae: MotionVQVAEModel
    device: Any
    decode_codes: Any
    generate_answers: Any
    generation_config: Any
    language_model: Any
    _as_motion: Any
    _check_loaded: Any
    _warn_unless_read: Any

    # ---------------------------------------------------------------- one part more

    def continue_motion(
        self,
        motion: Any,
        text: str,
        processor: UniMoProcessor,
        duration: float | None = None,
        seed: int | None = None,
        candidates: int = 1,
        **generate_kwargs: Any,
    ) -> GeneratedMotion:
        """A motion that goes on from another.

        Args:
            motion: The motion so far, of any length: raw features (T, D), or what else `describe_motion` takes.
            text: What comes next.
            processor: The processor that belongs to the model.
            duration: Seconds to add (0.2 to 9.6), rounded to whole codes; None: the model decides.
            seed: Seed of the draws.
            candidates: Parts written, of which the best is taken: that with the highest log-probability of thought and
                text by the model's own reading of the new codes (`candidates_unimo.score_answers`), less 4 nats for
                each km/s^3 of jerk where it meets the rest. One alone is not read.
            **generate_kwargs: As `generate_answers`.

        Returns:
            Old and new frames as one motion, the old ones as they were; `segments` says where the new ones begin.

        Raises:
            ValueError: a motion of another skeleton or frame rate, or too short; a blank text; a duration that does
                not fit.
        """
        return self.continue_motions([motion], [text], processor, [duration], seed, candidates, **generate_kwargs)[0]

    def continue_motions(
        self,
        motions: Sequence[Any],
        texts: Sequence[str],
        processor: UniMoProcessor,
        durations: Sequence[float | None] | None = None,
        seed: int | None = None,
        candidates: int = 1,
        **generate_kwargs: Any,
    ) -> list[GeneratedMotion]:
        """Several motions that go on, written together; arguments, results and errors as of `continue_motion`.

        Args:
            motions: One motion a row.
            texts: One text a row.
            processor: The processor of the model.
            durations: Seconds of each new part; None leaves the length to the model.
            seed: Of the sampling.
            candidates: As of `continue_motion`.
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
        written = self._written(gaps, processor, seed, candidates, **generate_kwargs)
        continued = []
        for known, gap, parts in zip(knowns, gaps, written, strict=True):
            seam = len(known.features)
            ways = []
            for part in parts:
                added = self._between(known.features, known.codes, part.codes, [], known.features[:0], processor)
                whole = np.concatenate([known.features, added])
                ways.append(_Way(part, whole, self._cost(part, whole, [seam], processor)))
            best = min(ways, key=lambda way: way.cost)
            lengths = [(seam, known.text), (len(best.features) - seam, gap.text)]
            segments = self._segments(processor, lengths)
            codes = [*known.codes, *best.part.codes]
            continued.append(self._as_motion(gap.text, best.part.thought, codes, best.features, processor, segments))
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
            candidates: As of `continue_motion`; a push of the root by 1 m/s counts as a jerk of 1 km/s^3.
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
        seams = [seam for seam in (first, last) if 0 < seam < total]
        ways = []
        for part in written:
            new = self._between(known.features[:first], before, part.codes, after, known.features[last:], processor)
            new, push = new[: last - first], 0.0
            if last < total:
                new, push = follow_path(new, known.features[first:last])
            whole = np.concatenate([known.features[:first], new, known.features[last:]])
            ways.append(_Way(part, whole, self._cost(part, whole, seams, processor, push)))
        best = min(ways, key=lambda way: way.cost)
        parts = [(first, known.text), (last - first, text), (total - last, known.text)]
        segments = self._segments(processor, parts)
        codes = [*before, *best.part.codes, *after]
        return self._as_motion(text, best.part.thought, codes, best.features, processor, segments)

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
            candidates: As of `continue_motion`.
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
        for (left, right), gap, parts in zip(sides, gaps, written, strict=True):
            ways = []
            for part in parts:
                new = self._between(left.features, left.codes, part.codes, right.codes, right.features, processor)
                whole = np.concatenate([left.features, new, right.features])
                seams = [len(left.features), len(left.features) + len(new)]
                ways.append(_Way(part, whole, self._cost(part, whole, seams, processor)))
            best = min(ways, key=lambda way: way.cost)
            between = len(best.features) - len(left.features) - len(right.features)
            lengths = [(len(left.features), left.text), (between, gap.text), (len(right.features), right.text)]
            segments = self._segments(processor, lengths)
            codes = [*left.codes, *best.part.codes, *right.codes]
            filled.append(self._as_motion(gap.text, best.part.thought, codes, best.features, processor, segments))
        return filled

    # ---------------------------------------------------------------- timelines

    def generate_timeline(
        self,
        segments: Iterable[tuple[str, float | None]],
        processor: UniMoProcessor,
        loop: bool = False,
        seed: int | None = None,
        candidates: int = TIMELINE_CANDIDATES,
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
            candidates: Each part is written so often, and the best is taken as of `continue_motion`. Every other one
                is written as a clip of its own, the rest after the last codes before them; of one, this alone. The
                end of a loop, a second at most, is written 8 times more, and the one that jerks least is taken.
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
        candidates: int = TIMELINE_CANDIDATES,
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
            written = self._written(gaps, processor, own_seed, candidates, clips=index > 0, **generate_kwargs)
            for row, parts in zip(rows, written, strict=True):
                best = self._best_after(codes[row], parts, processor)
                codes[row] = codes[row] + best.codes
                counts[row].append(len(best.codes))
                thoughts[row].append(best.thought)
        lines = []
        for row, plan in enumerate(plans):
            all_codes, texts = codes[row], [text for text, _ in plan]
            if loop:
                last = _Gap(texts[-1], counts[row][-1])
                all_codes = self._closed_loop(all_codes, last, processor, seed, **generate_kwargs)
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
        candidates: int,
        clips: bool = False,
        read: bool = True,
        **generate_kwargs: Any,
    ) -> list[list[_Part]]:
        """Candidates for each gap, one of a kind where nothing is drawn (do_sample=False).

        `clips`: every other one is written as a clip of its own. `read`: several come with the model's reading.
        """
        candidates = as_int("candidates", candidates, 1)
        kinds = [False, True] if clips and candidates > 1 else [False]
        tasks: list[str] = []
        shown: list[Given | None] = []
        beginnings: list[list[int]] = []
        durations: list[float | None] = []
        for gap in gaps:
            processor.messages("t2m", gap.text)
            after, count = list(gap.after[:CONTEXT_CODES]), gap.count
            for alone in kinds:
                near = [] if alone else list(gap.before[-CONTEXT_CODES:])
                task = "t2m"
                given: Given | None = None
                beginning: list[int] = []
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
        texts = [gap.text for gap in gaps for _ in kinds]
        config = generate_kwargs.get("generation_config") or self.generation_config
        drawn = generate_kwargs.get("do_sample", config.do_sample)
        answers = self.generate_answers(
            tasks, texts, shown, processor, durations=durations, beginnings=beginnings,
            num_samples=-(-candidates // len(kinds)) if drawn else 1, seed=seed, **generate_kwargs,
        )  # fmt: skip
        new = [
            [replace(answer, codes=answer.codes[len(beginning) :]) for answer in several]
            for several, beginning in zip(answers, beginnings, strict=True)
        ]
        # The kinds in turn; of equally good ones the first is taken, which is the one that would come alone.
        turns = [zip(*new[row : row + len(kinds)], strict=True) for row in range(0, len(new), len(kinds))]
        written = [[answer for turn in of_gap for answer in turn][:candidates] for of_gap in turns]
        for gap, several in zip(gaps, written, strict=True):
            if not any(answer.valid for answer in several):
                raise ValueError(f"the model wrote no motion for {gap.text!r}: {several[0].error}")
        valid = [[answer for answer in several if answer.valid] for several in written]
        if read and candidates > 1:
            return self._read(gaps, valid, processor, **generate_kwargs)
        return [[_Part(answer.thought, answer.codes) for answer in several] for several in valid]

    def _read(
        self,
        gaps: Sequence[_Gap],
        written: Sequence[Sequence[Answer]],
        processor: UniMoProcessor,
        think: bool | None = None,
        batch_size: int = 64,
        **_: Any,
    ) -> list[list[_Part]]:
        """Candidates with the model's reading of the new codes alone: thought and text of the gap, given these."""
        processor = processor.thinking(think)
        asked: list[Request] = [("t2m", gap.text, None) for gap, of in zip(gaps, written, strict=True) for _ in of]
        answers = [answer for several in written for answer in several]
        scores = iter(score_answers(self.language_model, processor, asked, answers, batch_size).tolist())
        self._warn_unless_read("t2m", list(zip(asked, answers, strict=True)), processor, batch_size)
        return [[_Part(answer.thought, answer.codes, next(scores)) for answer in several] for several in written]

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
        self, part: _Part, features: np.ndarray, seams: list[int], processor: UniMoProcessor, push: float = 0.0
    ) -> float:
        """What speaks against a candidate, in nats: that it tells another text, jerks at seams, a pushed root."""
        fps = self._fps(processor)
        return _JERK_COST * seam_jerk(features, seams, fps) / 1000 + _PUSH_COST * push * fps - part.score

    def _best_after(self, codes: Sequence[int], parts: Sequence[_Part], processor: UniMoProcessor) -> _Part:
        """The best candidate for what follows codes (none: for the beginning)."""
        shown, reach = self._shown(codes), self.motion_vqvae.decoder_reach
        seam = len(shown) * processor.feature_extractor.unit_length

        def cost(part: _Part) -> float:
            ahead = part.codes if reach is None else part.codes[: reach[1] + 1]
            features = self._decoded([*shown, *ahead], processor)
            return self._cost(part, features, [seam] if seam else [], processor)

        return min(parts, key=cost)

    def _closed_loop(
        self,
        codes: list[int],
        last: _Gap,
        processor: UniMoProcessor,
        seed: int | None,
        **generate_kwargs: Any,
    ) -> list[int]:
        """Codes whose end, up to a second of the last part, is written anew to lead back to the beginning."""
        count = min(max(1, (last.count or 1) // 2), round(1 / processor.seconds_per_code), len(codes) - 1)
        if count < 1:
            return codes
        kept, unit = codes[:-count], processor.feature_extractor.unit_length
        gap = _Gap(last.text, count, kept, codes)
        # So short an end tells no text.
        (written,) = self._written([gap], processor, seed, CANDIDATES, read=False, **generate_kwargs)

        def cost(part: _Part) -> float:
            features = self._decoded_round([*kept, *part.codes], processor)
            turned = np.concatenate([features[-count * unit :], features[: count * unit]])
            return self._cost(part, turned, [count * unit], processor)

        return [*kept, *min([_Part("", codes[-count:]), *written], key=cost).codes]

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
