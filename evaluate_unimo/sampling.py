"""Answers of a UniMo model to the requests of an evaluation, and one repeat of each task scored on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from datasets_scripts.captioned_motions import CaptionedMotion
from evaluate_unimo import protocol
from evaluate_unimo.distributed import ProcessGroup
from modeling_unimo import Answer
from modeling_unimo.inference_unimo import batches_by_length


@dataclass
class Sampler:
    """A UniMo model with the settings every answer of an evaluation is sampled with.

    Requests are answered in batches of like length, each from a seed of its own, and the batches are shared out over
    the processes of `group`: their number changes no answer. Each answer is the best of `candidates` by the model's
    own reading.
    """

    model: Any
    processor: Any
    batch_size: int = 128
    generate_kwargs: dict[str, Any] = field(default_factory=dict)
    group: ProcessGroup = field(default_factory=ProcessGroup)
    candidates: int = 1

    def motions(self, texts: Sequence[str], seed: int) -> list[torch.Tensor | None]:
        """Generate one motion for each text.

        Args:
            texts: The texts.
            seed: Of the sampling.

        Returns:
            Features (T, D) on the model's device, None for an invalid answer.
        """
        return self._decoded(self.answers("t2m", texts=texts, seed=seed))

    def motion_samples(self, texts: Sequence[str], count: int, seed: int) -> list[list[torch.Tensor | None]]:
        """Generate several motions for each text.

        Args:
            texts: The texts.
            count: Motions a text.
            seed: Of the sampling.

        Returns:
            Features (T, D) of each text's motions, None for an invalid answer.
        """
        samples = self.samples("t2m", count, texts=texts, seed=seed)
        motions = self._decoded([answer for row in samples for answer in row])
        return [motions[row * count : (row + 1) * count] for row in range(len(samples))]

    def captions(self, codes: Sequence[Sequence[int]], seed: int) -> list[str | None]:
        """Describe motions.

        Args:
            codes: Codes of each motion.
            seed: Of the sampling.

        Returns:
            One caption each, None for an invalid answer.
        """
        answers = self.answers("m2t", codes=codes, seed=seed)
        return [answer.caption if answer.valid else None for answer in answers]

    def _decoded(self, answers: Sequence[Answer]) -> list[torch.Tensor | None]:
        valid = [answer.codes for answer in answers if answer.valid]
        decoded = iter(self.model.decode_codes(valid, self.processor, return_tensors="pt") if valid else [])
        return [next(decoded) if answer.valid else None for answer in answers]

    def answers(self, task: str, texts=None, codes=None, seed: int = 0, grammar: bool = True) -> list[Answer]:
        """Generate one answer for each request.

        Args:
            task: "t2m" or "m2t".
            texts: Text of each request, for t2m.
            codes: Codes of each request, for m2t.
            seed: Of the sampling.
            grammar: Sample under the answer grammar.

        Returns:
            Answers in the order of the requests.
        """
        return [samples[0] for samples in self.samples(task, 1, texts, codes, seed, grammar)]

    def samples(
        self, task: str, count: int, texts=None, codes=None, seed: int = 0, grammar: bool = True
    ) -> list[list[Answer]]:
        """Generate several answers for each request; called in the main process.

        Of several answers each is chosen among candidates of its own, so that they differ as single ones do.

        Args:
            task: "t2m" or "m2t".
            count: Answers a request.
            texts: Text of each request, for t2m.
            codes: Codes of each request, for m2t.
            seed: Of the sampling.
            grammar: Sample under the answer grammar.

        Returns:
            Answers in the order of the requests.

        Raises:
            ValueError: The model refuses a request.
            RuntimeError: One of several processes failed.
        """
        asked = {"texts": None if texts is None else list(texts), "codes": None if codes is None else list(codes)}
        request = {"task": task, "count": count, **asked, "seed": seed, "grammar": grammar}
        self.group.broadcast(request)
        answers: dict[int, list[Answer]] = {}
        for share in self._share(request):
            if isinstance(share, Exception):
                raise share
            answers |= share
        return [answers[row] for row in range(len(answers))]

    def serve(self) -> None:
        """Answer this process's share of what the main process asks, until that one is done."""
        while (request := self.group.broadcast()) is not None:
            self._share(request)

    def _share(self, request: dict[str, Any]) -> list[dict[int, list[Answer]] | Exception]:
        """What each process answers, by rank: its answers by row, or the error that it ended with."""
        if self.group.size == 1:
            return [self._own(**request)]
        share: dict[int, list[Answer]] | Exception
        try:
            share = self._own(**request)
        except Exception as error:  # any error: the other processes wait for this share, and the main one raises it
            share = RuntimeError(f"process {self.group.rank}: {type(error).__name__}: {error}")
        return self.group.gather(share)

    def _own(self, task, count, texts, codes, seed, grammar) -> dict[int, list[Answer]]:
        """The answers of the batches that are this process's, by row."""
        column = texts if texts is not None else codes
        batches = list(batches_by_length([len(one) for one in column], max(1, self.batch_size // count)))
        seeds = [seed, *np.random.SeedSequence(seed).generate_state(max(len(batches) - 1, 0)).tolist()]
        # The best of all candidates of a request would be like each other; equal requests are answered independently.
        alike, each = (count, 1) if self.candidates > 1 else (1, count)
        answers: dict[int, list[Answer]] = {}
        for rows, own_seed in list(zip(batches, seeds, strict=False))[self.group.rank :: self.group.size]:
            asked = [row for row in rows for _ in range(alike)]
            found = self.model.generate_answers(
                task,
                None if texts is None else [texts[row] for row in asked],
                None if codes is None else [codes[row] for row in asked],
                self.processor,
                grammar=grammar,
                num_samples=each,
                candidates=self.candidates,
                seed=own_seed,
                batch_size=self.batch_size,
                **self.generate_kwargs,
            )
            for row, several in zip(asked, found, strict=True):
                answers.setdefault(row, []).extend(several)
        return answers


def text_to_motion_repeat(
    sampler: Sampler,
    real_side: protocol.RealSide,
    seed: int,
    halves: bool,
    pool_size: int,
    keep: protocol.Keep | None = None,
) -> protocol.Scored:
    """Generate from a random caption of each motion and score.

    Args:
        sampler: The model.
        real_side: Embeddings of the real clips.
        seed: Of the draws and the sampling.
        halves: Generate for one half of the split and compute FID against the other half; otherwise FID compares with
            the real versions of the same motions, as published.
        pool_size: Rows a pool.
        keep: Receives each answer.

    Returns:
        The scores.
    """
    drawn = protocol.draw(real_side.entries, seed, halves)
    motions = sampler.motions(protocol.texts_of(real_side.entries, drawn), seed)
    return protocol.score_motions(real_side, drawn, motions, pool_size, keep)


def attribute_pools_repeat(
    sampler: Sampler, real_side: protocol.RealSide, seed: int, pool_size: int, keep: protocol.Keep | None = None
) -> protocol.Scored:
    """Generate for every entry of a split whose pools differ in one attribute, and score within the pools.

    Args:
        sampler: The model.
        real_side: Embeddings of the real clips.
        seed: Of the draws and the sampling.
        pool_size: Entries a pool.
        keep: Receives each answer.

    Returns:
        The scores.
    """
    drawn = protocol.draw_in_order(real_side.entries, seed)
    motions = sampler.motions(protocol.texts_of(real_side.entries, drawn), seed)
    return protocol.score_attribute_pools(real_side, drawn, motions, pool_size, keep)


def vague_repeat(
    sampler: Sampler, real_side: protocol.RealSide, seed: int, keep: protocol.Keep | None = None
) -> protocol.Scored:
    """Generate for every entry of a split whose captions tell goals, and check whether what is done serves them.

    Args:
        sampler: The model.
        real_side: The split.
        seed: Of the draws and the sampling.
        keep: Receives each answer.

    Returns:
        The scores.
    """
    drawn = protocol.draw_in_order(real_side.entries, seed)
    motions = sampler.motions(protocol.texts_of(real_side.entries, drawn), seed)
    return protocol.score_admissible(real_side, drawn, motions, keep)


def multimodality_repeat(
    sampler: Sampler,
    entries: Sequence[CaptionedMotion],
    judges: dict[str, Any],
    seed: int,
    samples: int = 30,
    times: int = protocol.MULTIMODALITY_TIMES,
) -> protocol.Scored:
    """Generate several motions for a random caption of each entry, and measure how much they differ.

    Args:
        sampler: The model.
        entries: Clips of the split.
        judges: Evaluators by name.
        seed: Of the draws and the sampling.
        samples: Motions a caption.
        times: Pairs a caption.

    Returns:
        The scores.
    """
    texts = protocol.texts_of(entries, protocol.draw_in_order(entries, seed))
    made = sampler.motion_samples(texts, samples, seed)
    return protocol.score_multimodality(judges, [entry.id for entry in entries], made, seed, times)


def motion_to_text_repeat(
    sampler: Sampler,
    entries: Sequence[CaptionedMotion],
    codes: Sequence[Sequence[int]],
    seed: int,
    keep: protocol.KeepCaptions | None = None,
    **scoring: Any,
) -> protocol.Scored:
    """Describe each motion once and score.

    Args:
        sampler: The model.
        entries: Clips of the split.
        codes: Codes of each.
        seed: Of the sampling.
        keep: Receives each answer.
        **scoring: For `protocol.score_captions`.

    Returns:
        The scores.
    """
    captions = sampler.captions(codes, seed)
    if keep is not None:
        keep([(entry.id, caption) for entry, caption in zip(entries, captions, strict=True)])
    return protocol.score_captions(entries, captions, **scoring)


def free_validity(sampler: Sampler, task: str, requests: Sequence, seed: int) -> protocol.Scored:
    """Share of answers that follow the grammar when sampled without it.

    Args:
        sampler: The model.
        task: "t2m" or "m2t".
        requests: Texts or codes.
        seed: Of the sampling.

    Returns:
        The scores.
    """
    asked = {"texts": list(requests)} if task == "t2m" else {"codes": list(requests)}
    answers = sampler.answers(task, seed=seed, grammar=False, **asked)
    return protocol.Scored({"valid_free": sum(answer.valid for answer in answers) / len(answers)}, {})
