"""Motion as it is written: joints of the first codes while the model still writes the later ones.

The frames of a code depend on a few codes to either side of it, as many as the decoder's layers reach
(`MotionVQVAEModel.decoder_reach`). Frames are given out once all codes that they depend on are written, so that they
are those of the whole motion, and each window is decoded with no more codes than that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .inference_unimo import evaluating
from .inputs_unimo import as_int, as_number, as_texts
from .modeling_motion_vqvae import MotionVQVAEModel
from .motion_representation import features_to_joints, skeleton_for
from .processing_unimo import UniMoProcessor
from .sampling_unimo import FOLLOWED, AnswerWriter, draw_keys, random_numbers


@dataclass(frozen=True)
class StreamedPart:
    """News of one of several motions that are written together.

    Attributes:
        request: which of them it is.
        joints: (n, J, 3) the next frames, n from 0.
        thought: what the model thought, in the first part of a motion; None later.
        done: whether these are the last frames.
    """

    request: int
    joints: np.ndarray
    thought: str | None
    done: bool


class StreamDecoder:
    """Decodes the codes of one motion as they come.

    Args:
        vqvae: the model whose codes they are.
        processor: the processor that belongs to it.
    """

    def __init__(self, vqvae: MotionVQVAEModel, processor: UniMoProcessor):
        self.vqvae, self.extractor = vqvae, processor.feature_extractor
        self.skeleton = skeleton_for(vqvae.config.feature_dim)
        self.features = np.zeros((0, vqvae.config.feature_dim), dtype=np.float32)

    @torch.no_grad()
    def advance(self, codes: Sequence[int], whole: bool) -> np.ndarray:
        """(n, J, 3) joints of the frames that have become certain.

        Args:
            codes: all codes of the motion so far.
            whole: whether no more will come.

        Returns:
            Joints in metres; n is 0 where none has become certain.
        """
        known = len(self.features) // self.vqvae.config.downsample
        reach = self.vqvae.decoder_reach
        before, after = (len(codes), len(codes)) if reach is None else reach
        certain = len(codes) if whole else len(codes) - after
        begin = len(self.features)
        if certain > known:
            first = max(0, known - before)
            window = list(codes[first : certain + after])
            features = self.vqvae.decode_motions([window], self.extractor)[0]
            frames = slice(
                (known - first) * self.vqvae.config.downsample, (certain - first) * self.vqvae.config.downsample
            )
            self.features = np.concatenate([self.features, features[frames]])
        return np.asarray(features_to_joints(self.features, skeleton=self.skeleton))[begin:]


class StreamingMixin:
    """The methods of `UniMoForConditionalGeneration` that give out a motion while it is written."""

    # Of the class that this one is mixed into.
    motion_vqvae: MotionVQVAEModel
    language_model: Any
    _batch: Any
    _check_loaded: Any
    _writer_settings: Any

    def stream_motion(
        self,
        text: Any,
        processor: UniMoProcessor,
        duration: float | None = None,
        seed: int | None = None,
        think: bool | None = None,
        **generate_kwargs: Any,
    ) -> Iterator[np.ndarray]:
        """The joints of the motion that `generate_motion` writes for a text, as its codes come.

        Args:
            text: The description.
            processor: The processor that belongs to the model.
            duration: Seconds, as for `generate_motion`.
            seed: Seed of the draws.
            think: Whether to think first, as for `generate_motion`; without, the first frames come sooner.
            **generate_kwargs: do_sample, temperature, top_k, top_p, and budgets.

        Returns:
            An iterator of (n, J, 3) joints, metres, n >= 1.

        Raises:
            ValueError: What `generate_motion` refuses, a setting that needs the whole answer, or several texts.
        """
        texts = as_texts(text)
        if len(texts) != 1:
            raise ValueError(f"stream_motion writes one motion, got {len(texts)} texts; use stream_motions")
        steps = self.stream_motions(texts, processor, [duration], [seed], think, **generate_kwargs)
        return (part.joints for parts in steps for part in parts if len(part.joints))

    def stream_motions(
        self,
        texts: Sequence[str],
        processor: UniMoProcessor,
        durations: Sequence[float | None] | None = None,
        seeds: Sequence[int | None] | None = None,
        think: bool | None = None,
        max_thought_tokens: int | None = None,
        max_motion_codes: int | None = None,
        max_new_tokens: int | None = None,
        **generate_kwargs: Any,
    ) -> Iterator[list[StreamedPart]]:
        """Several motions as their codes come, written together; each is what `generate_motion` writes for it alone.

        Args:
            texts: Descriptions.
            processor: The processor that belongs to the model.
            durations: Seconds of each motion, None where the model decides.
            seeds: Seed of each motion, None for one from torch's global state.
            think: Whether to think first; None: as the processor is set.
            max_thought_tokens, max_motion_codes, max_new_tokens: Budgets; None: the processor's.
            **generate_kwargs: do_sample, temperature, top_k, top_p.

        Returns:
            An iterator over the tokens that are written, each time one of every motion, with the news of each: an
            empty list where there are none, as while the model thinks.

        Raises:
            ValueError: What `generate_motion` refuses, or a setting that needs the whole answer.
        """
        self._check_loaded()
        processor = processor.thinking(think)
        generate_kwargs = {name: as_number(value) for name, value in generate_kwargs.items()}
        settings = self._writer_settings(generate_kwargs)
        if settings is None:
            raise ValueError(
                f"a stream follows {', '.join(FOLLOWED)} alone, got {', '.join(sorted(generate_kwargs)) or 'others'}; "
                "use generate_motion"
            )
        requests = processor.rows("t2m", texts, None)
        count = len(requests)
        durations = [None] * count if durations is None else list(durations)
        seeds = [None] * count if seeds is None else list(seeds)
        if len(durations) != count or len(seeds) != count:
            raise ValueError(f"got {len(durations)} durations and {len(seeds)} seeds for {count} texts")
        if not count:
            return iter(())
        prompts = [processor.prompt_ids(*request) for request in requests]
        num_codes = [None if seconds is None else processor.codes_of_duration(seconds) for seconds in durations]
        inputs, rules = self._batch(
            processor,
            ["t2m"] * count,
            prompts,
            num_codes,
            [[]] * count,
            max_new_tokens=max_new_tokens,
            max_thought_tokens=max_thought_tokens,
            max_motion_codes=max_motion_codes,
        )
        processor.warn_of_unknown_words(texts)
        keys = [
            (
                int(torch.randint(2**62, ())) if seed is None else as_int("seed", seed, -(2**63), 2**64 - 1) % 2**64,
                *draw_keys([prompt])[0],
                0,
            )
            for seed, prompt in zip(seeds, prompts, strict=True)
        ]
        numbers = random_numbers(keys, rules.max_new_tokens)
        writer = AnswerWriter(self.language_model, processor, inputs, rules, 1, numbers, **settings)
        return self._streamed(writer, processor)

    def _streamed(self, writer: AnswerWriter, processor: UniMoProcessor) -> Iterator[list[StreamedPart]]:
        code_of = {id_: code for code, id_ in enumerate(processor.vocabulary.codes)}
        decoders = {row: StreamDecoder(self.motion_vqvae, processor) for row in range(len(writer.parts))}
        began: set[int] = set()
        with evaluating(self):
            for _ in writer.steps():
                parts = []
                for row in list(decoders):
                    if not writer.parts[row]:
                        continue
                    done = row in writer.closed
                    codes = [code_of[id_] for id_ in writer.parts[row]]
                    joints = decoders[row].advance(codes, done)
                    thought = None if row in began else processor.read_text(writer.thoughts[row])
                    if done:
                        del decoders[row]
                    if len(joints) or done or row not in began:
                        began.add(row)
                        parts.append(StreamedPart(row, joints, thought, done))
                yield parts
