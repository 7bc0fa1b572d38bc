"""The command that writes thoughts: `python -m datasets_scripts.annotate --dataset DIR --annotator ... --output DIR`.

Annotators: `kinematic` (measured on the joints; needs nothing), `vlm` (a vision-language model: `--server` speaks
OpenAI's API, as vLLM does, or `--model` is a Qwen2.5-VL to run here) and `none` (only checks the thoughts that are
there). Each thought is checked against the 3D motion; its consistency and where it comes from stand in
`thoughts.parquet` beside the data. Captions that have a thought keep it, unless `--overwrite_thoughts` is given.

A run that was stopped goes on where it was when the same command is given again: finished clips, and every answer of a
model, stand in the folder OUTPUT.annotation. Neither key nor address of a server enters any file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.schema import (
    CAPTION,
    CLIP,
    NOTE,
    BuildSummary,
    Caption,
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
from datasets_scripts.sources.clips import map_in_order
from datasets_scripts.thoughts.annotate.clip_annotator import (
    VLM,
    ClipAnnotator,
    Job,
    Provenance,
    Result,
    provenance_of,
    verifier_version,
)
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator, threaded
from datasets_scripts.thoughts.annotate.vlm_local import LocalModel
from datasets_scripts.thoughts.annotate.vlm_prompt import ModelUnusable
from datasets_scripts.thoughts.annotate.vlm_server import SENDING, ChatServer, Retries
from datasets_scripts.thoughts.annotate.work_folder import WorkFolder
from datasets_scripts.thoughts.records import (
    FILE,
    GIVEN,
    ThoughtRecord,
    check_texts_output,
    earlier_records,
    source_words,
    write_records,
    write_texts,
)
from modeling_unimo.command_line import positive_int
from modeling_unimo.motion_representation import HUMANML3D
from modeling_unimo.rendering_unimo import VIEWS

ANNOTATORS = ("kinematic", "vlm", "none")
WITHOUT_THOUGHT = ("drop", "keep")
# The rest of a model's settings; what a command line changes of them does not fit another annotator.
_VLM_OPTIONS = (
    "server model key_variable send views size frame_rate max_frames max_tokens temperature asks concurrency timeout "
    "attempts price_input price_output device dtype"
).split()


@dataclass
class AnnotationSummary:
    """What a run did, over all clips of the output, those of earlier runs included.

    `inconsistent`, `unsupported` and `unread` count the thoughts that `Rules` left out: contradicted too often, with
    nothing decided, with too few sentences read. `undecided` counts all thoughts with nothing decided. `unusable` has
    the clips that can be no row of a dataset, by reason, where no `build` counts them.
    """

    clips: int = 0
    resumed: int = 0
    written: int = 0
    given: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    inconsistent: int = 0
    unsupported: int = 0
    unread: int = 0
    undecided: int = 0
    sentences: int = 0
    sentences_read: int = 0
    scores: list[float] = field(default_factory=list)
    decided: int = 0
    contradicted: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0
    cost: float | None = None
    seconds: float = 0.0
    build: BuildSummary | None = None
    texts: int | None = None

    def table(self) -> str:
        """The summary as text, every reason with its count."""
        kept = self.written + self.given
        speed = f", {(self.clips - self.resumed) / self.seconds:.0f} clips/s" if self.seconds > 0 else ""
        lines = [
            f"{self.clips} clips in {self.seconds:.1f} s{speed}"
            + (f"; {self.resumed} of them finished by an earlier run" if self.resumed else ""),
            f"{kept} captions with a thought: {self.written} written, {self.given} there before",
        ]
        if self.scores:
            lines.append(
                f"consistency {np.mean(self.scores):.3f} on average over {len(self.scores)} thoughts with claims that "
                f"could be decided; {self.contradicted} of {self.decided} claims contradicted"
            )
        if self.sentences:
            lines.append(
                f"coverage {self.sentences_read / self.sentences:.3f}: the verifier found a claim in "
                f"{self.sentences_read} of {self.sentences} sentences"
            )
        lines.append(f"thoughts with nothing decided: {self.undecided}")
        titled = {"clips left out": self.unusable, "refused": self.refused, "not answered": self.unanswered}
        for title, reasons in titled.items():
            if reasons:
                lines.append(f"{title}: {sum(reasons.values())}")
                lines += [f"  {number:>6}  {reason}" for reason, number in reasons.most_common()]
        for number, why in (
            (self.inconsistent, "for their consistency"),
            (self.unsupported, "with nothing decided"),
            (self.unread, "for their coverage"),
        ):
            if number:
                lines.append(f"left out {why}: {number}")
        if self.asked or self.prompt_tokens:
            untold = f" (not told for {self.untold} answers)" if self.untold else ""
            cost = f", cost {self.cost:.4f}" if self.cost is not None else ""
            lines.append(
                f"{self.asked} answers in this run; in all {self.prompt_tokens} tokens read, {self.completion_tokens} "
                f"written{untold}{cost}"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Rules:
    """What is made of the records when they are written; a later run may use others on the same journal.

    Args:
        min_consistency: thoughts under it are left out. Those with nothing to decide stay, except a model's: nothing
            speaks for them.
        without_thought: "drop": captions without a thought are left out of the splits that train (those of test splits
            stay, where no thought is read); "keep": they stay in all.
        min_coverage: thoughts with a claim in a smaller share of their sentences are left out.
    """

    min_consistency: float | None = None
    without_thought: str = "drop"
    min_coverage: float | None = None

    def __post_init__(self):
        for name, share in (("min_consistency", self.min_consistency), ("min_coverage", self.min_coverage)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}; 0 to 1 is due")
        if self.without_thought not in WITHOUT_THOUGHT:
            raise ValueError(
                f"without_thought is {self.without_thought!r}; one of {', '.join(WITHOUT_THOUGHT)} is due"
            )


class _Writing:
    """From results to the clips that are written, counting what is left out."""

    def __init__(self, rules: Rules):
        self.rules, self.summary = rules, AnnotationSummary()
        self.records: list[ThoughtRecord] = []

    def clips(self, clip: Clip, result: Result) -> Iterator[Clip | Skipped]:
        """What is written of one clip."""
        self._count(result)
        if not result.records:
            yield clip  # with a fault that the writer finds and lists
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
        """Why the rules leave a thought out; "" where they do not."""
        rules, summary = self.rules, self.summary
        if rules.min_consistency is not None:
            if record.consistency is None and record.annotator == VLM:
                summary.unsupported += 1
                return "nothing of it could be decided"
            if record.consistency is not None and record.consistency < rules.min_consistency:
                summary.inconsistent += 1
                return f"consistency under {rules.min_consistency:g}"
        if rules.min_coverage is not None and record.coverage is not None and record.coverage < rules.min_coverage:
            summary.unread += 1
            return f"coverage under {rules.min_coverage:g}"
        return ""

    def _count(self, result: Result) -> None:
        summary = self.summary
        summary.clips += 1
        summary.resumed += result.resumed
        summary.asked += result.asked
        summary.prompt_tokens += result.prompt_tokens
        summary.completion_tokens += result.completion_tokens
        summary.untold += result.untold


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
    """Fills in the thoughts of a dataset folder and checks them against its motion.

    Args:
        dataset: the folder.
        annotator: what writes them; None only checks those that are there.
        output: dataset folder to write: new, empty or an earlier build.
        texts_only: folder for the thoughts alone, without motion and captions; one of the two must be given.
        rules: which thoughts are left out.
        overwrite: write anew where there is a thought.
        splits: only these are annotated, the others are written as they are; by default all.
        limit: only the first so many clips.
        workers: processes, for the kinematic annotator.
        prices: of a million tokens read and written, for the cost.
        settings: more that thoughts depend on; a run that goes on must have the same.
        progress: show a progress bar.

    Raises:
        FileNotFoundError, ValueError, FileExistsError: an input or output cannot be used.
        ModelUnusable: the model cannot be reached; what is finished is kept.
    """
    from tqdm.auto import tqdm

    started = time.perf_counter()
    rules = rules or Rules()
    place = output if output is not None else texts_only
    if place is None:
        raise ValueError("nothing to write: give an output or texts_only")
    if output is not None:
        check_output(output)
    if texts_only is not None:
        check_texts_output(texts_only)
    if dataset_width(dataset) != HUMANML3D.feature_dim:
        raise ValueError(
            f"{dataset} holds features of {dataset_width(dataset)} columns; thoughts are written and checked for the "
            f"22-joint skeleton with {HUMANML3D.feature_dim}"
        )
    if output is not None and Path(output).resolve() == Path(dataset).resolve():
        raise ValueError("--output is the dataset itself; give another folder")
    there = dataset_files(dataset)
    unknown = sorted(set(splits or ()) - set(there))
    if unknown:
        raise ValueError(f"{dataset} has no split {', '.join(unknown)}, only {', '.join(there)}")
    provenance = provenance_of(annotator)
    settings = {
        **(settings or {}),
        **asdict(provenance),
        "overwrite": overwrite,
        "splits": sorted(splits) if splits else None,
        "verifier": verifier_version(),
    }
    place = Path(place).absolute()
    writing = _Writing(rules)
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
            _limited(iter_dataset(dataset), limit), annotate, work, writing, given, splits, max(1, workers)
        )

        total = min(count_clips(dataset), limit or sys.maxsize)

        def finish(folder: Path) -> None:
            write_records(writing.records, folder / FILE)

        if output is not None:
            writing.summary.build = write_dataset(
                clips,
                output,
                card=lambda: _card(dataset, provenance, rules, settings, writing.records),
                total=total,
                progress=progress,
                finish=finish,
            )
        else:
            _without_dataset(tqdm(clips, total=total, unit="clip", disable=not progress), writing.summary)
        if texts_only is not None:
            card = _card("", provenance, rules, settings, writing.records)
            writing.summary.texts = write_texts(writing.records, texts_only, card)
    summary = writing.summary
    if prices is not None:
        summary.cost = (summary.prompt_tokens * prices[0] + summary.completion_tokens * prices[1]) / 1e6
    summary.seconds = time.perf_counter() - started
    return summary


def _without_dataset(clips: Iterable[Clip | Skipped], summary: AnnotationSummary) -> None:
    """Goes through the clips where no dataset is written, and counts those that could be no row of one."""
    for item in clips:
        fault = item if isinstance(item, Skipped) else find_fault(item, HUMANML3D.feature_dim)
        if fault is not None and fault.kind == CLIP:
            summary.unusable[fault.reason] += 1


def _limited(clips: Iterable[Clip], limit: int | None) -> Iterator[Clip]:
    # Before anything is done to them: a model must not be asked about clips that are not wanted.
    return islice(clips, limit)


def _annotated(
    clips: Iterable[Clip],
    annotate: ClipAnnotator,
    work: WorkFolder,
    writing: _Writing,
    given: dict[tuple[str, str, int], ThoughtRecord],
    splits: Sequence[str] | None,
    workers: int,
) -> Iterator[Clip | Skipped]:
    """The clips with their thoughts, in order; each is in the journal before it is handed on."""
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


def _card(
    dataset: str | Path,
    provenance: Provenance,
    rules: Rules,
    settings: dict[str, Any],
    records: Sequence[ThoughtRecord],
) -> str:
    """The words about the thoughts, after those of the dataset they were written for."""
    words = source_words(dataset) if dataset else ""
    lines = [words, ""] if words else []
    lines += ["## Thoughts", ""]
    if provenance.annotator == "none":
        lines.append("The thoughts that the captions had were checked against the motion.")
    else:
        named: dict[str, Any] = {
            "annotator": provenance.annotator,
            "model": provenance.model,
            "version": provenance.version,
            "prompt": provenance.prompt,
            "views": provenance.views,
            **{name: settings[name] for name in ("frame_rate", "temperature") if name in settings},
        }
        lines += [f"- {name}: {value}" for name, value in named.items() if value != ""]
    lines.append("")
    lines.append(
        "Every checkable claim of a thought (side, direction, turn, order, count, height, jump) was tested against "
        f"the 3D joints; `{FILE}` (configuration `thoughts`) holds for each caption where its thought comes from, the "
        "share of its claims that hold, and those that do not."
    )
    kept = [record for record in records if record.thought]
    sentences = sum(record.sentences for record in kept)
    if sentences:
        found = sentences - sum(len(record.unread) for record in kept)
        lines.append(
            f"Such a claim was found in {found} of {sentences} sentences (coverage {found / sentences:.3f}). Thoughts "
            f"with nothing decided, which no measurement speaks for or against: "
            f"{sum(record.consistency is None for record in kept)}."
        )
    if rules.min_consistency is not None:
        lines.append(
            f"Thoughts with a share under {rules.min_consistency:g} were left out, and those of a vision-language "
            "model with nothing decided."
        )
    if rules.min_coverage is not None:
        lines.append(f"Thoughts with a claim in under {rules.min_coverage:g} of their sentences were left out.")
    return "\n".join(lines)


def make_annotator(arguments: argparse.Namespace) -> KinematicAnnotator | VlmAnnotator | None:
    """The annotator that the command line asks for.

    Raises:
        FileNotFoundError, ValueError, ImportError: a model or an option cannot be used.
    """
    if arguments.annotator == "none":
        return None
    if arguments.annotator == "kinematic":
        return KinematicAnnotator(seed=arguments.seed)
    model: ChatServer | LocalModel
    if arguments.server:
        model = ChatServer(
            arguments.server,
            arguments.model,
            key_variable=arguments.key_variable,
            timeout=arguments.timeout,
            retries=Retries(arguments.attempts),
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
            send=arguments.send,
        )
    else:
        model = LocalModel(arguments.model, arguments.device, arguments.dtype, arguments.max_tokens)
    return VlmAnnotator(
        model,
        views=arguments.views,
        size=arguments.size,
        frame_rate=arguments.frame_rate,
        max_frames=arguments.max_frames,
        asks=arguments.asks,
        concurrency=arguments.concurrency if arguments.server else 1,
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="dataset folder to annotate")
    parser.add_argument("--annotator", choices=ANNOTATORS, default="kinematic")
    parser.add_argument("--output", help="dataset folder to write: new, empty or an earlier build")
    parser.add_argument("--texts_only", metavar="DIR", help="folder for the thoughts alone, keyed by clip id")
    parser.add_argument("--overwrite_thoughts", action="store_true", help="write anew where there is a thought")
    parser.add_argument(
        "--min_consistency",
        type=float,
        help="leave out thoughts with a smaller share of claims that hold (0..1),\nand a model's with nothing decided",
    )
    parser.add_argument(
        "--min_coverage", type=float, help="leave out thoughts with a claim in a smaller share of sentences (0..1)"
    )
    parser.add_argument(
        "--without_thought",
        choices=WITHOUT_THOUGHT,
        default="drop",
        help="captions without a thought: left out, except from test splits (default), or kept in all",
    )
    parser.add_argument("--splits", nargs="+", help="annotate only these, write the others as they are")
    parser.add_argument("--limit", type=positive_int, help="only the first so many clips")
    parser.add_argument("--seed", type=int, default=0, help="of the wording; sent to a server")
    parser.add_argument("--workers", type=positive_int, default=1, help="processes, for kinematic and none")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group("vlm")
    group.add_argument("--server", metavar="URL", help="an OpenAI-compatible server, http(s)://host[:port]")
    group.add_argument("--model", help="its name at the server; without --server a Qwen2.5-VL: folder or Hub name")
    group.add_argument(
        "--key_variable", default="OPENAI_API_KEY", metavar="NAME", help="environment variable with the key"
    )
    group.add_argument("--send", choices=SENDING, default="images", help="pictures, or an MP4 (vLLM; needs PyAV)")
    group.add_argument("--views", nargs="+", choices=VIEWS, default=["three-quarter"], help="shown side by side")
    group.add_argument("--size", type=positive_int, default=336, help="pixels of a view (336)")
    group.add_argument("--frame_rate", type=float, default=5.0, help="frames per second shown (5)")
    group.add_argument("--max_frames", type=positive_int, default=64, help="of one clip (64)")
    group.add_argument("--max_tokens", type=positive_int, default=400, help="of an answer (400)")
    group.add_argument("--temperature", type=float, default=0.0, help="at a server; 0 is greedy (default)")
    group.add_argument("--asks", type=positive_int, default=2, help="asks for an answer that can be used (2)")
    group.add_argument("--concurrency", type=positive_int, default=8, help="requests under way at once (8)")
    group.add_argument("--timeout", type=float, default=120.0, help="seconds for a request (120)")
    group.add_argument("--attempts", type=positive_int, default=6, help="per request, with growing pauses (6)")
    group.add_argument("--price_input", type=float, help="of a million tokens read, for the cost")
    group.add_argument("--price_output", type=float, help="of a million tokens written")
    group.add_argument("--device", help="for a model run here (cuda where there is one)")
    group.add_argument("--dtype", default="auto", help="of its weights (as saved)")
    return parser


def _check_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if not arguments.output and not arguments.texts_only:
        parser.error("nothing to write: give --output, --texts_only or both")
    if arguments.annotator != "vlm":
        for name in _VLM_OPTIONS:
            if getattr(arguments, name) != parser.get_default(name):
                parser.error(f"--{name} does not belong to --annotator {arguments.annotator}")
    elif not arguments.model:
        parser.error("--annotator vlm needs --model (and --server, where it is not to run here)")
    elif arguments.workers > 1:
        parser.error("--workers does not belong to --annotator vlm; see --concurrency")
    if (arguments.price_input is None) != (arguments.price_output is None):
        parser.error("--price_input and --price_output belong together")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0, 1 where a model left captions unanswered, 2 where the input cannot be used."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    _check_options(parser, arguments)
    settings = {"seed": arguments.seed}
    if arguments.annotator == "vlm":
        # Neither address nor key: they do not change what a model says.
        names = ("send", "size", "frame_rate", "max_frames", "max_tokens", "temperature", "asks")
        settings |= {name: getattr(arguments, name) for name in names}
    place = Path(arguments.output or arguments.texts_only)
    kept = f"what is finished stands in {place.name}.annotation; the same command goes on from there"
    try:
        summary = annotate_dataset(
            arguments.dataset,
            make_annotator(arguments),
            arguments.output,
            arguments.texts_only,
            Rules(arguments.min_consistency, arguments.without_thought, arguments.min_coverage),
            overwrite=arguments.overwrite_thoughts,
            splits=arguments.splits,
            limit=arguments.limit,
            workers=arguments.workers,
            prices=None if arguments.price_input is None else (arguments.price_input, arguments.price_output),
            settings=settings,
            progress=not arguments.quiet,
        )
    except ModelUnusable as error:
        print(f"error: {error} ({kept})", file=sys.stderr)
        return 2
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; {kept}", file=sys.stderr)
        return 130
    if summary.build is not None:
        print(summary.build.table())
    print(summary.table())
    for folder in (arguments.output, arguments.texts_only):
        if folder:
            print(f"-> {folder}" + (f" ({summary.texts} thoughts)" if folder == arguments.texts_only else ""))
    if summary.unanswered:
        print("the same command asks again for what was not answered")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
