"""UniMo: a causal language model with the motion vocabulary and the motion VQ-VAE it writes and reads the codes of."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, BatchEncoding, GenerationMixin, LogitsProcessorList, PreTrainedModel

from .candidates_unimo import LEAST_SHARE, PROBES, Request, described_codes, recognised_share, score_answers
from .configuration_unimo import UniMoConfig
from .generated_unimo import GeneratedMotion, MotionDescription
from .generation_unimo import AnswerGrammar, default_generation_config
from .inference_unimo import batches_by_length, evaluating
from .inputs_unimo import as_int, as_motions, as_number, as_texts
from .modeling_motion_vqvae import MotionVQVAEModel
from .motion_representation import features_to_joints, skeleton_for
from .processing_unimo import GIVEN_TASKS, Answer, Given, UniMoProcessor
from .sampling_unimo import FOLLOWED, AnswerWriter, can_write, draw_keys, random_numbers
from .streaming_unimo import StreamingMixin
from .timeline_unimo import TimelineMixin

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


class UniMoForConditionalGeneration(TimelineMixin, StreamingMixin, UniMoPreTrainedModel, GenerationMixin):
    """Writes human motion from text and text from human motion, thinking in words first.

    A composite of a causal LM, `language_model`, and a frozen `motion_vqvae`. `generate` is the language model's;
    `generate_motion` and `describe_motion` go all the way, `timeline_unimo` and `streaming_unimo` beyond one clip.
    `model.language_model.save_pretrained(...)` gives the plain language model back.

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
        self._read_tasks: set[str] = set()  # of whose reading it is known whether it means anything
        self.post_init()

    @classmethod
    def from_parts(
        cls, language_model: PreTrainedModel, vqvae: MotionVQVAEModel, processor: UniMoProcessor
    ) -> "UniMoForConditionalGeneration":
        """Assemble a model from a trained LM and VQ-VAE; the parts are used as they are, not copied.

        Args:
            language_model: Causal LM with the motion vocabulary.
            vqvae: The codec.
            processor: The processor that belongs to both.

        Returns:
            The model.

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
        """Give the language model other input embeddings.

        Args:
            value: The embeddings.
        """
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self):
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value):
        """Give the language model another output head.

        Args:
            value: The head.
        """
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
        """The language model's forward: logits (B, L, V), and the loss of `labels` where given.

        Args:
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, labels, use_cache, logits_to_keep:
                As of the language model.
            **kwargs: Further arguments of the language model.
        """
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

    def encode_motions(self, motions: Any, processor: UniMoProcessor, batch_size: int = 64) -> list[list[int]]:
        """Codes of motions as `describe_motion` takes them, one list per motion: T // 4 codes.

        Args:
            motions: One motion or several, raw features (T, D) or joints.
            processor: The processor of the model.
            batch_size: Motions encoded at once.

        Returns:
            T // 4 codes a motion.

        Raises:
            ValueError: A motion of another shape, too short or long, or not finite.
        """
        self._check_loaded()
        encoded = self.motion_vqvae.encode_motions(motions, processor.feature_extractor, batch_size)
        return [codes.tolist() for codes in encoded]

    def decode_codes(
        self,
        codes_list: Sequence[Sequence[int]],
        processor: UniMoProcessor,
        batch_size: int = 64,
        return_tensors: str = "np",
    ) -> list[np.ndarray] | list[torch.Tensor]:
        """Raw features (4 L, D), float32, of each list of codes; see `MotionVQVAEModel.decode_motions`.

        Args:
            codes_list: L codes a motion.
            processor: The processor of the model.
            batch_size: Motions decoded at once.
            return_tensors: "np" for arrays on the host, "pt" for tensors on the model's device.

        Returns:
            (4 L, D) raw features a motion.

        Raises:
            ValueError: A motion without codes, or a code that is not in the codebook.
        """
        self._check_loaded()
        extractor = processor.feature_extractor
        return self.motion_vqvae.decode_motions(codes_list, extractor, batch_size, return_tensors)

    # ---------------------------------------------------------------- answers

    @torch.no_grad()
    def generate_answers(
        self,
        tasks: str | Sequence[str],
        texts: Sequence[str | None] | None,
        codes_list: Sequence[Sequence[int] | Given | None] | None,
        processor: UniMoProcessor,
        grammar: bool = True,
        durations: Sequence[float | None] | None = None,
        beginnings: Sequence[Sequence[int]] | None = None,
        num_samples: int = 1,
        seed: int | None = None,
        batch_size: int = 64,
        max_thought_tokens: int | None = None,
        max_motion_codes: int | None = None,
        max_answer_tokens: int | None = None,
        max_new_tokens: int | None = None,
        candidates: int = 1,
        think: bool | None = None,
        **generate_kwargs: Any,
    ) -> list[list[Answer]]:
        """Answers to requests of all tasks, mixed as they come.

        Args:
            tasks: one of the processor's tasks for all requests, or one each.
            texts: descriptions (None for m2t requests).
            codes_list: codes of the m2t requests, what is `Given` to continue and fill (None for t2m requests).
            processor: prompts, grammar and parsing.
            grammar: sample under the answer grammar, so that every answer is valid; False: freely.
            durations: seconds of each motion that is written, None where free or, to fill, given with the request.
            beginnings: codes that each t2m answer is made to begin with (empty: none). The thought comes before them;
                they are part of the answer and of its duration, and at least one code is written behind them.
            num_samples: answers a request.
            seed: of the draws; leaves the global random state as it was. None: one from that state. What is drawn for
                a request hangs on seed and request (of equal ones, on which of them it is), not on the others beside
                it nor on `batch_size`, unless `generate_kwargs` hold more than temperature, top_k and top_p.
            batch_size: sequences generated at once, at most (the beams of a request stay together); requests are
                sorted for it by the codes asked for, then by length.
            max_thought_tokens, max_motion_codes, max_answer_tokens, max_new_tokens: budgets; None: the processor's.
            candidates: answers written for each request, of which the best `num_samples` by the model's own reading
                are returned (see `candidates_unimo`); 1: as many as are returned, unread. The first candidate is the
                answer that would come without others. More of them take time, not memory, which `batch_size` bounds.
            think: whether to think before answering, for a model that was taught both; None: as the processor says.
            generate_kwargs: for `generate` (temperature, num_beams, ..), over `generation_config`.

        Returns:
            One list of `num_samples` answers a request, in the order of the requests; candidates with their scores,
            the best first. An invalid candidate scores -inf: it is returned only where there are too few valid ones.

        Raises:
            ValueError: a request the processor refuses, a duration or budget out of range, durations or beginnings
                without grammar, fewer candidates than samples, candidates with beams, or `think` that the model was
                not taught.
        """
        processor = processor.thinking(think)
        num_samples, batch_size = as_int("num_samples", num_samples, 1), as_int("batch_size", batch_size, 1)
        candidates = as_int("candidates", candidates, 1)
        seed = None if seed is None else as_int("seed", seed, -(2**63), 2**64 - 1)
        generate_kwargs = {name: as_number(value) for name, value in generate_kwargs.items()}
        if "num_return_sequences" in generate_kwargs:
            raise ValueError("give num_samples instead of num_return_sequences")
        self._check_loaded()
        requests = processor.rows(tasks, texts, codes_list)
        if not requests:
            return []
        if candidates > 1 and any(task in GIVEN_TASKS for task, _, _ in requests):
            raise ValueError("candidates are read in the other direction, which tasks with given motion do not have")
        num_codes: list[int | None] = [None] * len(requests)
        if durations is not None:
            if not grammar:
                raise ValueError("durations need the grammar; give none with grammar=False")
            if len(durations) != len(requests):
                raise ValueError(f"got {len(durations)} durations for {len(requests)} requests")
            num_codes = [None if d is None else processor.codes_of_duration(d) for d in durations]
        if grammar:
            num_codes = [
                shown.count if isinstance(shown, Given) and count is None else count
                for (_, _, shown), count in zip(requests, num_codes, strict=True)
            ]
        given = self._given_ids(beginnings, requests, processor, grammar)
        prompts = [processor.prompt_ids(*request) for request in requests]
        # All of a prompt takes one pass through the model, and so does every single code.
        sizes = [(codes or 0, len(prompt)) for codes, prompt in zip(num_codes, prompts, strict=True)]
        beams = (generate_kwargs.get("generation_config") or self.generation_config).num_beams
        together = (generate_kwargs.get("num_beams") or beams or 1) > 1
        written_each = self._answers_each(num_samples, candidates, together, generate_kwargs)
        at_once = written_each if together else min(written_each, batch_size)
        batches = [
            (rows, range(first, min(first + at_once, written_each)))
            for rows in batches_by_length(sizes, max(1, batch_size // written_each))
            for first in range(0, written_each, at_once)
        ]
        keys = draw_keys(prompts)
        answers: list[list[Answer]] = [[] for _ in requests]
        settings = self._writer_settings(generate_kwargs)
        if settings is None and any(given):
            raise ValueError(
                f"beginnings are followed with {', '.join(FOLLOWED)} alone, got {', '.join(sorted(generate_kwargs))}"
            )
        # Only the library's `generate` draws from torch's global state.
        seeded = nullcontext() if settings is not None else _seeded(seed, self.device)
        own_seed = int(torch.randint(2**62, ())) if seed is None else seed % 2**64
        budgets = {
            "max_new_tokens": max_new_tokens,
            "max_thought_tokens": max_thought_tokens,
            "max_motion_codes": max_motion_codes,
            "max_answer_tokens": max_answer_tokens,
        }
        with seeded, evaluating(self):
            for rows, samples in batches:
                inputs, rules = self._batch(
                    processor,
                    [requests[row][0] for row in rows],
                    [prompts[row] for row in rows],
                    [num_codes[row] for row in rows],
                    [given[row] for row in rows],
                    **budgets,
                )
                drawn = [(own_seed, *keys[row], sample) for row in rows for sample in samples]
                numbers = random_numbers(drawn, rules.max_new_tokens)
                if settings is None:
                    written = self._generate(inputs, rules, grammar, len(samples), generate_kwargs)
                else:
                    beginning = [given[row] for row in rows]
                    writer = AnswerWriter(
                        self.language_model, processor, inputs, rules, len(samples), numbers, beginning, **settings
                    )
                    written = writer.write() if grammar else writer.write_freely(self._end_ids(), rules.max_new_tokens)
                for ids, row in zip(written, [row for row in rows for _ in samples], strict=True):
                    answers[row].append(processor.parse(ids, requests[row][0]))
        return self._best(requests, answers, num_samples, processor, batch_size) if candidates > 1 else answers

    def _answers_each(self, num_samples: int, candidates: int, beams: bool, generate_kwargs: dict[str, Any]) -> int:
        """How many answers are written for each request.

        Raises:
            ValueError: these candidates cannot be written.
        """
        if candidates == 1:
            return num_samples
        if candidates < num_samples:
            raise ValueError(f"candidates must be >= num_samples, {num_samples}, or 1, got {candidates}")
        if beams:
            raise ValueError(f"candidates are sampled one by one, got {candidates} of them with num_beams above 1")
        config = generate_kwargs.get("generation_config") or self.generation_config
        if not generate_kwargs.get("do_sample", config.do_sample):
            warnings.warn(
                f"do_sample=False writes the same answer each time: {num_samples} a request instead of {candidates} "
                "candidates",
                stacklevel=4,
            )
            return num_samples
        return candidates

    def _best(
        self,
        requests: Sequence[Request],
        answers: Sequence[Sequence[Answer]],
        num_samples: int,
        processor: UniMoProcessor,
        batch_size: int,
    ) -> list[list[Answer]]:
        """The best of each request's answers by the model's own reading, with their scores."""
        asked = [request for request, several in zip(requests, answers, strict=True) for _ in several]
        written = [answer for several in answers for answer in several]
        scores = score_answers(self.language_model, processor, asked, written, batch_size).reshape(len(answers), -1)
        best = [several[place] for several, place in zip(answers, scores.argmax(1).tolist(), strict=True)]
        readable = zip(requests, best, scores.max(1).tolist(), strict=True)
        read = [(request, answer) for request, answer, score in readable if score > -np.inf]
        for task in sorted({request[0] for request in requests}):
            self._warn_unless_read(task, [pair for pair in read if pair[0][0] == task], processor, batch_size)
        # Stable: of equal ones the first, which is what would have come without candidates.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :num_samples]
        return [
            [replace(several[place], score=float(of_request[place])) for place in places]
            for several, of_request, places in zip(answers, scores, order.tolist(), strict=True)
        ]

    def _batch(
        self,
        processor: UniMoProcessor,
        tasks: Sequence[str],
        prompts: Sequence[Sequence[int]],
        num_codes: Sequence[int | None],
        given: Sequence[Sequence[int]],
        **budgets: int | None,
    ) -> tuple[BatchEncoding, AnswerGrammar]:
        """Prompts as one batch on the model's device, and the grammar of their answers."""
        inputs = processor.pad(prompts).to(self.device)
        rules = AnswerGrammar(
            processor,
            tasks,
            prompt_length=inputs["input_ids"].shape[1],
            vocab_size=self.config.text_config.vocab_size,
            num_codes=num_codes,
            given_codes=[len(codes) for codes in given],
            device=self.device,
            **budgets,
        )
        self._check_positions(rules.prompt_length + rules.max_new_tokens)
        return inputs, rules

    @staticmethod
    def _given_ids(
        beginnings: Sequence[Sequence[int]] | None,
        requests: Sequence[Request],
        processor: UniMoProcessor,
        grammar: bool,
    ) -> list[list[int]]:
        """Ids of the codes that each answer is made to begin with.

        Raises:
            ValueError: another number of them than of requests, no codes of this vocabulary, or no grammar.
        """
        if beginnings is None:
            return [[] for _ in requests]
        if not grammar:
            raise ValueError("beginnings need the grammar; give none with grammar=False")
        if len(beginnings) != len(requests):
            raise ValueError(f"got {len(beginnings)} beginnings for {len(requests)} requests")
        return [processor.code_ids(codes) if len(codes) else [] for codes in beginnings]

    def _warn_unless_read(
        self,
        task: str,
        answered: Sequence[tuple[Request, Answer]],
        processor: UniMoProcessor,
        batch_size: int,
    ) -> None:
        """Warn, once for a model and task, if the reading that candidates are chosen by means nothing.

        It is measured on requests of the task with their answers, and where these are few on answers to `PROBES`.
        """
        if task in self._read_tasks:
            return
        self._read_tasks.add(task)
        pairs: dict[str, tuple[Sequence[int], str]] = {}  # by caption, so that no two are the same
        for request, answer in answered:
            if len(pairs) < len(PROBES):
                caption = str(request[1]) if task == "t2m" else answer.caption
                codes = answer.codes if task == "t2m" else described_codes(request)
                pairs.setdefault(caption, (codes, answer.thought))
        if len(pairs) < len(PROBES):
            written = self.generate_answers("t2m", PROBES, None, processor, seed=0, batch_size=batch_size)
            pairs = {text: (answer.codes, answer.thought) for text, (answer,) in zip(PROBES, written, strict=True)}
        codes_list, thoughts = zip(*pairs.values(), strict=True)
        other = "m2t" if task == "t2m" else "t2m"
        share = recognised_share(self.language_model, processor, other, thoughts, list(pairs), codes_list, batch_size)
        if share < LEAST_SHARE:
            direction = "motion-to-text" if task == "t2m" else "text-to-motion"
            warnings.warn(
                f"candidates are chosen by the model's own reading, which tells {share:.0%} of pairs of motions apart "
                f"(chance 50%, wanted {LEAST_SHARE:.0%}): the model has learned too little {direction}; use "
                "candidates=1, or choose among num_samples by another judge",
                stacklevel=5,
            )

    def _writer_settings(self, generate_kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Settings for `AnswerWriter`; None where something is asked for that only the library's `generate` does."""
        settings = {name: getattr(self.generation_config, name) for name in FOLLOWED} | generate_kwargs
        followed = settings.keys() == set(FOLLOWED) and None not in settings.values() and self._is_plain_otherwise()
        return settings if followed and can_write(self.language_model) else None

    def _generate(
        self, inputs: BatchEncoding, rules: AnswerGrammar, grammar: bool, num_samples: int, settings: dict[str, Any]
    ) -> list[list[int]]:
        """Generated ids of `num_samples` answers a prompt, by the library's `generate`."""
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

    def _check_loaded(self) -> None:
        if any(parameter.is_meta for parameter in self.parameters()):
            raise ValueError(
                "parts of the model are offloaded to the CPU or disk (device_map), where motions cannot be encoded, "
                "written or decoded; load the model onto one device, in a smaller dtype if it does not fit"
            )

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
        texts: Any,
        processor: UniMoProcessor,
        duration: float | Iterable[float | None] | None = None,
        num_samples: int = 1,
        seed: int | None = None,
        candidates: int = 1,
        **generate_kwargs: Any,
    ) -> list[GeneratedMotion]:
        """Motions for texts.

        Args:
            texts: One description or several: a string, a row `{"text": str}`, or an iterable of these.
            processor: The processor that belongs to the model.
            duration: Seconds (0.2 to 9.8), rounded to whole codes: one number for all texts, one each, or None where
                the model decides.
            num_samples: Motions per text.
            seed: Seed of the draws.
            candidates: Motions written for each text, of which the best `num_samples` by the model's own reading are
                returned with their `score`; 1: as many as are returned, unread.
            **generate_kwargs: As `generate_answers`: think, temperature, batch_size, ..

        Returns:
            `num_samples` motions of the first text, then of the second, and so on.

        Warns:
            UnknownWordsWarning: names the words that the model's training on motion never met, where the processor
                holds those that it met.

        Raises:
            ValueError: a text that is blank or too long, a duration out of range.
        """
        texts, duration = as_texts(texts), as_number(duration)
        durations: list[Any] | None = None
        if isinstance(duration, Iterable) and not isinstance(duration, str):
            durations = list(duration)
        elif duration is not None:
            durations = [duration] * len(texts)
        processor.warn_of_unknown_words(texts)
        answers = self.generate_answers(
            "t2m", texts, None, processor, durations=durations, num_samples=num_samples, candidates=candidates,
            seed=seed, **generate_kwargs,
        )  # fmt: skip
        pairs = [(text, answer) for text, samples in zip(texts, answers, strict=True) for answer in samples]
        features = self.decode_codes([answer.codes for _, answer in pairs], processor)
        return [
            self._as_motion(text, answer.thought, answer.codes, motion, processor, score=answer.score)
            for (text, answer), motion in zip(pairs, features, strict=True)
        ]

    def _as_motion(
        self,
        text: str,
        thought: str,
        codes: list[int],
        features: np.ndarray,
        processor: UniMoProcessor,
        segments: Sequence[tuple[float, float, str]] = (),
        score: float | None = None,
    ) -> GeneratedMotion:
        skeleton = skeleton_for(self.config.motion_config.feature_dim)
        joints = np.asarray(features_to_joints(features, skeleton=skeleton))
        fps = processor.feature_extractor.fps
        return GeneratedMotion(text, thought, codes, features, joints, fps, score, list(segments))

    def describe_motion(
        self,
        motions: Any,
        processor: UniMoProcessor,
        seed: int | None = None,
        candidates: int = 1,
        **generate_kwargs: Any,
    ) -> list[MotionDescription]:
        """Descriptions of motions.

        Args:
            motions: One motion or several, 4 to 196 frames each: raw features (T, D) or joints (T + 1, J, 3) as
                arrays, tensors or nested lists, `GeneratedMotion`, paths of files, rows of a dataset, or an iterable
                of these (see `inputs_unimo`).
            processor: The processor that belongs to the model.
            seed: Seed of the draws.
            candidates: Descriptions written for each motion, of which the best by the model's own reading is returned
                with its `score`; 1: one, unread.
            **generate_kwargs: As `generate_answers`: think, temperature, batch_size, ..

        Returns:
            One description per motion (`num_samples` of each, where given).

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A motion that the feature extractor rejects.
        """
        clips, _ = as_motions(motions)
        if not clips:
            return []
        codes = self.encode_motions(clips, processor)
        answers = self.generate_answers(
            "m2t", None, codes, processor, candidates=candidates, seed=seed, **generate_kwargs
        )
        chosen = [answer for several in answers for answer in several]
        return [MotionDescription(answer.thought, answer.caption, answer.score) for answer in chosen]

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """As the library does, with the pipelines and their code, so that `pipeline(task, model=folder)` works.

        Args:
            save_directory: The folder.
            **kwargs: As the library's.
        """
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
