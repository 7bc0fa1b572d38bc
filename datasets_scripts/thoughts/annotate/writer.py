"""From the results of clips to what is written of them, by rules that a later run may change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from datasets_scripts.schema import CAPTION, NOTE, Caption, Clip, Skipped, find_fault
from datasets_scripts.thoughts.annotate.clip_annotator import VLM, Result
from datasets_scripts.thoughts.annotate.rules import Rules
from datasets_scripts.thoughts.annotate.summary import AnnotationSummary
from datasets_scripts.thoughts.records import GIVEN, ThoughtRecord
from modeling_unimo.skeletons_unimo import HUMANML3D


class ResultWriter:
    """From results to the clips and records that are written, counting what is left out.

    Args:
        rules: which thoughts and captions are written.
    """

    def __init__(self, rules: Rules):
        self.rules, self.summary = rules, AnnotationSummary()
        self.records: list[ThoughtRecord] = []

    def clips(self, clip: Clip, result: Result) -> Iterator[Clip | Skipped]:
        """The clip as it is written, and what is left out of it.

        Args:
            clip: As it was read.
            result: What became of its thoughts.

        Yields:
            The clip, unless nothing of it is left, and the captions left out.
        """
        self._count(result)
        if result.error:
            yield Skipped(clip.id, "the annotator failed", result.error)
            return
        if not result.records:
            yield clip  # the dataset's writer finds its fault and lists it
            return
        captions: list[Caption] = []
        records = []
        for index, (caption, record) in enumerate(zip(clip.captions, result.records, strict=True)):
            record = self._judged(record, result.failures.get(index))
            keep = bool(record.thought) or self.rules.without_thought == "keep" or clip.split.startswith("test")
            if not record.thought:
                kind = NOTE if keep else CAPTION
                yield Skipped(clip.id, f"no thought: {record.refused}", caption.text[:80], kind)
            records.append(replace(record, caption=len(captions) if keep else -1))
            if keep:
                captions.append(replace(caption, thought=record.thought))
        made = replace(clip, captions=captions)
        if not find_fault(made, HUMANML3D.feature_dim):
            self.records += records
        yield made

    def _judged(self, record: ThoughtRecord, failure: str | None) -> ThoughtRecord:
        summary = self.summary
        if failure is not None:
            summary.unanswered[failure] += 1
            return replace(record, refused=f"not answered: {failure}")
        if not record.thought:
            summary.refused[record.refused] += 1
            return record
        if record.consistency is None:
            summary.undecided += 1
        else:
            summary.scores.append(record.consistency)
        summary.decided += record.decided
        summary.contradicted += len(record.contradicted)
        summary.sentences += record.sentences
        summary.sentences_read += record.sentences - len(record.unread)
        reason = self._left_out(record)
        if reason:
            return replace(record, thought="", refused=reason)
        if record.annotator == GIVEN:
            summary.given += 1
        else:
            summary.written += 1
        return record

    def _left_out(self, record: ThoughtRecord) -> str:
        """Why the rules leave a thought out; "" if they do not."""
        rules, summary = self.rules, self.summary
        if rules.min_consistency is not None:
            if record.consistency is None and record.annotator == VLM:
                summary.unsupported += 1
                return "no decidable claim"
            if record.consistency is not None and record.consistency < rules.min_consistency:
                summary.inconsistent += 1
                return f"consistency below {rules.min_consistency:g}"
        if rules.min_coverage is not None and record.coverage is not None and record.coverage < rules.min_coverage:
            summary.unread += 1
            return f"coverage below {rules.min_coverage:g}"
        return ""

    def _count(self, result: Result) -> None:
        summary = self.summary
        summary.clips += 1
        summary.resumed += result.resumed
        summary.asked += result.asked
        summary.prompt_tokens += result.prompt_tokens
        summary.completion_tokens += result.completion_tokens
        summary.untold += result.untold
