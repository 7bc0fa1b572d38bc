"""What choosing among candidates gains, by which reading, and what it costs.

`python -m benchmarks.candidates --run runs/quickstart` samples N answers for captions of the hard split and of the
test split and for motions of the test split, chooses among them by every score that the model's own readings make, and
has the judges score what was chosen. All scores choose among the same answers. What it writes, `candidates.json` and
`candidates-captions.json` in docs/results, `benchmarks.results_tables` shows.
"""

import argparse
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.timing import timed
from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import functional
from evaluate_unimo.instruction_accuracy import check_features, headline
from modeling_unimo import Answer, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.candidates_unimo import Reading, read_completions
from modeling_unimo.files_unimo import write_json

JUDGES = {"held-out judge": "evaluator_held_out", "judge": "evaluator"}
CAPTION_FIGURES = {"BLEU@1": "bleu1", "BLEU@4": "bleu4", "ROUGE-L": "rouge_l", "CIDEr": "cider"}
THOUGHTS = 4  # of a caption's candidates, that are averaged over
TIMED = 32  # captions of the timing
SCORES = {  # of a motion or caption: what chooses, and how it is computed from the readings of the candidates
    "t2m": {
        "one sample": "the first candidate",
        "thought and caption": "log p(thought, caption | motion), the default",
        "caption alone": "log p(caption | motion, thought)",
        "thought alone": "log p(thought | motion)",
        "thought and caption, per token": "the default divided by its tokens",
        "thought and caption, parts per token": "both parts divided by their own tokens",
        "minus the thought's prior": "the default minus log p(thought | caption)",
        f"{THOUGHTS} thoughts averaged": f"log mean p(thought, caption | motion) over {THOUGHTS} candidates' thoughts",
        "likelihood": "log p(thought, motion | caption), as it was written",
        "verifier": "claims of the caption that the motion holds; needs no model",
    },
    "m2t": {
        "one sample": "the first candidate",
        "thought and motion": "log p(thought, motion | caption), the default",
        "motion alone": "log p(motion | caption, thought)",
        "thought and motion, per token": "the default divided by its tokens",
        "minus the thought's prior": "the default minus log p(thought | motion)",
        "likelihood": "log p(thought, caption | motion), as it was written",
        "consensus": "mean ROUGE-L of the caption with the other candidates'",
    },
}


def _grouped(values: Sequence[Any], count: int) -> list[list[Any]]:
    """`values` in groups of `count`."""
    return [list(values[begin : begin + count]) for begin in range(0, len(values), count)]


def reading_scores(
    answer: np.ndarray, thought: np.ndarray, tokens: np.ndarray, thought_tokens: np.ndarray, prior: np.ndarray
) -> dict[str, np.ndarray]:
    """Scores of both directions from log-probabilities and counts of tokens, all of one shape.

    Args:
        answer: (requests, candidates) log-probability of the answer.
        thought: The same of the thought.
        tokens: Tokens of the answer.
        thought_tokens: Tokens of the thought.
        prior: Log-probability of the thought given what was asked.

    Returns:
        (requests, candidates) by score.
    """
    both = answer + thought
    return {
        "both": both,
        "answer": answer,
        "thought": thought,
        "per token": both / (tokens + thought_tokens),
        "parts per token": answer / tokens + thought / thought_tokens,
        "pmi": both - prior,
    }


def _columns_of(readings: Sequence[Reading], count: int) -> dict[str, np.ndarray]:
    """The fields of readings as arrays (requests, candidates)."""
    names = ("answer", "thought", "answer_tokens", "thought_tokens")
    return {name: np.array([getattr(one, name) for one in readings]).reshape(-1, count) for name in names}


