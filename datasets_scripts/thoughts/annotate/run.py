"""The annotation of a dataset folder: from its clips to thoughts, journal, dataset or texts folder, and card."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from datasets_scripts.schema import (
    CLIP,
    Clip,
    Skipped,
    check_output,
    count_clips,
    dataset_files,
    dataset_width,
    find_fault,
    iter_dataset,
    write_dataset,
)
from datasets_scripts.templates import CARDS, render
from datasets_scripts.thoughts.annotate.clip_annotator import (
    ClipAnnotator,
    Job,
    Provenance,
    Result,
    provenance_of,
    verifier_version,
)
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.thoughts.annotate.rules import Rules
from datasets_scripts.thoughts.annotate.summary import AnnotationSummary
from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator, threaded
from datasets_scripts.thoughts.annotate.work_folder import WorkFolder
from datasets_scripts.thoughts.annotate.writer import ResultWriter
from datasets_scripts.thoughts.records import (
    FILE,
    ThoughtRecord,
    check_texts_output,
    earlier_records,
    source_words,
    write_records,
    write_texts,
)
from datasets_scripts.workers import map_in_order
from modeling_unimo.skeletons_unimo import HUMANML3D


def annotate_dataset(
    dataset: str | Path,
    annotator: KinematicAnnotator | VlmAnnotator | None,
    output: str | Path | None = None,
    texts_only: str | Path | None = None,
    rules: Rules | None = None,
    overwrite: bool = False,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    workers: int = 1,
    prices: tuple[float, float] | None = None,
    settings: dict[str, Any] | None = None,
    progress: bool = False,
) -> AnnotationSummary:
    """Fill in the thoughts of a dataset folder and check them against its motion.

    A clip on which the annotator fails is left out and named; the run goes on.

    Args:
        dataset: the folder.
        annotator: what writes the thoughts; None only checks existing ones.
        output: dataset folder to write: new, empty or an earlier build.
        texts_only: folder for the thoughts alone, without motion and captions; one of the two must be given.
        rules: which thoughts are left out.
        overwrite: replace existing thoughts.
        splits: annotate only these and write the others unchanged; by default all.
        limit: maximum number of clips.
        workers: processes, for the kinematic annotator.
        prices: of a million prompt and completion tokens, for the cost.
        settings: whatever else thoughts depend on; a resumed run must have the same.
        progress: show a progress bar.

    Returns:
        Counts of what was written and of what was left out, by reason.

    Raises:
        FileNotFoundError, ValueError, FileExistsError: an input or output cannot be used.
        ModelUnusable: the model cannot be reached; what is finished is kept.
    """
    from tqdm.auto import tqdm

    started = time.perf_counter()
    rules = rules or Rules()
    place = output if output is not None else texts_only
    if place is None:
        raise ValueError("output or texts_only is required")
    if output is not None:
        check_output(output)
    if texts_only is not None:
        check_texts_output(texts_only)
    if dataset_width(dataset) != HUMANML3D.feature_dim:
        raise ValueError(
            f"{dataset} has {dataset_width(dataset)}-dimensional features; thoughts need the "
            f"{HUMANML3D.feature_dim} of the 22-joint skeleton"
        )
    if output is not None and Path(output).resolve() == Path(dataset).resolve():
        raise ValueError("output must not be the dataset itself")
    there = dataset_files(dataset)
    unknown = sorted(set(splits or ()) - set(there))
    if unknown:
        raise ValueError(f"{dataset} has no split {', '.join(unknown)}; it has {', '.join(there)}")
    provenance = provenance_of(annotator)
    settings = {
        **(settings or {}),
        **asdict(provenance),
        "overwrite": overwrite,
        "splits": sorted(splits) if splits else None,
        "verifier": verifier_version(),
    }
    place = Path(place).absolute()
    writing = ResultWriter(rules)
    with ExitStack() as stack:
        work = stack.enter_context(
            WorkFolder(
                place.with_name(f"{place.name}.annotation"), settings, 0 if isinstance(annotator, VlmAnnotator) else 1
            )
        )
        given = earlier_records(dataset)
        annotate = ClipAnnotator(annotator, provenance, overwrite, work.answers if annotator else None)
        if not isinstance(annotator, VlmAnnotator):
            annotate = replace(annotate, answers=None)  # goes to other processes, where a file cannot
        clips = _annotated(
            islice(iter_dataset(dataset), limit), annotate, work, writing, given, splits, max(1, workers)
        )

        total = min(count_clips(dataset), limit or sys.maxsize)

        def finish(folder: Path) -> None:
            write_records(writing.records, folder / FILE)

        if output is not None:
            writing.summary.build = write_dataset(
                clips,
                output,
                card=lambda: thoughts_card(dataset, provenance, rules, settings, writing.records),
                total=total,
                progress=progress,
                finish=finish,
            )
        else:
            _without_dataset(tqdm(clips, total=total, unit="clip", disable=not progress), writing.summary)
        if texts_only is not None:
            card = thoughts_card("", provenance, rules, settings, writing.records)
            writing.summary.texts = write_texts(writing.records, texts_only, card)
    summary = writing.summary
    if prices is not None:
        summary.cost = (summary.prompt_tokens * prices[0] + summary.completion_tokens * prices[1]) / 1e6
    summary.seconds = time.perf_counter() - started
    return summary


def _without_dataset(clips: Iterable[Clip | Skipped], summary: AnnotationSummary) -> None:
    """Go through the clips if no dataset is written, and count those that cannot be rows of one."""
    for item in clips:
        fault = item if isinstance(item, Skipped) else find_fault(item, HUMANML3D.feature_dim)
        if fault is not None and fault.kind == CLIP:
            summary.unusable[fault.reason] += 1


def _annotated(
    clips: Iterable[Clip],
    annotate: ClipAnnotator,
    work: WorkFolder,
    writing: ResultWriter,
    given: dict[tuple[str, str, int], ThoughtRecord],
    splits: Sequence[str] | None,
    workers: int,
) -> Iterator[Clip | Skipped]:
    """The clips with their thoughts, in order; each is in the journal before it is passed on."""
    waiting: deque[Clip] = deque()  # results come in order, so the motion need not travel back with them

    def jobs() -> Iterator[Job]:
        for clip in clips:
            waiting.append(clip)
            keys = [(clip.split, clip.id, index) for index in range(len(clip.captions))]
            earlier = {key[2]: given[key] for key in keys if key in given}
            if splits is None or clip.split in splits:
                yield work.job(clip, earlier)
            else:
                writing.records += earlier.values()
                yield Job(clip, "", untouched=True)

    def noted(job: Job) -> Result:
        result = annotate(job)
        work.add(result)
        return result

    results: Iterator[Result]
    if isinstance(annotate.annotator, VlmAnnotator):
        results = threaded(noted, jobs(), annotate.annotator.concurrency, annotate.annotator.model.stop)
    elif workers > 1:
        results = map_in_order(annotate, jobs(), workers)
    else:
        results = map(noted, jobs())
    for result in results:
        clip = waiting.popleft()
        if workers > 1:
            work.add(result)
        yield from writing.clips(clip, work.tokens(result) if result.records else result)


def thoughts_card(
    dataset: str | Path,
    provenance: Provenance,
    rules: Rules,
    settings: dict[str, Any],
    records: Sequence[ThoughtRecord],
) -> str:
    """What a card says of the thoughts, after the words of the dataset ("" for none) that they were written for.

    Args:
        dataset: Folder of the dataset.
        provenance: Origin of the thoughts.
        rules: Which thoughts were left out.
        settings: Of the annotator.
        records: The thoughts.

    Returns:
        The card, in Markdown.
    """
    kept = [record for record in records if record.thought]
    sentences = sum(record.sentences for record in kept)
    made_with = {name: getattr(provenance, name) for name in ("annotator", "model", "version", "prompt", "views")}
    made_with |= {name: settings[name] for name in ("frame_rate", "temperature") if name in settings}
    return render(
        CARDS / "thoughts_section.md",
        source=source_words(dataset) if dataset else "",
        made_with={name: value for name, value in made_with.items() if value != ""},
        file=FILE,
        sentences=sentences,
        read=sentences - sum(len(record.unread) for record in kept),
        undecided=sum(record.consistency is None for record in kept),
        rules=rules,
    ).strip()
