"""One clip at a time: its captions get thoughts, and every thought is checked against the motion."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts import verify
from datasets_scripts.schema import Clip, find_fault
from datasets_scripts.thoughts import render
from datasets_scripts.thoughts.annotate import (
    answers,
    event_words,
    events,
    kinematic_annotator,
    plan_style,
    vlm_annotator,
    vlm_prompt,
)
from datasets_scripts.thoughts.annotate.answers import thought_fault
from datasets_scripts.thoughts.annotate.journal import Journal
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator, joints_of
from datasets_scripts.thoughts.annotate.vlm_prompt import ModelUnusable, Reply, prompt_hash
from datasets_scripts.thoughts.records import ThoughtRecord, text_hash
from datasets_scripts.verify import claims, evidence, grammar, kinematics, lexicon, rules
from modeling_unimo import rendering_unimo
from modeling_unimo.files_unimo import sha256_of
from modeling_unimo.skeletons_unimo import HUMANML3D

VLM = "vlm"  # the annotator of a thought that a vision-language model wrote


@dataclass(frozen=True)
class Provenance:
    """Origin of the thoughts of one run; see `ThoughtRecord`."""

    annotator: str
    model: str = ""
    version: str = ""
    prompt: str = ""
    views: str = ""


@dataclass(frozen=True)
class Job:
    """A clip to annotate.

    Attributes:
        clip: the clip.
        digest: of its content.
        finished: its records, if an earlier run finished it.
        untouched: whether it is written as it is.
        given: provenance of its existing thoughts, by caption.
        known: a model's replies from an earlier run that did not finish the clip, by (caption, ask).
    """

    clip: Clip
    digest: str
    finished: list[ThoughtRecord] | None = None
    untouched: bool = False
    given: dict[int, ThoughtRecord] = field(default_factory=dict)
    known: dict[tuple[int, int], Reply] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of a clip.

    Attributes:
        split, id, digest: of the clip.
        records: one per caption; empty if the clip is written as it is.
        failures: captions that a model did not answer, by index, with the reason.
        prompt_tokens, completion_tokens: of all replies.
        untold: replies without token counts.
        asked: replies obtained in this run.
        resumed: whether an earlier run finished the clip.
        error: the exception that the annotator raised, which leaves the clip out; "" if it raised none.
    """

    split: str
    id: str
    digest: str
    records: list[ThoughtRecord]
    failures: dict[int, str] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0
    asked: int = 0
    resumed: bool = False
    error: str = ""


@dataclass(frozen=True)
class ClipAnnotator:
    """Turns a job into its result, in other processes (kinematic) or in threads (vlm).

    Args:
        annotator: what writes thoughts; None only checks existing ones.
        provenance: of what it writes.
        overwrite: replace existing thoughts.
        answers: journal of a model's replies.
    """

    annotator: KinematicAnnotator | VlmAnnotator | None
    provenance: Provenance
    overwrite: bool = False
    answers: Journal | None = None

    def __call__(self, job: Job) -> Result:
        """The result of one job.

        Raises:
            ModelUnusable: no request can succeed.
        """
        try:
            return self._result(job)
        except ModelUnusable:
            raise
        except Exception as error:  # whatever is wrong with one clip must not end a run over thousands
            message = " ".join(str(error).split())[:200]
            return Result(job.clip.split, job.clip.id, job.digest, [], error=f"{type(error).__name__}: {message}")

    def _result(self, job: Job) -> Result:
        clip = job.clip
        if job.finished is not None:
            return Result(clip.split, clip.id, job.digest, job.finished, resumed=True)
        if job.untouched:
            return Result(clip.split, clip.id, job.digest, [])
        if find_fault(clip, HUMANML3D.feature_dim):
            return Result(clip.split, clip.id, job.digest, [])  # the writer lists it
        work = _ClipWork(self, job)
        spans: dict[tuple[float, float], list[int]] = {}
        for index, caption in enumerate(clip.captions):
            if math.isfinite(caption.start * clip.fps) and math.isfinite(caption.end * clip.fps):
                spans.setdefault((caption.start, caption.end), []).append(index)
            else:
                work.without_part(index)
        for (start, end), indices in spans.items():
            part = clip.features
            if start or end:
                part = part[max(0, int(start * clip.fps)) : max(0, int(end * clip.fps))]
            work.span(part, indices)
        return work.result()