def _scores_by_reading(
    model: Any, processor: UniMoProcessor, task: str, rows: Sequence[tuple[str, Sequence[int], Answer]], count: int
) -> dict[str, np.ndarray]:
    """Every score that the model's readings give: (requests, candidates) by name of `SCORES`.

    Args:
        rows: caption, codes and answer of each candidate, those of a request together.
    """
    captions, codes = [caption for caption, _, _ in rows], [of_row for _, of_row, _ in rows]
    thoughts = [answer.thought for _, _, answer in rows]
    read = {
        direction: _columns_of(
            read_completions(model.language_model, processor, direction, thoughts, captions, codes), count
        )
        for direction in ("t2m", "m2t")
    }
    asked, written = (read["m2t"], read["t2m"]) if task == "t2m" else (read["t2m"], read["m2t"])
    found = reading_scores(
        asked["answer"], asked["thought"], asked["answer_tokens"], asked["thought_tokens"], written["thought"]
    )
    likelihood = written["answer"] + written["thought"]
    if task == "m2t":
        return {
            "thought and motion": found["both"],
            "motion alone": found["answer"],
            "thought and motion, per token": found["per token"],
            "minus the thought's prior": found["pmi"],
            "likelihood": likelihood,
            "consensus": consensus(_grouped(captions, count)),
        }
    return {
        "thought and caption": found["both"],
        "caption alone": found["answer"],
        "thought alone": found["thought"],
        "thought and caption, per token": found["per token"],
        "thought and caption, parts per token": found["parts per token"],
        "minus the thought's prior": found["pmi"],
        f"{THOUGHTS} thoughts averaged": averaged(model, processor, thoughts, captions, codes, count),
        "likelihood": likelihood,
    }


def averaged(
    model: Any,
    processor: UniMoProcessor,
    thoughts: Sequence[str],
    captions: Sequence[str],
    codes: Sequence[Sequence[int]],
    count: int,
) -> np.ndarray:
    """p(thought, caption | codes) summed over the thoughts of `THOUGHTS` candidates of the same request.

    Args:
        model: The UniMo model.
        processor: Its processor.
        thoughts: Of each candidate, those of a request together.
        captions: Of each candidate.
        codes: Of each candidate.
        count: Candidates of a request.

    Returns:
        (requests, candidates) sums, as logarithms.
    """
    first = [thought for group in _grouped(thoughts, count) for _ in group for thought in group[:THOUGHTS]]
    times = len(first) // len(captions)
    readings = read_completions(
        model.language_model,
        processor,
        "m2t",
        first,
        [caption for caption in captions for _ in range(times)],
        [of_row for of_row in codes for _ in range(times)],
    )
    both = torch.tensor([one.score for one in readings], dtype=torch.float64).reshape(-1, count, times)
    return both.logsumexp(-1).numpy()


def consensus(candidates: Sequence[Sequence[str]]) -> np.ndarray:
    """Mean ROUGE-L of each caption with the other ones of its request.

    Args:
        candidates: Captions of each request, equally many.

    Returns:
        (requests, candidates) means, 0 to 1.
    """
    table = []
    for group in candidates:
        pairs = [(one, other) for i, one in enumerate(group) for j, other in enumerate(group) if i != j]
        scored = functional.caption_scores([one for one, _ in pairs], [[other] for _, other in pairs])
        table.append(np.reshape(scored.per_caption["rouge_l"], (len(group), -1)).mean(1))
    return np.array(table)


