"""Whether a batch changes anything: codes, embeddings and greedy answers alone against in a padded batch, float32.

`python -m benchmarks.batch_invariance --run runs/quickstart` prints the largest difference, the codes and answers that
differ, and the share of ties: steps where the two best candidates are less than 1e-4 apart, which may fall either way.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.networks import of_run

TIE = 1e-4


@torch.no_grad()
def _code_margins(vqvae, extractor, motion) -> torch.Tensor:
    """(L,) distance between the nearest and the second nearest code of each step of one motion."""
    latents = vqvae.encoder_latents(extractor([motion], return_tensors="pt")["motion"])
    nearest = torch.cdist(latents, vqvae.quantizer.codebook).topk(2, largest=False).values
    return nearest[:, 1] - nearest[:, 0]


@torch.no_grad()
def _token_margins(model, processor, prompt: str, answer: str) -> torch.Tensor:
    """(L,) logit distance between the two best tokens at each step of a greedy answer."""
    prompt_ids = processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer_ids = processor.tokenizer(answer, add_special_tokens=False)["input_ids"]
    logits = model(input_ids=torch.tensor([prompt_ids + answer_ids])).logits[0, len(prompt_ids) - 1 : -1]
    best = logits.topk(2, dim=-1).values
    return best[:, 0] - best[:, 1]


def main(argv: Sequence[str] | None = None) -> None:
    """Compare and print.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="run folder of a quickstart")
    parser.add_argument("--motions", type=int, default=128)
    parser.add_argument("--captions", type=int, default=48)
    arguments = parser.parse_args(argv)
    model, processor, evaluator, entries = of_run(arguments.run, clips=arguments.motions)
    motions = [entry.motion for entry in entries]

    together = model.encode_motions(motions, processor, batch_size=64)
    alone = [model.encode_motions([motion], processor)[0] for motion in motions]
    differing = sum(
        a != b for one, other in zip(together, alone, strict=True) for a, b in zip(one, other, strict=True)
    )
    margins = torch.cat([_code_margins(model.motion_vqvae, processor.feature_extractor, motion) for motion in motions])
    print(f"codes: {differing} of {len(margins)} differ; ties {(margins < TIE).float().mean():.3%}")

    batch = evaluator.get_motion_features(motions)
    single = torch.cat([evaluator.get_motion_features([motion]) for motion in motions])
    print(f"motion embeddings: largest difference {(batch - single).abs().max():.1e}")

    texts = [entry.texts[0] for entry in entries[: arguments.captions]]
    many = [a[0] for a in model.generate_answers("t2m", texts, None, processor, do_sample=False, batch_size=32)]
    ones = [a[0] for a in model.generate_answers("t2m", texts, None, processor, do_sample=False, batch_size=1)]
    same = sum(one == other for one, other in zip(many, ones, strict=True))
    gaps = torch.cat(
        [
            _token_margins(
                model, processor, processor.prompt("t2m", text), processor.completion("t2m", one.thought, one.codes)
            )
            for text, one in zip(texts, ones, strict=True)
        ]
    )
    ties = (gaps < TIE).float().mean()
    print(f"greedy answers: {same} of {len(texts)} identical; ties {ties:.3%} of {len(gaps)} steps")


if __name__ == "__main__":
    main()
