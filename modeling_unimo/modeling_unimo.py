"""UniMo: a causal language model with the motion vocabulary and the motion VQ-VAE it writes and reads the codes of."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, BatchEncoding, GenerationMixin, LogitsProcessorList, PreTrainedModel

from .configuration_unimo import UniMoConfig
from .export_unimo import save_motion
from .generation_unimo import AnswerGrammar, default_generation_config
from .modeling_motion_vqvae import MotionVQVAEModel, batches_by_length, evaluating
from .motion_representation import features_to_joints, skeleton_for
from .processing_unimo import Answer, UniMoProcessor
from .sampling_unimo import FOLLOWED, AnswerWriter, can_write, draw_keys, random_numbers
from .visualization_unimo import player_html

# Generation settings that change nothing at these values, and those that are no matter of how a token is chosen.
_NEUTRAL = {"num_beams": 1, "repetition_penalty": 1.0, "use_cache": True}
_NOT_OF_SAMPLING = (
    "max_new_tokens",
    "max_length",
    "eos_token_id",
    "pad_token_id",
    "bos_token_id",
    "transformers_version",
)


@dataclass(frozen=True, eq=False)
class GeneratedMotion:
    """A motion written for a text.

    Attributes:
        text: what was asked for.
        thought: what the model thought first.
        codes: VQ codes, one for every four frames.
        features: (T, D) raw features.
        joints: (T, J, 3) joint positions, metres, Y up.
        fps: frames a second.
    """

    text: str
    thought: str
    codes: list[int]
    features: np.ndarray
    joints: np.ndarray
    fps: float

    def save(self, path: str | Path) -> None:
        """Write `.npy` (features), `.npz`, `.bvh`, `.html` or `.mp4`, by the suffix of `path`."""
        save_motion(
            path,
            self.joints,
            features=self.features,
            fps=self.fps,
            codes=self.codes,
            text=self.text,
            thought=self.thought,
        )

    def _repr_html_(self) -> str:
        track = {"joints": self.joints, "label": self.text}
        return player_html([track], fps=self.fps, title=self.text, caption=self.thought)


@dataclass(frozen=True)
class MotionDescription:
    """A description of a motion, and what the model thought before it."""

    thought: str
    caption: str


class UniMoPreTrainedModel(PreTrainedModel):
    """What the composite tells the library about its parts."""

    config_class = UniMoConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    # Codes are decided by nearest neighbours; half precision would change them.
    _keep_in_fp32_modules_strict = ["motion_vqvae"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class UniMoForConditionalGeneration(UniMoPreTrainedModel, GenerationMixin):
    """Writes human motion from text and text from human motion, thinking in words first.

    A composite of a causal LM, `language_model`, and a frozen `motion_vqvae`. `generate` is the language model's;
    `generate_motion` and `describe_motion` go all the way. `model.language_model.save_pretrained(...)` gives the plain
    language model back.

    Examples:
        >>> model = AutoModel.from_pretrained(folder, trust_remote_code=True)
        >>> processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
        >>> model.generate_motion(["a person waves"], processor, seed=0)[0].save("wave.bvh")
    """

    def __init__(self, config: UniMoConfig):
        super().__init__(config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.motion_vqvae = MotionVQVAEModel(config.motion_config)
        self.motion_vqvae.requires_grad_(False)
        self.post_init()

    @classmethod
    def from_parts(
        cls, language_model: PreTrainedModel, vqvae: MotionVQVAEModel, processor: UniMoProcessor
    ) -> "UniMoForConditionalGeneration":
        """Assemble a model from a trained LM and VQ-VAE; the parts are used as they are, not copied.

        Raises:
            ValueError: the parts do not belong together.
        """
        rows, highest = (
            len(language_model.get_input_embeddings().weight),
            max(processor.tokenizer.get_vocab().values()),
        )
        if highest >= rows:
            raise ValueError(f"The language model has {rows} rows but the tokenizer ids up to {highest}.")
        if vqvae.config.codebook_size != processor.num_codes:
            raise ValueError(
                f"The VQ-VAE has {vqvae.config.codebook_size} codes, the tokenizer tokens for {processor.num_codes}."
            )
        extractor = processor.feature_extractor
        theirs = (extractor.feature_dim, extractor.unit_length)
        if (vqvae.config.feature_dim, vqvae.config.downsample) != theirs:
            raise ValueError(
                f"The VQ-VAE reads {vqvae.config.feature_dim} features and {vqvae.config.downsample} frames a code, "
                f"the feature extractor gives {theirs[0]} and {theirs[1]}."
            )
        text_config, motion_config = language_model.config.to_dict(), vqvae.config.to_dict()
        for part in (text_config, motion_config):
            part.pop("_name_or_path", None)  # where it was loaded from is no property of a model, and may be private
        config = UniMoConfig(text_config=text_config, motion_config=motion_config)
        with torch.device("meta"):
            model = cls(config)
        model.language_model, model.motion_vqvae = language_model, vqvae.requires_grad_(False)
        ends = language_model.generation_config.eos_token_id
        ends = [] if ends is None else [ends] if isinstance(ends, int) else ends
        model.generation_config = default_generation_config(processor, ends)
        return model.eval()

    # ---------------------------------------------------------------- the language model

    def get_input_embeddings(self):
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value):
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self):
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value):
        self.language_model.set_output_embeddings(value)

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Any | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ):
        """The language model's forward: logits (B, L, V), and the loss of `labels` where given."""
        return self.language_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    # ---------------------------------------------------------------- motion and codes

    def encode_motions(
        self, motions: Sequence[np.ndarray], processor: UniMoProcessor, batch_size: int = 64
    ) -> list[list[int]]:
        """Codes of raw features, one list a motion: `len(motion) // 4` codes.

        Raises:
            ValueError: a motion is no (T, D) array, too short or long, or not finite.
        """
        encoded = self.motion_vqvae.encode_motions(motions, processor.feature_extractor, batch_size)
        return [codes.tolist() for codes in encoded]

    def decode_codes(
        self, codes_list: Sequence[Sequence[int]], processor: UniMoProcessor, batch_size: int = 64
    ) -> list[np.ndarray]:
        """Raw features (4 L, D), float32, of each list of codes.

        Raises:
            ValueError: a motion without codes, or a code that is not in the codebook.
        """
        return self.motion_vqvae.decode_motions(codes_list, processor.feature_extractor, batch_size)

    # ---------------------------------------------------------------- answers

    @torch.no_grad()
    def generate_answers(
        self,
        tasks: str | Sequence[str],
        texts: Sequence[str | None] | None,
        codes_list: Sequence[Sequence[int] | None] | None,
        processor: UniMoProcessor,
        grammar: bool = True,
        durations: Sequence[float | None] | None = None,
        num_samples: int = 1,
        seed: int | None = None,
        batch_size: int = 64,
        max_thought_tokens: int | None = None,
        max_motion_codes: int | None = None,
        max_answer_tokens: int | None = None,
        max_new_tokens: int | None = None,
        **generate_kwargs: Any,
    ) -> list[list[Answer]]:
        """Answers to requests of both tasks, mixed as they come.

        Args:
            tasks: "t2m" or "m2t", one for all requests or one each.
            texts: descriptions of the t2m requests (None elsewhere).
            codes_list: codes of the m2t requests (None elsewhere).
            processor: prompts, grammar and parsing.
            grammar: sample under the answer grammar, so that every answer is valid; False: freely.
            durations: seconds of each t2m answer, None where free.
            num_samples: answers a request.
            seed: of the draws; leaves the global random state as it was. None: one from that state. What is drawn for
                a request hangs on seed and request (of equal ones, on which of them it is), not on the others beside
                it nor on `batch_size`, unless `generate_kwargs` hold more than temperature, top_k and top_p.
            batch_size: sequences generated at once, at most (the beams of a request stay together); requests are
                sorted for it by the codes asked for, then by length.
            max_thought_tokens, max_motion_codes, max_answer_tokens, max_new_tokens: budgets; None: the processor's.
            generate_kwargs: for `generate` (temperature, num_beams, ..), over `generation_config`.

        Returns:
            One list of `num_samples` answers a request, in the order of the requests.

        Raises:
            ValueError: a request the processor refuses, a duration or budget out of range, durations without grammar.
        """
        if num_samples < 1 or batch_size < 1:
            raise ValueError(f"num_samples is {num_samples} and batch_size {batch_size}; both must be at least 1.")
        if "num_return_sequences" in generate_kwargs:
            raise ValueError("Give num_samples, not num_return_sequences.")
        requests = processor.rows(tasks, texts, codes_list)
        if not requests:
            return []
        num_codes: list[int | None] = [None] * len(requests)
        if durations is not None:
            if not grammar:
                raise ValueError("A duration is kept by the grammar; give no durations with grammar=False.")
            if len(durations) != len(requests):
                raise ValueError(f"There are {len(durations)} durations for {len(requests)} requests.")
            num_codes = [None if d is None else processor.codes_of_duration(d) for d in durations]
        prompts = [processor.prompt(*request) for request in requests]
        lengths = [len(ids) for ids in processor.tokenizer(prompts, add_special_tokens=False)["input_ids"]]
        # All of a prompt takes one pass through the model, and so does every single code.
        sizes = [(codes or 0, length) for codes, length in zip(num_codes, lengths, strict=True)]
        beams = (generate_kwargs.get("generation_config") or self.generation_config).num_beams
        together = (generate_kwargs.get("num_beams") or beams or 1) > 1
        at_once = num_samples if together else min(num_samples, batch_size)
        batches = [
            (rows, range(first, min(first + at_once, num_samples)))
            for rows in batches_by_length(sizes, max(1, batch_size // num_samples))
            for first in range(0, num_samples, at_once)
        ]
        keys = draw_keys(prompts)
        answers: list[list[Answer]] = [[] for _ in requests]
        with _seeded(seed, self.device), evaluating(self):
            own_seed = int(torch.randint(2**62, ())) if seed is None else seed % 2**64
            for rows, samples in batches:
                row_tasks = [requests[row][0] for row in rows]
                inputs = processor.tokenizer(
                    [prompts[row] for row in rows],
                    add_special_tokens=False,
                    padding=True,
                    padding_side="left",
                    return_tensors="pt",
                ).to(self.device)
                rules = AnswerGrammar(
                    processor,
                    row_tasks,
                    prompt_length=inputs["input_ids"].shape[1],
                    vocab_size=self.config.text_config.vocab_size,
                    max_new_tokens=max_new_tokens,
                    max_thought_tokens=max_thought_tokens,
                    max_motion_codes=max_motion_codes,
                    max_answer_tokens=max_answer_tokens,
                    num_codes=[num_codes[row] for row in rows],
                    device=self.device,
                )
                self._check_positions(rules.prompt_length + rules.max_new_tokens)
                drawn = [(own_seed, *keys[row], sample) for row in rows for sample in samples]
                numbers = random_numbers(drawn, rules.max_new_tokens)
                written = self._write(processor, inputs, rules, grammar, numbers, generate_kwargs)
                for ids, row in zip(written, [row for row in rows for _ in samples], strict=True):
                    answers[row].append(processor.parse(ids, requests[row][0]))
        return answers

    def _write(
        self,
        processor: UniMoProcessor,
        inputs: BatchEncoding,
        rules: AnswerGrammar,
        grammar: bool,
        numbers: torch.Tensor,
        settings: dict[str, Any],
    ) -> list[list[int]]:
        """Generated ids of each answer, as many a prompt as there are `numbers` for, drawn by these."""
        num_samples = len(numbers) // len(inputs["input_ids"])
        ours = {name: getattr(self.generation_config, name) for name in FOLLOWED} | settings
        followed = ours.keys() == set(FOLLOWED) and None not in ours.values() and self._is_plain_otherwise()
        if followed and can_write(self.language_model):
            writer = AnswerWriter(self.language_model, processor, inputs, rules, num_samples, numbers, **ours)
            return writer.write() if grammar else writer.write_freely(self._end_ids(), rules.max_new_tokens)
        others = settings.get("logits_processor") or ()
        generated = self.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=rules.max_new_tokens,
            num_return_sequences=num_samples,
            **(settings | {"logits_processor": LogitsProcessorList([*others, *([rules] if grammar else [])])}),
        )
        return generated[:, rules.prompt_length :].tolist()

    def _is_plain_otherwise(self) -> bool:
        """Whether the generation settings ask for nothing else that only the library's `generate` does."""
        given = self.generation_config.to_diff_dict().items()
        return {k for k, v in given if v != _NEUTRAL.get(k)} <= {*FOLLOWED, *_NOT_OF_SAMPLING}

    def _end_ids(self) -> list[int]:
        ends = self.generation_config.eos_token_id
        return [ends] if isinstance(ends, int) else list(ends)

    def _check_positions(self, length: int) -> None:
        """Rotary positions go on past what a model was trained on; a table of positions ends."""
        text_config = self.config.text_config
        positions = getattr(text_config, "max_position_embeddings", None)
        if positions is not None and length > positions and getattr(text_config, "rope_parameters", None) is None:
            raise ValueError(
                f"Prompt and answer take up to {length} tokens but the language model has {positions} positions. "
                "Shorten the text, or give smaller budgets (max_thought_tokens, max_answer_tokens, max_motion_codes)."
            )

    def generate_motion(
        self,
        texts: str | Sequence[str],
        processor: UniMoProcessor,
        duration: float | Sequence[float | None] | None = None,
        num_samples: int = 1,
        seed: int | None = None,
        **generate_kwargs: Any,
    ) -> list[GeneratedMotion]:
        """Motions for texts.

        Args:
            texts: descriptions.
            processor: the processor that belongs to the model.
            duration: seconds (0.2 to 9.8), rounded to whole codes; one for all texts, one each, or None: the model's.
            num_samples: motions a text.
            seed: of the draws.
            generate_kwargs: what `generate_answers` takes.

        Returns:
            `num_samples` motions of the first text, then of the second, and so on.

        Raises:
            ValueError: a text that is blank or too long, a duration out of range.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        durations = None
        if duration is not None:
            durations = list(duration) if isinstance(duration, (list, tuple, np.ndarray)) else [duration] * len(texts)
        answers = self.generate_answers(
            "t2m", texts, None, processor, durations=durations, num_samples=num_samples, seed=seed, **generate_kwargs
        )
        pairs = [(text, answer) for text, samples in zip(texts, answers, strict=True) for answer in samples]
        features = self.decode_codes([answer.codes for _, answer in pairs], processor)
        skeleton = skeleton_for(self.config.motion_config.feature_dim)
        return [
            GeneratedMotion(
                text=text,
                thought=answer.thought,
                codes=answer.codes,
                features=motion,
                joints=np.asarray(features_to_joints(motion, skeleton=skeleton)),
                fps=processor.feature_extractor.fps,
            )
            for (text, answer), motion in zip(pairs, features, strict=True)
        ]

    def describe_motion(
        self,
        motions: np.ndarray | Sequence[np.ndarray],
        processor: UniMoProcessor,
        seed: int | None = None,
        **generate_kwargs: Any,
    ) -> list[MotionDescription]:
        """Descriptions of motions.

        Args:
            motions: raw features (T, D), one array or a list of them, 4 to 196 frames each.
            processor: the processor that belongs to the model.
            seed: of the draws.
            generate_kwargs: what `generate_answers` takes.

        Returns:
            One description a motion (`num_samples` of each, where given).

        Raises:
            ValueError: a motion the feature extractor refuses.
        """
        clips: list[Any] = [motions] if getattr(motions, "ndim", 0) == 2 else list(motions)
        if not clips:
            return []
        codes = self.encode_motions(clips, processor)
        answers = self.generate_answers("m2t", None, codes, processor, seed=seed, **generate_kwargs)
        return [MotionDescription(answer.thought, answer.caption) for samples in answers for answer in samples]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """As the library does, with the pipelines and their code, so that `pipeline(task, model=folder)` works."""
        from .pipeline_unimo import CUSTOM_PIPELINES

        self.config.custom_pipelines = CUSTOM_PIPELINES
        super().save_pretrained(save_directory, **kwargs)


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


UniMoForConditionalGeneration.register_for_auto_class("AutoModel")
