"""What `evaluate_unimo.beyond` measures, repeat by repeat."""

import argparse
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.captions import caption_clauses
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import functional
from evaluate_unimo.evaluation import located
from evaluate_unimo.functional.seams import DERIVATIVES, floor_drift, seam_peaks
from evaluate_unimo.protocol import embedding_scores
from modeling_unimo import TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor, features_to_joints
from modeling_unimo.files_unimo import read_json, write_json
from modeling_unimo.joining_unimo import smooth_seams
from modeling_unimo.model_loading import load_model
from modeling_unimo.skeletons_unimo import skeleton_for

GIVEN_TO_CONTINUE = 0.2  # of a clip, as in MotionGPT's prediction
GIVEN_TO_FILL = 0.25  # at either end, as in MotionGPT's in-between
MOST_CLAUSES = 6
Figures = dict[str, dict[str, float]]  # row, metric


@dataclass(frozen=True)
class Asked:
    """A caption that a timeline is to do, with the length and the motion of its clip.

    Attributes:
        text: the caption.
        tokens: its words.
        seconds: how long it is to take.
        motion: (T, D) raw features of what really belongs to it.
    """

    text: str
    tokens: list[str]
    seconds: float
    motion: np.ndarray


@dataclass
class LongMotions:
    """One model on one split.

    Attributes:
        model, processor: what writes.
        judges: what scores, by what their figures' names begin with ("" for the first).
        entries: captioned motions of the split.
        hard: those of the split of long captions, or none.
        arguments: the options of the command.
    """

    model: UniMoForConditionalGeneration
    processor: UniMoProcessor
    judges: dict[str, TextMotionEvaluatorModel]
    entries: list[CaptionedMotion]
    hard: list[CaptionedMotion]
    arguments: argparse.Namespace

    def measure(self, seed: int, known: Collection[str] = ()) -> Iterator[Figures]:
        """All figures of one draw, some rows at a time.

        Args:
            seed: Of the draws.
            known: Rows that are left out.

        Yields:
            {row: {metric: value}}.
        """
        yield from self._timelines(np.random.default_rng((seed, 0)), seed, known)
        yield from self._parts(np.random.default_rng((seed, 1)), seed, known)
        if self.hard and "long captions, a timeline" not in known:
            yield self._long_captions(np.random.default_rng((seed, 2)), seed)

    # ---------------------------------------------------------------- continue and fill

    def _parts(self, rng: np.random.Generator, seed: int, known: Collection[str]) -> Iterator[Figures]:
        """Rows "continue" and "fill" beside "real", whose FID is that of one half against the other."""
        if {"real", "continue", "fill"} <= set(known):
            return
        usable = [entry for entry in self.entries if len(entry.motion) >= 8 * self._unit]
        order = rng.permutation(len(usable))[: 2 * min(self.arguments.clips, len(usable) // 2)]
        asked, others = ([usable[i] for i in half] for half in np.array_split(order, 2))
        choices = [int(rng.integers(len(entry.texts))) for entry in asked]
        texts = [entry.texts[choice] for entry, choice in zip(asked, choices, strict=True)]
        tokens = [entry.tokens[choice] for entry, choice in zip(asked, choices, strict=True)]
        motions = [entry.motion[: len(entry.motion) // self._unit * self._unit] for entry in asked]
        compared = {
            name: (self._words(judge, tokens), embedded(judge, [entry.motion for entry in others]))
            for name, judge in self.judges.items()
        }

        def scored(several: Sequence[np.ndarray]) -> dict[str, float]:
            scores: dict[str, float] = {}
            for name, judge in self.judges.items():
                words, references = compared[name]
                of_judge = embedding_scores(words, embedded(judge, several), references, self.arguments.pool_size)[0]
                scores |= {name + metric: value for metric, value in of_judge.items()}
            return scores

        def of_parts(written: Sequence[Any], begins: Sequence[int], ends: Sequence[int]) -> dict[str, float]:
            errors = [
                displacement(motion, answer.features, begin, end)
                for motion, answer, begin, end in zip(motions, written, begins, ends, strict=True)
            ]
            means = {name: float(np.mean([error[name] for error in errors])) for name in errors[0]}
            return scored([answer.features for answer in written]) | means

        def continued() -> dict[str, float]:
            cuts = [self._whole(GIVEN_TO_CONTINUE * len(motion)) for motion in motions]
            written = self.model.continue_motions(
                [motion[:cut] for motion, cut in zip(motions, cuts, strict=True)],
                texts,
                self.processor,
                [(len(motion) - cut) / self._fps for motion, cut in zip(motions, cuts, strict=True)],
                seed,
                batch_size=self.arguments.batch_size,
            )
            return of_parts(written, cuts, [len(motion) for motion in motions])

        def filled() -> dict[str, float]:
            shown = [self._whole(GIVEN_TO_FILL * len(motion)) for motion in motions]
            ends = [len(motion) - side for motion, side in zip(motions, shown, strict=True)]
            written = self.model.fill_motions(
                [motion[:side] for motion, side in zip(motions, shown, strict=True)],
                [motion[end:] for motion, end in zip(motions, ends, strict=True)],
                texts,
                self.processor,
                [(end - side) / self._fps for end, side in zip(ends, shown, strict=True)],
                seed,
                batch_size=self.arguments.batch_size,
            )
            return of_parts(written, shown, ends)

        for row, figures in (("real", lambda: scored(motions)), ("continue", continued), ("fill", filled)):
            if row not in known:
                yield {row: figures()}

    # ---------------------------------------------------------------- timelines

    def _timelines(self, rng: np.random.Generator, seed: int, known: Collection[str]) -> Iterator[Figures]:
        """Segments, single clips and real clips joined, of the same captions and lengths; seams and minutes."""
        counts = rng.integers(2, MOST_CLAUSES + 1, self.arguments.timelines)
        plans = [[self._asked(rng) for _ in range(count)] for count in counts]
        long_plans = [self._long_plan(rng) for _ in range(self.arguments.long_timelines)]
        tokens = [part.tokens for plan in plans for part in plan]
        if not {"segments", "seams"} <= set(known):
            lines = self._written(plans, seed)
            seams = [self._seams_of(line) for line in lines]
            segments = [part for line, at in zip(lines, seams, strict=True) for part in np.split(line.features, at)]
            joints = [line.joints for line in lines]
            hits = self._hits(tokens, segments) | functional.foot_skating(joints, fps=self._fps)
            yield {"segments": hits, "seams": self._seams(joints, seams)}
        candidates = self.arguments.candidates
        rows = {"single clips": 1} | ({f"single clips, best of {candidates}": candidates} if candidates > 1 else {})
        for row, several in rows.items():
            if row not in known:
                singles = self._singles([part for plan in plans for part in plan], seed, several)
                hits = self._hits(tokens, [motion.features for motion in singles])
                yield {row: hits | functional.foot_skating([motion.joints for motion in singles], fps=self._fps)}
        if not {"real clips", "real clips, joined", "seams of real clips"} <= set(known):
            clips, joined, joints, seams = self._real_joined(plans)
            yield {
                "real clips": self._hits(tokens, clips),
                "real clips, joined": self._hits(tokens, joined),
                "seams of real clips": self._seams(joints, seams),
            }
        if "minutes" not in known:
            joints = [line.joints for line in self._written(long_plans, seed)]
            yield {
                "minutes": {
                    "drift_m": max(floor_drift(of_line, self._fps) for of_line in joints),
                    "seconds": min(map(len, joints)) / self._fps,
                    **functional.foot_skating(joints, fps=self._fps),
                }
            }

    def _long_plan(self, rng: np.random.Generator) -> list[Asked]:
        plan: list[Asked] = []
        while sum(part.seconds for part in plan) < self.arguments.long_seconds:
            plan.append(self._asked(rng))
        return plan

    def _singles(self, parts: Sequence[Asked], seed: int, candidates: int) -> list[Any]:
        return self.model.generate_motion(
            [part.text for part in parts],
            self.processor,
            duration=[part.seconds for part in parts],
            seed=seed,
            candidates=candidates,
            batch_size=self.arguments.batch_size,
        )

    def _written(self, plans: Sequence[Sequence[Asked]], seed: int) -> list[Any]:
        asked = [[(part.text, part.seconds) for part in plan] for plan in plans]
        return self.model.generate_timelines(
            asked,
            self.processor,
            seed=seed,
            candidates=self.arguments.candidates,
            batch_size=self.arguments.batch_size,
        )

    def _real_joined(
        self, plans: Sequence[Sequence[Asked]]
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], list[list[int]]]:
        """Real clips as they are and as parts of timelines, with joints and seams of these: what joining costs."""
        clips, parts, joints, seams = [], [], [], []
        for plan in plans:
            cut = [part.motion[: self._whole(part.seconds * self._fps)] for part in plan]
            codes = self.model.encode_motions(cut, self.processor)
            ends = np.cumsum([len(of_clip) * self._unit for of_clip in codes])[:-1].tolist()
            (features,) = self.model.decode_codes([[code for of_clip in codes for code in of_clip]], self.processor)
            features = smooth_seams(features, ends)
            clips += cut
            parts += np.split(features, ends)
            joints.append(np.asarray(features_to_joints(features, skeleton=skeleton_for(features.shape[1]))))
            seams.append(ends)
        return clips, parts, joints, seams

    def _seams(self, joints: Sequence[np.ndarray], seams: Sequence[list[int]]) -> dict[str, float]:
        """Peaks at seams, mean over all of them, and their ratio to peaks anywhere inside real motion."""
        at: dict[str, list[np.ndarray]] = defaultdict(list)
        for of_line, places in zip(joints, seams, strict=True):
            for name, peaks in seam_peaks(of_line, places, self._fps).items():
                at[name].append(peaks)
        figures = {}
        for name in DERIVATIVES:
            peaks = np.concatenate(at[name])
            figures[name] = float(peaks.mean())
            figures[f"{name}_of_real"] = float(peaks.mean() / self._inside_real[name].mean())
        return figures

    @cached_property
    def _inside_real(self) -> dict[str, np.ndarray]:
        """Peaks in windows as long as those around a seam, one beside the other through real motion."""
        inside: dict[str, list[np.ndarray]] = defaultdict(list)
        for entry in self.entries[: self.arguments.clips]:
            joints = features_to_joints(entry.motion, skeleton=skeleton_for(entry.motion.shape[1]))
            places = range(4, len(joints) - 3, 8)
            for name, peaks in seam_peaks(joints, places, self._fps).items():
                inside[name].append(peaks)
        return {name: np.concatenate(several) for name, several in inside.items()}

    def _seams_of(self, line: Any) -> list[int]:
        """The frames at which segments begin, the first one's left out."""
        return [round(start * self._fps) for start, _, _ in line.segments[1:]]

    def _asked(self, rng: np.random.Generator) -> Asked:
        """A caption drawn, for as long as its clip takes and a later segment may."""
        longest = (self.processor.max_motion_codes - 1) * self.processor.seconds_per_code
        entry = self.entries[rng.integers(len(self.entries))]
        choice = int(rng.integers(len(entry.texts)))
        seconds = min(len(entry.motion) / self._fps, longest)
        return Asked(entry.texts[choice], entry.tokens[choice], seconds, entry.motion)

    # ---------------------------------------------------------------- long captions

    def _long_captions(self, rng: np.random.Generator, seed: int) -> Figures:
        """Rows "long captions, one answer" and "long captions, a timeline of their clauses"."""
        chosen = []
        for i in rng.permutation(len(self.hard)).tolist():
            entry = self.hard[i]
            choice = int(rng.integers(len(entry.texts)))
            clauses = caption_clauses(entry.texts[choice])
            if clauses:
                chosen.append((entry.texts[choice], entry.tokens[choice], clauses))
        chosen = chosen[: self.arguments.clips]
        if len(chosen) < 2:
            return {}
        texts = [text for text, _, _ in chosen]
        once = self.model.generate_motion(texts, self.processor, seed=seed, batch_size=self.arguments.batch_size)
        plans = [[(clause, None) for clause in clauses] for _, _, clauses in chosen]
        lines = self.model.generate_timelines(
            plans,
            self.processor,
            seed=seed,
            candidates=self.arguments.candidates,
            batch_size=self.arguments.batch_size,
        )
        tokens = [words for _, words, _ in chosen]
        longest = self.processor.max_motion_codes * self._unit
        figures: Figures = {}
        for row, motions in (("long captions, one answer", once), ("long captions, a timeline", lines)):
            figures[row] = self._hits(tokens, [motion.features[:longest] for motion in motions])
            figures[row] |= {"n": len(tokens), "longer": float(np.mean([len(m.features) > longest for m in motions]))}
        return figures

    # ---------------------------------------------------------------- details

    @property
    def _unit(self) -> int:
        return self.processor.feature_extractor.unit_length

    @property
    def _fps(self) -> float:
        return self.processor.feature_extractor.fps

    def _whole(self, frames: float) -> int:
        """The nearest number of frames that whole codes take, at least one code."""
        return max(1, round(frames / self._unit)) * self._unit

    def _hits(self, tokens: Sequence[list[str]], motions: Sequence[np.ndarray]) -> dict[str, float]:
        """R-Precision of motions by each judge."""
        figures: dict[str, float] = {}
        pool = min(self.arguments.pool_size, len(tokens))
        for name, judge in self.judges.items():
            ranks = functional.pooled_ranks(self._words(judge, tokens), embedded(judge, motions), pool)
            hits = functional.hits_within(np.bincount(ranks, minlength=pool), min(3, pool))
            figures |= {name + metric: value for metric, value in hits.items()}
        return figures

    @staticmethod
    def _words(judge: TextMotionEvaluatorModel, tokens: Sequence[list[str]]) -> np.ndarray:
        return judge.get_text_features(list(tokens)).cpu().numpy()


def embedded(judge: TextMotionEvaluatorModel, motions: Sequence[np.ndarray]) -> np.ndarray:
    """(N, dim) what a judge makes of motions.

    Args:
        judge: The judge.
        motions: N motions, (T, D) raw features each.

    Returns:
        Their embeddings.
    """
    return judge.get_motion_features(list(motions)).cpu().numpy()


def displacement(real: np.ndarray, written: np.ndarray, begin: int, end: int) -> dict[str, float]:
    """How far a written part is from the real one.

    Args:
        real: (T, D) raw features.
        written: (T, D), the same before `begin`.
        begin: First frame of the part.
        end: First frame behind it.

    Returns:
        {"ade_m": mean joint distance over the part, "fde_m": in its last frame, "end_pose_m": in its last frame with
        root and heading of both aligned}.
    """
    skeleton = skeleton_for(real.shape[1])
    ours, theirs = (np.asarray(features_to_joints(m, skeleton=skeleton)) for m in (written, real))
    distance = np.linalg.norm(ours[begin:end] - theirs[begin:end], axis=-1).mean(-1)
    poses = [m[end - 1, skeleton.slices["positions"]].reshape(-1, 3) for m in (written, real)]
    return {
        "ade_m": float(distance.mean() * skeleton.unit_scale),
        "fde_m": float(distance[-1] * skeleton.unit_scale),
        "end_pose_m": float(np.linalg.norm(poses[0] - poses[1], axis=-1).mean() * skeleton.unit_scale),
    }


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, and write results.json.

    Args:
        arguments: What `beyond.parse` returns.

    Returns:
        What results.json holds.

    Raises:
        ValueError: A folder of another kind, a model that is not on the Hub, or a split that is missing or too small.
    """
    arguments = located(arguments)
    dataset = load_motion_dataset(arguments.dataset)
    if arguments.split not in dataset:
        raise ValueError(f"{arguments.dataset} has no split {arguments.split!r}, only {', '.join(dataset)}")
    entries = captioned_motions(dataset[arguments.split])
    model = load_model(UniMoForConditionalGeneration, arguments.model, "--model a UniMo folder").eval()
    processor = UniMoProcessor.from_pretrained(arguments.model)
    long_enough = sum(len(entry.motion) >= 8 * processor.feature_extractor.unit_length for entry in entries)
    if long_enough < 4:
        raise ValueError(
            f"split {arguments.split!r} has {long_enough} captioned motions of 1.6 s or more, 4 are needed"
        )
    judges = {}
    for begins, option in (("", "evaluator"), ("held_out_", "held_out_evaluator")):
        if (folder := getattr(arguments, option)) is not None:
            wanted = f"--{option} the folder of an evaluator"
            judges[begins] = load_model(TextMotionEvaluatorModel, folder, wanted).eval()
    hard = captioned_motions(dataset[arguments.hard_split]) if arguments.hard_split in dataset else []
    measured = LongMotions(model, processor, judges, entries, hard, arguments)
    results: dict[str, Any] = {
        "settings": {name: value for name, value in vars(arguments).items() if name not in ("output", "repeats")},
        "tasks": processor.tasks,
        "rows": {},
        "repeats": [],
    }
    # By content: paths are no business of whoever reads the figures.
    for name in ("model", "evaluator", "held_out_evaluator"):
        if (folder := getattr(arguments, name)) is not None:
            results["settings"][name] = f"sha256 {functional.fingerprint(Path(folder))}"
    captions = [text for entry in entries for text in entry.texts]
    results["settings"]["dataset"] = f"captions, sha256 {functional.fingerprint(captions)}"
    path = Path(arguments.output) / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = read_json(path, "name another --output or delete it") if path.is_file() else {}
    repeats: list[Figures] = results["repeats"]
    for repeat in range(arguments.repeats):
        known = earlier["repeats"][repeat:] if earlier.get("settings") == results["settings"] else []
        repeats.append(known[0] if known else {})
        for figures in measured.measure(arguments.seed + repeat, set(repeats[-1])):
            repeats[-1] |= figures
            results["rows"] = summary(repeats)
            write_json(path, results)  # what is measured by now survives a kill
    results["rows"] = summary(repeats)
    return results


def summary(repeats: Sequence[Figures]) -> dict[str, dict[str, dict[str, float]]]:
    """Means with half-widths over repeats.

    Args:
        repeats: Figures of each.

    Returns:
        {row: {metric: {"mean", "ci95"}}}.
    """
    told: dict[str, list[dict[str, float]]] = defaultdict(list)
    for repeat in repeats:
        for row, metrics in repeat.items():
            told[row].append(metrics)
    return {
        row: {name: functional.mean_ci95([metrics[name] for metrics in several]) for name in several[0]}
        for row, several in told.items()
    }


def lines(results: Mapping[str, Any]) -> list[str]:
    """The figures as lines of text.

    Args:
        results: What `evaluate` returns.

    Returns:
        One line a row.
    """
    told = []
    for row, metrics in results["rows"].items():
        figures = ", ".join(
            f"{name} {value['mean']:.4g}" + (f" ± {value['ci95']:.2g}" if "ci95" in value else "")
            for name, value in metrics.items()
        )
        told.append(f"{row}: {figures}")
    return told
