"""A model's best answers by its own reading, for it to learn from: the sampling stage of `train/self_train.py`.

Every caption is answered `candidates` times; the model reads its answers back and the best of each stays. Of these the
best share, by the reading's log-probability a token, makes `chosen.jsonl`. A killed run goes on where it stopped.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.recombine import recombined
from datasets_scripts.schema import load_motion_dataset
from datasets_scripts.sources.reading import read_text
from datasets_scripts.sources.synthetic.generator import new_captions
from modeling_unimo.command_line import exit_on_error, non_negative_int, positive_float, positive_int
from modeling_unimo.files_unimo import write_json, write_json_lines
from train.engine.run_folder import content_key

ANSWERS, CHOSEN, COUNTS, SETTINGS = "answers.jsonl", "chosen.jsonl", "counts.json", "settings.json"
TIMES = "times.json"  # what sampling took so far, of all starts
AT_ONCE = 32  # captions answered between two writes


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, text in (("model", "supervised model"), ("vqvae", "motion VQ-VAE"), ("dataset", "dataset")):
        parser.add_argument(f"--{name}", required=True, help=f"folder of the {text}")
    parser.add_argument("--output", required=True, help="folder of the answers")
    add_sampling_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    check_sampling_options(parser, arguments)
    return arguments


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `train/self_train.py` hands on.

    Args:
        parser: The parser.
    """
    parser.add_argument("--candidates", type=positive_int, default=8, help="answers a caption (default 8)")
    parser.add_argument("--temperature", type=positive_float, default=0.8, help="of the answers (default 0.8)")
    parser.add_argument("--new_captions", type=non_negative_int, default=700, help="captions beside the dataset's")
    parser.add_argument(
        "--captions_from",
        default="clauses",
        help="clauses: of the training captions, recombined; synthetic: the generator's; or a text file, one a line",
    )
    parser.add_argument(
        "--training_captions", type=non_negative_int, help="captions of the dataset to answer, too (default: all)"
    )
    parser.add_argument("--kept_share", type=float, default=0.75, help="share of the best answers kept (default 0.75)")
    parser.add_argument("--batch_size", type=positive_int, default=128, help="answers sampled at once")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="numbers of the model")