class _ClipWork:
    """The records of one clip in the making."""

    def __init__(self, how: ClipAnnotator, job: Job):
        self.how, self.job, self.clip = how, job, job.clip
        self.records: dict[int, ThoughtRecord] = {}
        self.failures: dict[int, str] = {}
        self.counts = Counter[str]()

    def result(self) -> Result:
        records = [self.records[index] for index in range(len(self.clip.captions))]
        counts = self.counts
        return Result(
            self.clip.split,
            self.clip.id,
            self.job.digest,
            records,
            self.failures,
            prompt_tokens=counts["prompt_tokens"],
            completion_tokens=counts["completion_tokens"],
            untold=counts["untold"],
            asked=counts["asked"],
        )

    def span(self, features: np.ndarray, indices: Sequence[int]) -> None:
        """The captions `indices`, which all describe these features (T, 263)."""
        empty = []
        for index in indices:
            self.records[index] = self._given(index)
            if not self.records[index].thought:
                empty.append(index)
        if len(features) < 2:
            self._refuse(empty, "fewer than two frames to describe")
            return
        joints = joints_of(features)
        lacking = [index for index in empty if self.clip.captions[index].text.strip()]
        self._refuse([index for index in empty if index not in lacking], "empty caption")
        match self.how.annotator:
            case KinematicAnnotator():
                self._measured(joints, lacking)
            case VlmAnnotator():
                self._seen(joints, lacking)
            case None:
                self._refuse(lacking, "no existing thought")
        self._check(joints, indices)

    def without_part(self, index: int) -> None:
        """Refuse a caption whose start or end is not a valid time."""
        # Zeros in its place: NaN would be another key at every look.
        record = replace(self._given(index), start=0.0, end=0.0)
        self.records[index] = replace(record, thought="", refused="start or end is not a valid time")

    def _given(self, index: int) -> ThoughtRecord:
        """The record of a caption, with its existing thought if that stays."""
        caption = self.clip.captions[index]
        record = ThoughtRecord(
            self.clip.split, self.clip.id, index, text_hash(caption.text), caption.start, caption.end
        )
        if not caption.thought.strip() or (self.how.overwrite and self.how.annotator is not None):
            return record
        fault = thought_fault(caption.thought)
        if fault:
            return replace(record, refused=f"existing thought: {fault}")
        earlier = self.job.given.get(index)
        if earlier is None or earlier.thought != caption.thought or earlier.text_sha256 != record.text_sha256:
            return replace(record, thought=caption.thought)
        return replace(earlier, start=caption.start, end=caption.end)

    def _refuse(self, indices: Iterable[int], reason: str) -> None:
        for index in indices:
            record = self.records[index]
            # Why an existing thought could not stay says more than that there is none.
            self.records[index] = replace(record, refused=record.refused or reason)

    def _write(self, index: int, thought: str) -> None:
        fault = thought_fault(thought)
        where = asdict(self.how.provenance)
        self.records[index] = replace(
            self.records[index], thought="" if fault else thought, refused=fault, consistency=None, **where
        )

    def _measured(self, joints: np.ndarray, indices: Sequence[int]) -> None:
        assert isinstance(self.how.annotator, KinematicAnnotator)
        if not indices:
            return
        texts = [self.clip.captions[index].text for index in indices]
        try:
            thoughts = self.how.annotator.annotate([joints] * len(texts), texts, self.clip.fps)
        except ValueError as error:
            self._refuse(indices, f"cannot be measured: {str(error).removeprefix('motion 0: ')}")
            return
        for index, thought in zip(indices, thoughts, strict=True):
            self._write(index, thought)

    def _seen(self, joints: np.ndarray, indices: Sequence[int]) -> None:
        annotator = self.how.annotator
        assert isinstance(annotator, VlmAnnotator)
        if not indices:
            return
        try:
            film = annotator.film(joints, self.clip.fps)
        except ValueError as error:
            self._refuse(indices, str(error).split(":")[0])
            return
        for index in indices:
            outcome = annotator.outcome(film, self.clip.captions[index].text, index, self.job.known, self._keep)
            self.counts.update(
                prompt_tokens=outcome.prompt_tokens,
                completion_tokens=outcome.completion_tokens,
                untold=outcome.untold,
                asked=outcome.asked,
            )
            if outcome.failure:
                self.failures[index] = outcome.failure
            elif outcome.fault:
                self.records[index] = replace(
                    self.records[index], refused=outcome.fault, **asdict(self.how.provenance)
                )
            else:
                self._write(index, outcome.thought)

    def _keep(self, index: int, ask: int, reply: Reply) -> None:
        if self.how.answers is not None:
            self.how.answers.append(
                {
                    "split": self.clip.split,
                    "id": self.clip.id,
                    "digest": self.job.digest,
                    "caption": index,
                    "ask": ask,
                    "model": self.how.provenance.model,
                    "prompt": self.how.provenance.prompt,
                    "reply": asdict(reply),
                }
            )

    def _check(self, joints: np.ndarray, indices: Sequence[int]) -> None:
        """Check each thought of a span against its motion."""
        checked = [index for index in indices if self.records[index].thought]
        if not checked:
            return
        try:
            found = verify.verify([self.records[index].thought for index in checked], joints, self.clip.fps)
        except ValueError as error:
            for index in checked:
                self.records[index] = replace(self.records[index], thought="", refused=f"cannot be checked: {error}")
            return
        for index, verification in zip(checked, found, strict=True):
            self.records[index] = replace(
                self.records[index],
                consistency=verification.consistency,
                decided=sum(claim.verdict != "undecided" for claim in verification.claims),
                contradicted=[f"{claim.text} (measured: {claim.measured})" for claim in verification.contradicted],
                sentences=verification.sentences,
                unread=list(verification.unread),
            )


