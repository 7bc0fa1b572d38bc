"""Counts how many answers sampled under the grammar are whole: random and adversarial prompts, both tasks in a batch.

`python -m benchmarks.grammar_validity --model runs/quickstart/unimo --prompts 10000`

Temperatures run from 0.1 to 3, durations and budgets vary, and texts hold control tags, escapes, other scripts and
noise. Exits with 1 when an answer is not valid, or a prompt's control ids are not exactly the template's.
"""

import argparse
import random
import sys
import time

import torch
from tqdm import tqdm

from modeling_unimo.generate import load_model

TEMPERATURES = (0.1, 0.3, 0.7, 1.0, 1.5, 2.0, 3.0)
WORDS = "a person walks forward turns left slowly waves the right hand jumps and kicks twice then sits down".split()
TAGS = [
    *("<think>", "</think>", "<Motion>", "</Motion>", "<Motion_5>", "<Motion_511>", "<Answer>", "</Answer>"),
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "<|eot_id|>", "<0x0A>", "<thi", "nk>"),
    *("\\", "\\3c;", "\n\nassistant\n", "{{ messages }}", "\0", "\ufffd", "\u200b", "\ud800", "\u212a"),
]
SCRIPTS = [
    *("走って手を振る", "человек идёт", "يمشي شخص", "एक व्यक्ति"),
    *("\U0001f600\U0001f483\u200d\u2642\ufe0f", "e\u0301"),
]


def _make_text(rng: random.Random, characters: int) -> str:
    """One description: plain words, words among control tags, other scripts, or characters drawn at random."""
    kind = rng.randrange(5)
    if kind == 0:
        parts = rng.choices(WORDS, k=rng.randint(1, 30))
    elif kind == 1:
        parts = rng.choices(WORDS + TAGS * 2, k=rng.randint(1, 40))
    elif kind == 2:
        parts = rng.choices(TAGS, k=rng.randint(1, 30))
    elif kind == 3:
        parts = rng.choices(SCRIPTS + WORDS, k=rng.randint(1, 12))
    else:
        parts = [chr(rng.choice((rng.randrange(128), rng.randrange(0x3000), rng.randrange(0x110000)))) for _ in WORDS]
    text = rng.choice((" ", "", "\n")).join(parts)[:characters]
    return text if text.strip() else "a person stands"


def _parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="folder of a UniMo model")
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--characters", type=int, default=300, help="longest text; 2,000 is the most a prompt takes")
    parser.add_argument("--max_thought_tokens", type=int, default=64, help="shorter thoughts, a faster check")
    parser.add_argument("--max_answer_tokens", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.prompts < 1:
        parser.error("--prompts must be at least 1")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Sample, count and exit: with 1 where something is not valid.

    Args:
        argv: Arguments; None takes those of the process.
    """
    arguments = _parse_arguments(argv)
    try:
        model, processor = load_model(arguments.model)
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    rng = random.Random(arguments.seed)
    frame = _controls(processor, processor.prompt("t2m", "a"))
    codebook = range(processor.num_codes)
    counts = {"t2m": [0, 0], "m2t": [0, 0]}
    wrong: list[str] = []
    begin = time.perf_counter()
    with tqdm(total=arguments.prompts, unit="answer", desc="under the grammar") as bar:
        while bar.n < arguments.prompts:
            size = min(arguments.batch_size, arguments.prompts - bar.n)
            tasks = [rng.choice(("t2m", "m2t")) for _ in range(size)]
            texts = [_make_text(rng, arguments.characters) if task == "t2m" else None for task in tasks]
            codes = [None if t == "t2m" else rng.choices(codebook, k=rng.randint(1, 49)) for t in tasks]
            durations = [rng.uniform(0.2, 9.8) if t == "t2m" and rng.random() < 0.3 else None for t in tasks]
            for text in texts:
                if text is not None and _controls(processor, processor.prompt("t2m", text)) != frame:
                    wrong.append(f"control ids of the prompt for {text!r}")
            answers = model.generate_answers(
                tasks,
                texts,
                codes,
                processor,
                durations=durations,
                seed=rng.randrange(2**31),
                batch_size=arguments.batch_size,
                temperature=rng.choice(TEMPERATURES),
                max_thought_tokens=rng.randint(1, arguments.max_thought_tokens),
                max_answer_tokens=rng.randint(1, arguments.max_answer_tokens),
            )
            for task, text, duration, (answer,) in zip(tasks, texts, durations, answers, strict=True):
                asked = None if duration is None else processor.codes_of_duration(duration)
                valid = answer.valid and asked in (None, len(answer.codes))
                counts[task][0] += valid
                counts[task][1] += 1
                if not valid:
                    wrong.append(f"{task} {text!r}: {answer.error or f'{len(answer.codes)} codes for {duration} s'}")
            bar.update(size)
    seconds = time.perf_counter() - begin
    for task, (valid, total) in counts.items():
        print(f"{task}: {valid} of {total} answers valid ({valid / max(total, 1):.2%})")
    print(f"{arguments.prompts} prompts in {seconds:.0f} s, temperatures {TEMPERATURES}, torch {torch.__version__}")
    for line in wrong[:20]:
        print("not valid:", line)
    sys.exit(bool(wrong))


def _controls(processor, prompt: str) -> list[int]:
    ids = processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return [id_ for id_ in ids if id_ in processor.control_ids]


if __name__ == "__main__":
    main()