def check_sampling_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse numbers and names that cannot be used.

    Args:
        parser: The parser.
        arguments: The options.

    Raises:
        SystemExit: Naming the option.
    """
    if arguments.candidates < 2:
        parser.error(f"--candidates must be >= 2, got {arguments.candidates}: the best of several answers is chosen")
    if not 0 < arguments.kept_share <= 1:
        parser.error(f"--kept_share must be > 0 and <= 1, got {arguments.kept_share:g}")
    if arguments.captions_from not in ("clauses", "synthetic") and not Path(arguments.captions_from).is_file():
        parser.error(f"--captions_from must be clauses, synthetic or a text file, got {arguments.captions_from}")
    if not arguments.new_captions and arguments.training_captions == 0:
        parser.error("--new_captions 0 with --training_captions 0 leaves nothing to answer")


def captions_to_answer(
    splits: Mapping[str, Sequence[str]], new: int, captions_from: str, training: int | None, seed: int
) -> list[tuple[str, str]]:
    """(caption, "training" or "new"), each caption once.

    Args:
        splits: The captions of each split of the dataset. No new caption is in any of them.
        new, captions_from, training: See the options. seed: of all draws.

    Returns:
        Each caption with where it comes from.

    Raises:
        ValueError: A file with too few captions that no split has.
    """
    known = list(dict.fromkeys(splits["train"]))
    rng = np.random.default_rng(seed)
    if training is not None and training < len(known):
        known = [known[i] for i in sorted(rng.choice(len(known), training, replace=False).tolist())]
    elsewhere = {text for texts in splits.values() for text in texts}
    if not new:
        made = []
    elif captions_from == "clauses":
        made = recombined(splits["train"], new, seed, elsewhere)
    elif captions_from == "synthetic":
        made = new_captions(new, seed, elsewhere)
    else:
        lines = [line.strip() for line in read_text(Path(captions_from)).lines]
        made = [line for line in dict.fromkeys(lines) if line and line not in elsewhere][:new]
        if len(made) < new:
            raise ValueError(
                f"{captions_from} has {len(made)} captions that the dataset has not, --new_captions asks for {new}"
            )
    return [(text, "training") for text in known] + [(text, "new") for text in made]


def kept(rows: Sequence[Mapping[str, Any]], share: float) -> list[Mapping[str, Any]]:
    """The best `share` of the valid rows by the log-probability a token, in the order given.

    A sum over tokens would leave out long captions, whatever their answers are worth.

    Args:
        rows: Rows of answers.
        share: Share to keep.

    Returns:
        The rows that are kept.
    """
    valid = [row for row in rows if row["valid"]]
    if not valid:
        return []
    worth = np.array([row["nats"] / row["tokens"] for row in valid])
    best = set(np.argsort(-worth, kind="stable")[: max(1, round(share * len(valid)))].tolist())
    return [row for place, row in enumerate(valid) if place in best]


def answered(path: Path) -> list[dict[str, Any]]:
    """The rows an earlier start has written; a last line that it could not finish is dropped from the file.

    Args:
        path: The file of answers.

    Returns:
        The rows.
    """
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    write_json_lines(path, rows, ensure_ascii=True)
    return rows


def answers_to(
    model: Any, processor: Any, asked: Sequence[tuple[str, str]], arguments: argparse.Namespace
) -> Iterator[list[dict[str, Any]]]:
    """Rows of `AT_ONCE` captions at a time, the best answer of each with its reading.

    Args:
        model: The UniMo model.
        processor: Its processor.
        asked: (caption, "training" or "new").
        arguments: The options.

    Yields:
        Rows of some captions.
    """
    for begin in range(0, len(asked), AT_ONCE):
        part = asked[begin : begin + AT_ONCE]
        best = model.generate_answers(
            "t2m",
            [caption for caption, _ in part],
            None,
            processor,
            candidates=arguments.candidates,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            temperature=arguments.temperature,
        )
        rows = []
        for (caption, source), (answer,) in zip(part, best, strict=True):
            row: dict[str, Any] = {"caption": caption, "source": source, "valid": answer.valid}
            if answer.valid:
                tokens = len(processor.completion_ids("m2t", answer.thought, caption=caption))
                row |= {"thought": answer.thought, "codes": list(answer.codes), "tokens": tokens}
                row["nats"] = round(float(answer.score), 4)
            rows.append(row)
        yield rows


def sample(arguments: argparse.Namespace) -> dict[str, Any]:
    """Answer every caption, choose, and write both.

    Args:
        arguments: The options.

    Returns:
        The counts.

    Raises:
        ValueError: A split is missing, captions cannot be made, or not one answer is valid.
        SystemExit: The folder holds answers of other settings.
    """
    import torch
    from tqdm.auto import tqdm
    from transformers import AutoModelForCausalLM

    from datasets_scripts.captioned_motions import captioned_motions
    from modeling_unimo import MotionVQVAEModel, UniMoForConditionalGeneration, UniMoProcessor
    from modeling_unimo.model_loading import load_model

    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    settings = {k: v for k, v in vars(arguments).items() if k not in ("output", "batch_size")}
    settings |= {f"content of {name}": content_key(Path(settings[name])) for name in ("model", "vqvae", "dataset")}
    if (folder / SETTINGS).is_file() and json.loads((folder / SETTINGS).read_text(encoding="utf-8")) != settings:
        raise SystemExit(f"error: {folder} holds answers of other settings; name another --output or delete it")
    write_json(folder / SETTINGS, settings)
    dataset = load_motion_dataset(arguments.dataset)
    if "train" not in dataset:
        raise ValueError(f"{arguments.dataset} has no split 'train'")
    splits = {name: [t for e in captioned_motions(split) for t in e.texts] for name, split in dataset.items()}
    asked = captions_to_answer(
        splits, arguments.new_captions, arguments.captions_from, arguments.training_captions, arguments.seed
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    language_model = load_model(AutoModelForCausalLM, arguments.model, "as model a supervised model")
    vqvae = load_model(MotionVQVAEModel, arguments.vqvae, "as vqvae the folder of a motion VQ-VAE")
    processor = UniMoProcessor.from_pretrained(arguments.model)
    model = UniMoForConditionalGeneration.from_parts(language_model, vqvae, processor).eval().to(device)
    model.language_model.to(getattr(torch, arguments.dtype))
    rows = answered(folder / ANSWERS)
    left = asked[len(rows) :]
    times = {"seconds": 0.0, "cpu_seconds": 0.0}
    if rows and (folder / TIMES).is_file():
        times = json.loads((folder / TIMES).read_text(encoding="utf-8"))
    clock, processor_clock = time.perf_counter(), time.process_time()
    before = dict(times)
    with open(folder / ANSWERS, "a", encoding="utf-8") as file, tqdm(total=len(asked), initial=len(rows)) as bar:
        for part in answers_to(model, processor, left, arguments):
            file.writelines(json.dumps(row) + "\n" for row in part)
            file.flush()
            times["seconds"] = round(before["seconds"] + time.perf_counter() - clock, 1)
            times["cpu_seconds"] = round(before["cpu_seconds"] + time.process_time() - processor_clock, 1)
            write_json(folder / TIMES, times)
            rows += part
            bar.update(len(part))
    chosen = kept(rows, arguments.kept_share)
    if not chosen:
        raise ValueError(f"none of the {len(rows)} captions has a valid answer; train {arguments.model} for longer")
    write_json_lines(folder / CHOSEN, chosen, ensure_ascii=True)
    counts = {
        "captions": len(rows),
        "answers": len(rows) * arguments.candidates,
        "invalid": sum(not row["valid"] for row in rows),
        "chosen": len(chosen),
        "chosen_new": sum(row["source"] == "new" for row in chosen),
        **times,
        "nats_a_token": round(sum(row["nats"] for row in chosen) / sum(row["tokens"] for row in chosen), 4),
    }
    write_json(folder / COUNTS, counts)
    print("  ".join(f"{name} {value}" for name, value in counts.items()), flush=True)
    return counts


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = parse(argv)
    with exit_on_error():
        sample(arguments)


if __name__ == "__main__":
    main()