def chosen(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which candidate each score chooses; "one sample" is the first one.

    Args:
        scores: (requests, candidates) by name; higher is better.

    Returns:
        (requests,) index of the candidate by name.
    """
    count = len(next(iter(scores.values())))
    return {"one sample": np.zeros(count, dtype=int)} | {name: of.argmax(1) for name, of in scores.items()}


def _measure_motions(
    model: Any,
    processor: UniMoProcessor,
    judges: Mapping[str, Any],
    entries: Sequence[CaptionedMotion],
    candidates: int,
    seed: int,
    bar: tqdm,
) -> dict[str, dict[str, float]]:
    """R@1, R@3 and FID by both judges and instruction accuracy of what each score chooses; of real motion, too."""
    rng = np.random.default_rng(seed)
    picks = [int(rng.integers(len(entry.texts))) for entry in entries]
    texts = [entry.texts[pick] for entry, pick in zip(entries, picks, strict=True)]
    tokens = [entry.tokens[pick] for entry, pick in zip(entries, picks, strict=True)]
    answers = model.generate_answers("t2m", texts, None, processor, num_samples=candidates, seed=seed)
    bar.update()
    rows = [(text, a.codes, a) for text, several in zip(texts, answers, strict=True) for a in several]
    scores = _scores_by_reading(model, processor, "t2m", rows, candidates)
    bar.update()
    motions = model.decode_codes([of_row for _, of_row, _ in rows], processor)
    checked = [
        verified[0] if (verified := check_features([text], motion)) else None
        for (text, _, _), motion in zip(rows, motions, strict=True)
    ]
    held = [
        -1.0 if one is None or one.consistency is None else one.consistency for one in checked
    ]  # a text without decided claims leaves the choice to the first candidate
    scores["verifier"] = np.reshape(held, (-1, candidates))
    embedded = {
        name: (
            judge.get_text_features(tokens).numpy(force=True),
            judge.get_motion_features([entry.motion for entry in entries]).numpy(force=True),
            judge.get_motion_features(motions).numpy(force=True),
        )
        for name, judge in judges.items()
    }

    def judged(places: np.ndarray | None) -> dict[str, float]:  # of the generated motions; of real ones without
        figures: dict[str, float] = {}
        for name, (captions, real, made) in embedded.items():
            side = real if places is None else made[places]
            ranks = functional.r_precision(captions, side, top_k=3, pool_size=min(32, len(captions)))
            figures |= {f"{name}: R@{k}": float(ranks[f"r_precision_top{k}"]) for k in (1, 3)}
            figures[f"{name}: FID"] = float(functional.fid(side, real))
        return figures

    found = {"real motion": judged(None)}
    for name, best in chosen(scores).items():
        places = np.arange(len(texts)) * candidates + best
        found[name] = judged(places)
        decided = [one for place in places.tolist() if (one := checked[place]) is not None]
        found[name]["instruction accuracy"] = float(headline(decided)["consistency"])
    return found


def _measure_captions(
    model: Any,
    processor: UniMoProcessor,
    judges: Mapping[str, Any],
    entries: Sequence[CaptionedMotion],
    candidates: int,
    seed: int,
    bar: tqdm,
) -> dict[str, dict[str, float]]:
    """BLEU, ROUGE-L and CIDEr of the descriptions that each score chooses, and R@1 of these among motions."""
    motions = {
        name: judge.get_motion_features([entry.motion for entry in entries]).numpy(force=True)
        for name, judge in judges.items()
    }
    codes = model.encode_motions([entry.motion for entry in entries], processor)
    answers = model.generate_answers("m2t", None, codes, processor, num_samples=candidates, seed=seed)
    bar.update()
    rows = [(a.caption, of, a) for of, several in zip(codes, answers, strict=True) for a in several]
    scores = _scores_by_reading(model, processor, "m2t", rows, candidates)
    bar.update()
    references = [list(entry.texts) for entry in entries]
    found = {}
    for name, best in chosen(scores).items():
        captions = [several[place].caption for several, place in zip(answers, best.tolist(), strict=True)]
        corpus = functional.caption_scores(captions, references).corpus
        found[name] = {label: float(corpus[figure]) for label, figure in CAPTION_FIGURES.items()}
        for judged, embedded in motions.items():
            texts = judges[judged].get_text_features([tokenize_caption(caption) for caption in captions])
            ranks = functional.r_precision(
                texts.numpy(force=True), embedded, top_k=1, pool_size=min(32, len(captions))
            )
            found[name][f"{judged}: R@1"] = float(ranks["r_precision_top1"])
    return found


def _measure_time(model: Any, processor: UniMoProcessor, texts: Sequence[str], candidates: int) -> dict[str, float]:
    """Seconds of one motion and of the best of N for each of these texts, and the reading's share of the latter."""

    def seconds(function: Callable[[], Any]) -> float:
        return min(timed(function) for _ in range(3))

    # The reading is measured for what it is worth once a model; that is not part of what a request takes.
    model.generate_answers("t2m", texts, None, processor, candidates=2, seed=0)
    one = seconds(lambda: model.generate_answers("t2m", texts, None, processor, seed=0))
    written = seconds(lambda: model.generate_answers("t2m", texts, None, processor, num_samples=candidates, seed=0))
    best = seconds(lambda: model.generate_answers("t2m", texts, None, processor, candidates=candidates, seed=0))
    return {"one": one, "best": best, "times": best / one, "reading_share": (best - written) / best}


def results(measured: dict[str, Any], arguments: argparse.Namespace, command: str) -> dict[str, dict[str, Any]]:
    """The figures as `benchmarks.results_tables` shows them, by the name of the file: a line a score.

    Args:
        measured: What was measured, by split, "m2t" for descriptions.
        arguments: The options of the command.
        command: The command that makes them again.

    Returns:
        "candidates", the splits side by side, and "candidates-captions", where the test split was among them.
    """
    motions = {name: measured[name] for name in ("test_hard", "test") if name in measured}
    figures = ["held-out judge: R@1", "judge: R@1", "held-out judge: FID", "instruction accuracy"]
    rows = []
    for name in ("real motion", *SCORES["t2m"]):
        cells = [
            f"{found[name][figure]:.3f}" if figure in found.get(name, {}) else ""
            for found in motions.values()
            for figure in figures
        ]
        rows.append([name, *cells])
    spent = measured["seconds"]
    sampled = (
        f"{arguments.candidates} candidates each at the model's temperature, seed {arguments.seed}; every score "
        "chooses among the same candidates"
    )
    split_names = {split: split.replace("test_hard", "hard").replace("_", " ") for split in motions}
    made = {
        "candidates": {
            "kind": "table",
            "title": f"Best of {arguments.candidates} by the model's own reading",
            "tag": "candidates",
            "protocol": (
                f"{arguments.captions} captions of each split, {sampled}. {TIMED} captions take "
                f"{spent['times']:.1f} times as long with {arguments.candidates} candidates as with one, "
                f"{spent['reading_share']:.0%} of it reading (best of three runs, {measured['machine']})"
            ),
            "commands": [command],
            "columns": ["chosen by", *(f"{split_names[split]}, {f}" for split in motions for f in figures)],
            "rows": rows,
            "scores": SCORES["t2m"],
            "measured": {name: found for name, found in measured.items() if name != "m2t"},
        }
    }
    if "m2t" in measured:
        columns = list(measured["m2t"]["one sample"])
        made["candidates-captions"] = {
            "kind": "table",
            "title": f"Best of {arguments.candidates} descriptions",
            "tag": "candidates",
            "protocol": f"{arguments.captions} motions of the test split, {sampled}",
            "commands": [command],
            "columns": ["chosen by", *columns],
            "rows": [[name, *(f"{of[figure]:.3f}" for figure in columns)] for name, of in measured["m2t"].items()],
            "scores": SCORES["m2t"],
            "measured": measured["m2t"],
        }
    return made


def _parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a quickstart, with data, unimo and judges")
    parser.add_argument("--model", help="folder of its model (default: unimo)", default="unimo")
    parser.add_argument("--captions", type=int, default=256, help="captions or motions of each split")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--splits", nargs="+", default=["test_hard", "test"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("docs/results"), help="folder of the JSON files to write")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write the JSON files and print their tables.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = _parse(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    model = UniMoForConditionalGeneration.from_pretrained(arguments.run / arguments.model).eval()
    processor = UniMoProcessor.from_pretrained(arguments.run / arguments.model)
    judges = {
        name: TextMotionEvaluatorModel.from_pretrained(arguments.run / folder).eval()
        for name, folder in JUDGES.items()
    }
    measured: dict[str, Any] = {"machine": f"{torch.get_num_threads()} threads, {platform.machine()}"}
    chosen_among = {"candidates": arguments.candidates, "seed": arguments.seed}
    # Sampling and reading of each split and of descriptions, and the timing.
    steps = 2 * (len(arguments.splits) + ("test" in arguments.splits)) + 1
    with tqdm(total=steps, desc="sampling, reading", unit="step") as bar, torch.no_grad():
        for split in arguments.splits:
            entries = captioned_motions(load_motion_dataset(arguments.run / "data", split=split)[split])
            order = np.random.default_rng(arguments.seed).permutation(len(entries))[: arguments.captions]
            entries = [entries[place] for place in order.tolist()]
            measured[split] = _measure_motions(model, processor, judges, entries, **chosen_among, bar=bar)
            if split == "test":
                measured["m2t"] = _measure_captions(model, processor, judges, entries, **chosen_among, bar=bar)
            texts = [entry.texts[0] for entry in entries[:TIMED]]
        measured["seconds"] = _measure_time(model, processor, texts, arguments.candidates)
        bar.update()
    command = (
        f"python -m benchmarks.candidates --run runs/quickstart --captions {arguments.captions} "
        f"--candidates {arguments.candidates} --seed {arguments.seed}"
    )
    for name, content in results(measured, arguments, command).items():
        write_json(arguments.output / f"{name}.json", content)
        for line in [content["columns"], *content["rows"]]:
            print(" | ".join(line))
    print(measured["seconds"])


if __name__ == "__main__":
    main()
