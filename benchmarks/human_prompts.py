"""How much of what people write a model's motions do: people's captions as prompts, claim by claim.

    python -m benchmarks.human_prompts --model runs/quickstart/unimo human_captions_visible.jsonl [--output FILE.json]

The captions file has a line a clip: `id`, `captions`, `captions_from` (as for human_captions.py). The model writes
`--samples` motions for each caption, and the verifier holds the caption's claims against them. Reported, over all
captions and by source:

- claims satisfied: of the claims that a motion decides, without the kinds that are unreliable on people's words.
- claims decided: of all claims read.
- sentences read: sentences in which a claim was found.
- prompts with words never met: captions with words that the model's training on motion never met.

Where a .npz of the same name lies beside the captions, the motions that they were written about are measured the same
way. Intervals are 95% Wilson intervals; claims of one motion are not independent, so they are somewhat too narrow.
"""

import argparse
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.human_captions import Tally, cell, read_clips, shares
from datasets_scripts.verify import Verification
from evaluate_unimo.instruction_accuracy import check_pairs, count_claims
from modeling_unimo.command_line import exit_on_error, positive_int
from modeling_unimo.files_unimo import write_json
from modeling_unimo.generate import load_model
from modeling_unimo.words_unimo import UnknownWordsWarning

REAL, GENERATED = "the captured motions", "the model's motions"
UNKNOWN = "prompts with words never met"


def _read_prompts(path: Path) -> list[tuple[str, str]]:
    """(caption, whose words these are) of every caption of a file.

    Raises:
        ValueError: A line is no JSON object with captions, or there is none.
    """
    prompts: list[tuple[str, str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            captions, source = row["captions"], row.get("captions_from", path.stem)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}: no JSON object with captions ({error})") from error
        prompts += [(text, source.split(" via ")[0]) for text in captions]
    if not prompts:
        raise ValueError(f"{path} has no captions")
    return prompts


def count(group: str, checked: Iterable[Verification], counts: Tally) -> None:
    """Add what the claims of checked captions are worth to the counts of a group.

    Args:
        group: Whose counts are raised.
        checked: Verified captions.
        counts: Changed in place.
    """
    for one in checked:
        held, decided, claims = count_claims(one)
        counts[group, "claims satisfied", True] += held
        counts[group, "claims satisfied", False] += decided - held
        counts[group, "claims decided", True] += decided
        counts[group, "claims decided", False] += claims - decided
        counts[group, "sentences read", True] += one.sentences - len(one.unread)
        counts[group, "sentences read", False] += len(one.unread)


def _measure(model: Any, processor: Any, prompts: Sequence[tuple[str, str]], samples: int, seed: int) -> Tally:
    """Write motions for the prompts and count, over all of them and by source."""
    texts = [text for text, _ in prompts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownWordsWarning)  # they are counted below
        motions = model.generate_motion(texts, processor, num_samples=samples, seed=seed)
    checked = check_pairs([motion.joints for motion in motions], [motion.text for motion in motions])
    counts: Tally = Counter()
    by_source = defaultdict(list)
    for k, one in enumerate(checked):
        by_source[prompts[k // samples][1]].append(one)
    count(GENERATED, checked, counts)
    for source, of_source in sorted(by_source.items()):
        count(f"{GENERATED}, {source}", of_source, counts)
    if processor.taught_words is not None:
        for text in texts:
            counts[GENERATED, UNKNOWN, bool(processor.unknown_words(text))] += 1
    return counts


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print a line for each group.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captions", type=Path, help="JSON Lines file of `id`, `captions`, `captions_from`")
    parser.add_argument("--model", required=True, help="folder or Hub name of a UniMo model")
    parser.add_argument("--samples", type=positive_int, default=4, help="motions a caption (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the generation (default: 0)")
    parser.add_argument("--output", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args(argv)
    counts: Tally = Counter()
    with exit_on_error():
        prompts = _read_prompts(arguments.captions)
        if arguments.captions.with_suffix(".npz").is_file():
            clips = read_clips(arguments.captions.with_suffix(""))
            pairs = [(clip.joints, text) for clip in clips for text in clip.captions]
            count(REAL, check_pairs([np.asarray(joints) for joints, _ in pairs], [text for _, text in pairs]), counts)
        model, processor = load_model(arguments.model)
        counts.update(_measure(model, processor, prompts, arguments.samples, arguments.seed))
    figures = {"captions": len(prompts), "samples": arguments.samples, "texts": shares(counts)}
    for group, measures in figures["texts"].items():
        print(group)
        for name, one in measures.items():
            print(f"  {name}: {cell(one)}")
    if arguments.output:
        write_json(arguments.output, figures)


if __name__ == "__main__":
    main()
