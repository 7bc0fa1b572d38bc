"""How much the captioning protocol moves a figure, measured on the outputs of published captioners.

`python -m benchmarks.caption_protocols --cases DIR --output docs/results/caption-protocols.json` scores every system
in DIR/cases.jsonl ({"references": [...], "outputs": {system: caption}}) by each protocol, and writes the figures
beside those in DIR/published.json. "tm2t" needs spaCy and an English pipeline (`--spacy_model`).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets_scripts.captions import SPACY_MODEL, spacy_tokens
from evaluate_unimo import functional
from modeling_unimo.files_unimo import write_json

FIGURES = {"bleu1": "bleu1", "bleu4": "bleu4", "rouge_l": "rougeL", "cider": "cider"}  # ours: the leaderboard's
ONE_SIDED = "tm2t, references alone"  # what the leaderboard's own tm2t column does
PROTOCOL = (
    "first three references of each case repeated to three. unimo, coco and tm2t as in "
    "`evaluate_unimo.functional.PROTOCOLS`; tm2t without the dataset's tokens, so that spaCy reads the references; "
    "'tm2t, references alone' scores the captions as they are against normalised references"
)


def _measure(cases: Sequence[dict[str, Any]], protocols: Sequence[str], spacy_model: Any) -> dict[str, Any]:
    """{system: {protocol: {figure: value, "empty": count}}} of every system in the cases."""
    references: dict[int, list[str]] = {}
    if "tm2t" in protocols:
        texts = [text for case in cases for text in case["references"]]
        normalised = map(functional.tm2t_normalised, spacy_tokens(texts, spacy_model))
        references = {i: [next(normalised) for _ in case["references"]] for i, case in enumerate(cases)}
    measured: dict[str, Any] = {}
    for system in sorted({name for case in cases for name in case["outputs"]}):
        rows = [i for i, case in enumerate(cases) if system in case["outputs"]]
        predictions = [cases[i]["outputs"][system] for i in rows]
        given = [cases[i]["references"] for i in rows]
        scores = measured[system] = {"cases": len(rows)}
        for protocol in protocols:
            options: dict[str, Any] = {}
            if protocol == "tm2t":
                tokens = [[[f"{word}/" for word in text.split()] for text in references[i]] for i in rows]
                options = {"reference_tokens": tokens, "spacy_model": spacy_model}
            scores[protocol] = functional.captioning(predictions, given, protocol, **options)
        if references:
            scores[ONE_SIDED] = functional.captioning(predictions, [references[i] for i in rows], "coco")
    return measured


def _results(measured: dict[str, Any], published: dict[str, Any], command: str) -> dict[str, Any]:
    """The figures as `benchmarks.results_tables` shows them: a line a system and protocol."""
    rows = []
    worst = 0.0
    for system, scores in measured.items():
        for protocol in (name for name in scores if name != "cases"):
            rows.append([system, protocol, *(f"{scores[protocol][name]:.4f}" for name in FIGURES)])
        for protocol, figures in published.get(system, {}).items():
            rows.append([system, f"{protocol} (leaderboard)", *(f"{figures[name]:.4f}" for name in FIGURES.values())])
        ours, theirs = scores.get("coco", {}), published.get(system, {}).get("coco", {})
        worst = max([worst, *(abs(ours[k] - theirs[v]) for k, v in FIGURES.items() if k in ours and v in theirs)])
    return {
        "kind": "table",
        "title": "Captioning protocols on five published captioners",
        "tag": "captions",
        "protocol": f"{PROTOCOL}. Largest difference of coco from the leaderboard's figures: {worst:.1e}.",
        "commands": [command],
        "columns": ["system", "protocol", "BLEU@1", "BLEU@4", "ROUGE-L", "CIDEr"],
        "rows": rows,
        "measured": measured,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Score the cases, write the JSON file and print its table.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=Path, required=True, help="folder with cases.jsonl and published.json")
    parser.add_argument("--protocols", nargs="+", choices=functional.PROTOCOLS, default=[*functional.PROTOCOLS])
    parser.add_argument("--spacy_model", default=SPACY_MODEL, help="name or folder of a spaCy pipeline, for tm2t")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args(argv)
    lines = (arguments.cases / "cases.jsonl").read_text(encoding="utf-8").split("\n")
    cases = [json.loads(line) for line in lines if line.strip()]
    published = json.loads((arguments.cases / "published.json").read_text(encoding="utf-8"))["systems"]
    command = "python -m benchmarks.caption_protocols --cases DIR --output docs/results/caption-protocols.json"
    found = _results(_measure(cases, arguments.protocols, arguments.spacy_model), published, command)
    write_json(arguments.output, found, indent=1)
    print("\n".join(" | ".join(row) for row in found["rows"]))


if __name__ == "__main__":
    main()