def provenance_of(annotator: KinematicAnnotator | VlmAnnotator | None) -> Provenance:
    """Origin of the thoughts of an annotator; None only checks existing ones.

    Args:
        annotator: What writes the thoughts.

    Returns:
        The origin.
    """
    match annotator:
        case None:
            return Provenance("none")
        case KinematicAnnotator():
            sources = (kinematics, events, event_words, kinematic_annotator, plan_style)
            version = f"source {_digest(*sources)}, seed {annotator.seed}"
            version += "" if annotator.style == "sentences" else f", style {annotator.style}"
            return Provenance("kinematic", version=version)
        case VlmAnnotator():
            version = f"{annotator.model.kind}, source {_seeing(annotator)}"
            return Provenance(VLM, annotator.model.model, version, prompt_hash(), "+".join(annotator.views))


def verifier_version() -> str:
    """Version of what checks thoughts: other sources may give other scores.

    Returns:
        A hash.
    """
    return f"source {_digest(verify, evidence)}"


def _seeing(annotator: VlmAnnotator) -> str:
    """Version of what a model is shown and asked, and of what reads its answers."""
    client = inspect.getmodule(type(annotator.model))
    return _digest(
        client, vlm_annotator, vlm_prompt, answers, claims, grammar, lexicon, rules, render, rendering_unimo
    )


def _digest(*modules: Any) -> str:
    """Names the state of source files, all those of a package: a thought can be made again with the same one only."""
    files = [Path(module.__file__) for module in modules]
    return sha256_of(
        p for file in files for p in (sorted(file.parent.glob("*.py")) if file.stem == "__init__" else [file])
    )[:12]
