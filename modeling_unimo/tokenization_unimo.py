"""The motion vocabulary: 518 tokens added to any base tokenizer, the model rows that go with them, text kept apart."""

import re
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import (
    AddedToken,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

try:  # a dependency of every chat template; guarded so that the remote-code import check leaves it alone
    from jinja2.exceptions import TemplateError
except ImportError as error:
    raise ImportError("Chat templates need jinja2: pip install jinja2") from error

logger = logging.get_logger(__name__)


class Tag:
    """The control tokens that frame the parts of an answer."""

    MOTION_START, MOTION_END = "<Motion>", "</Motion>"
    THINK_START, THINK_END = "<think>", "</think>"
    ANSWER_START, ANSWER_END = "<Answer>", "</Answer>"


# Bases that pad with a token of their own name it one of these; the first is added where there is none.
PAD_TOKENS = ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>")

# Both templates render content verbatim and close every turn with one token, so that a completion is exactly
# what follows the generation prompt. `{% generation %}` marks the answer for assistant-only losses.
_CHATML_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if not loop.first -%}{{- '\\n' -}}{%- endif -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{% generation %}{{- message['content'] + '<|im_end|>' -}}{% endgeneration %}"
    "{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '\\n<|im_start|>assistant\\n' -}}{%- endif -%}"
)
_PLAIN_TEMPLATE = (
    "{%- if bos_token -%}{{- bos_token -}}{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '### ' + message['role'] | capitalize + ':\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{% generation %}{{- message['content'] + eos_token -}}{% endgeneration %}"
    "{%- else -%}{{- message['content'] + '\\n\\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '### Assistant:\\n' -}}{%- endif -%}"
)


def motion_token(code: int) -> str:
    """Token of one VQ code, for example `motion_token(3) == "<Motion_3>"`.

    Args:
        code: Index of the code.

    Returns:
        The token.
    """
    return f"<Motion_{code}>"


def motion_vocabulary(num_codes: int = 512) -> list[str]:
    """The added tokens in the published order (`add_tokens` of UniMo).

    Args:
        num_codes: Size of the motion codebook.

    Returns:
        `num_codes + 6` tokens: 518 for 512 codes.

    Raises:
        ValueError: `num_codes` is below 1.
    """
    if num_codes < 1:
        raise ValueError(f"num_codes must be >= 1, got {num_codes}")
    codes = [motion_token(code) for code in range(num_codes)]
    return [Tag.MOTION_START, Tag.MOTION_END, *codes, Tag.THINK_START, Tag.THINK_END, Tag.ANSWER_START, Tag.ANSWER_END]


@dataclass(frozen=True)
class MotionVocabulary:
    """Ids of the motion tokens in one tokenizer, looked up by name (a base may already own some of them)."""

    motion_start: int
    motion_end: int
    think_start: int
    think_end: int
    answer_start: int
    answer_end: int
    codes: tuple[int, ...]  # id of <Motion_i> at position i

    @classmethod
    def lookup(cls, tokenizer: PreTrainedTokenizerBase) -> "MotionVocabulary":
        """Find the ids of the motion tokens in a tokenizer.

        Args:
            tokenizer: A tokenizer with a motion vocabulary.

        Returns:
            The ids.

        Raises:
            ValueError: A control token or `<Motion_0>` is missing (`extend_vocabulary` was not run).
        """
        controls = {
            "motion_start": Tag.MOTION_START,
            "motion_end": Tag.MOTION_END,
            "think_start": Tag.THINK_START,
            "think_end": Tag.THINK_END,
            "answer_start": Tag.ANSWER_START,
            "answer_end": Tag.ANSWER_END,
        }
        vocabulary = tokenizer.get_vocab()
        missing = [token for token in (*controls.values(), motion_token(0)) if token not in vocabulary]
        if missing:
            raise ValueError(
                f"The tokenizer {tokenizer.name_or_path or type(tokenizer).__name__!r} has no {', '.join(missing)}: "
                "it has no motion vocabulary. Run `extend_vocabulary(tokenizer, model)` on it first."
            )
        codes: list[int] = []
        while motion_token(len(codes)) in vocabulary:
            codes.append(vocabulary[motion_token(len(codes))])
        return cls(codes=tuple(codes), **{name: vocabulary[token] for name, token in controls.items()})


class UniMoTokenizer(PreTrainedTokenizerFast):
    """The base tokenizer with names and look-ups for the motion vocabulary; encodes exactly as the base does."""

    model_input_names = ["input_ids", "attention_mask"]

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase) -> "UniMoTokenizer":
        """Wrap an extended base tokenizer.

        Args:
            tokenizer: A tokenizer with a motion vocabulary.

        Returns:
            A tokenizer with the same backend, special tokens and chat template.

        Raises:
            ValueError: The base has no `tokenizers` backend, or no motion vocabulary.
        """
        if not tokenizer.is_fast:
            raise ValueError(
                f"{type(tokenizer).__name__} has no `tokenizers` backend; convert it to a fast tokenizer first."
            )
        MotionVocabulary.lookup(tokenizer)
        wrapped = cls(
            tokenizer_object=tokenizer.backend_tokenizer,
            model_max_length=tokenizer.model_max_length,
            clean_up_tokenization_spaces=False,
            **tokenizer.special_tokens_map,
        )
        wrapped.chat_template = tokenizer.chat_template
        return wrapped

    @cached_property
    def motion_vocabulary(self) -> MotionVocabulary:
        """Ids of all motion tokens."""
        return MotionVocabulary.lookup(self)

    @property
    def num_codes(self) -> int:
        """Number of motion codes the vocabulary holds."""
        return len(self.motion_vocabulary.codes)


class TextEscape:
    """Text as a sequence of characters none of which is, or is part of, a token that controls a model.

    Inside every occurrence of an added or special token string (ours and the base's), the first character is written
    as its code point, `<think>` as `\\3c;think>`; so is the backslash itself, which makes the writing reversible.
    Characters that a tokenizer cannot spell (they would become its unknown token) and lone surrogates are written the
    same way.

    Args:
        tokenizer: its added and special tokens are what text is kept apart from.

    Raises:
        ValueError: a control string of the base consists of, or contains, the characters escapes are made of.
    """

    opener, digits, closer = "\\", "0123456789abcdef", ";"

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        self.controls = sorted({token.content for token in added} | set(tokenizer.all_special_tokens), key=len)
        for control in self.controls:
            if self.opener in control or self.closer in control or set(control) <= set(self.digits):
                raise ValueError(
                    f"The base tokenizer has the added token {control!r}, which escaped text could contain: "
                    "escapes are written with a backslash, hexadecimal digits and a semicolon. Use a base without it."
                )
        normalizer = tokenizer.backend_tokenizer.normalizer
        self._normalizer = normalizer
        normalized = [token.content for token in added if token.normalized]
        # Such tokens are found in the normalised text, where other characters may have become theirs.
        self._normalized = [normalizer.normalize_str(token) for token in normalized] if normalizer else []
        first = "".join(sorted({control[0] for control in self.controls}))
        alternatives = "|".join(re.escape(control) for control in reversed(self.controls))
        # The look-ahead finds overlapping occurrences too; the leading class rejects most positions at once.
        self._hidden = re.compile(
            f"[{re.escape(self.opener)}\ud800-\udfff]|(?=[{re.escape(first)}])(?=(?:{alternatives})).", re.DOTALL
        )
        self._written = re.compile(f"{re.escape(self.opener)}([{self.digits}]{{1,6}}){re.escape(self.closer)}")
        self._spelled: dict[str, bool] = {}

    def escape(self, text: str) -> str:
        """Replace control strings by escapes.

        Args:
            text: Any text.

        Returns:
            `text` without control strings; `unescape` gives it back exactly.
        """
        escaped = self._hidden.sub(lambda found: self._code_point(found[0]), text)
        unspelled = {character for character in set(escaped) if not self._is_spelled(character)}
        if unspelled:
            escaped = "".join(self._code_point(c) if c in unspelled else c for c in escaped)
        if self._normalized:
            seen = self._normalizer.normalize_str(escaped)
            if any(control in seen for control in self._normalized):
                return "".join(map(self._code_point, text))
        return escaped

    def unescape(self, text: str) -> str:
        """Undo `escape`.

        Args:
            text: Text with escapes; anything else in it is kept.

        Returns:
            The text that `escape` was given.
        """
        return self._written.sub(self._character, text)

    def _code_point(self, character: str) -> str:
        return f"{self.opener}{ord(character):x}{self.closer}"

    @staticmethod
    def _character(found: re.Match) -> str:
        value = int(found[1], 16)
        return chr(value) if value <= 0x10FFFF else found[0]

    def _is_spelled(self, character: str) -> bool:
        """Whether the tokenizer has tokens for a character; a tokenizer without an unknown token always does."""
        if self.tokenizer.unk_token_id is None or character in self.opener + self.digits + self.closer:
            return True
        if character not in self._spelled:
            ids = self.tokenizer(character, add_special_tokens=False)["input_ids"]
            self._spelled[character] = self.tokenizer.unk_token_id not in ids
        return self._spelled[character]


def end_of_turn(tokenizer: PreTrainedTokenizerBase, chat_template: str | None = None) -> str | None:
    """The token with which a chat template closes an answer.

    A template qualifies when it accepts a system turn, renders each content verbatim, opens the answer without a tag
    of the answer format (a prefilled `<think>` would be written twice), and closes it with a single added token.

    Args:
        tokenizer: The tokenizer that renders and splits.
        chat_template: The template; None takes the tokenizer's own.

    Returns:
        The token, or None if the template does not qualify.
    """
    template = chat_template or tokenizer.chat_template
    if not template:
        return None
    turns = [{"role": "system", "content": "Probe of role."}, {"role": "user", "content": "Probe of input."}]
    answer = f"{Tag.THINK_START}Probe of thought.{Tag.THINK_END}{Tag.ANSWER_START}Probe of answer.{Tag.ANSWER_END}"
    try:
        prompt = tokenizer.apply_chat_template(
            turns, chat_template=template, tokenize=False, add_generation_prompt=True
        )
        full = tokenizer.apply_chat_template(
            [*turns, {"role": "assistant", "content": answer}], chat_template=template, tokenize=False
        )
    except (TemplateError, TypeError):
        return None
    verbatim = all(prompt.count(turn["content"]) == 1 for turn in turns)
    if not verbatim or Tag.THINK_START in prompt or not full.startswith(prompt + answer):
        return None
    closing = tokenizer(full[len(prompt + answer) :], add_special_tokens=False)["input_ids"]
    if not closing or closing[0] not in tokenizer.added_tokens_decoder:
        return None
    return tokenizer.convert_ids_to_tokens(closing[0])


def extend_vocabulary(
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel | None = None,
    num_codes: int = 512,
    embedding_init: str = "sampled",
    seed: int = 0,
    codebook: torch.Tensor | None = None,
    pad_to_multiple_of: int = 64,
) -> MotionVocabulary:
    """Give a base tokenizer, and its causal LM, the motion vocabulary. Both are changed in place.

    Besides the tokens this settles what generation relies on: a chat template that carries an answer verbatim, an
    `eos_token` that is the template's end of turn, and a pad token that differs from every end token.

    Args:
        tokenizer: any tokenizer with a `tokenizers` backend.
        model: its causal LM; input and output rows are resized, and every row that belonged to no token (the new
            ones and a base's spare ones) is initialised.
        num_codes: size of the motion codebook.
        embedding_init: `"sampled"` draws each new row from the distribution of the base's rows, dimension by
            dimension, so that codes start well apart; `"codebook"` projects the VQ codebook to the same scale, so
            that similar codes start near each other; `"mean"` is the published start (the mean of the base's rows,
            apart by a hundredth of their spread), for comparison.
        seed: of the draws.
        codebook: (num_codes, C) for `"codebook"`.
        pad_to_multiple_of: the matrix is padded to a multiple of this.

    Returns:
        The ids of the tokens.

    Raises:
        ValueError: unknown `embedding_init`, codebook missing or of another size, tokenizer without backend.
    """
    if embedding_init not in ("sampled", "codebook", "mean"):
        raise ValueError(f'embedding_init must be "sampled", "codebook" or "mean", got {embedding_init!r}')
    if embedding_init == "codebook" and (codebook is None or codebook.ndim != 2 or len(codebook) != num_codes):
        shape = None if codebook is None else tuple(codebook.shape)
        raise ValueError(f'embedding_init="codebook" needs a codebook of shape ({num_codes}, C), got {shape}.')
    if not tokenizer.is_fast:
        raise ValueError(
            f"{type(tokenizer).__name__} has no `tokenizers` backend; convert it to a fast tokenizer first."
        )
    owned = set(tokenizer.get_vocab().values())
    # special=False: trainers decode with skip_special_tokens, and the tags must survive that. Adding a token that
    # exists keeps its id and takes over these flags.
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=False) for token in motion_vocabulary(num_codes)]
    )
    _settle_end_of_turn(tokenizer)
    end_ids = {tokenizer.eos_token_id}
    if model is not None:
        for config in (model.config, model.generation_config):
            ids = config.eos_token_id
            end_ids.update([] if ids is None else [ids] if isinstance(ids, int) else ids)
    _settle_pad_token(tokenizer, end_ids)
    vocabulary = MotionVocabulary.lookup(tokenizer)
    if model is not None:
        _resize(model, tokenizer, vocabulary, owned, embedding_init, seed, codebook, pad_to_multiple_of)
        # The end of turn first: `generate` takes any of them as an end, the grammar writes the first.
        ends = [tokenizer.eos_token_id, *sorted(end_ids - {tokenizer.eos_token_id})]
        ids = {
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": ends if len(ends) > 1 else ends[0],
            "bos_token_id": tokenizer.bos_token_id,
        }
        for name, value in ids.items():
            setattr(model.config, name, value)
        # The model's own distribution: a base's defaults (Qwen's repetition penalty) would punish a pose held still.
        model.generation_config = GenerationConfig(
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0, **ids
        )
    return vocabulary


def _settle_end_of_turn(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make sure of a usable chat template, and of its end of turn as the tokenizer's `eos_token`."""
    end = end_of_turn(tokenizer)
    if end is None:
        if tokenizer.chat_template:
            logger.warning(
                "The chat template of the base cannot carry a UniMo answer verbatim (it refuses a system turn, "
                "changes contents, or opens the thought itself); it is replaced by UniMo's."
            )
        vocabulary = tokenizer.get_vocab()
        if "<|im_start|>" in vocabulary and "<|im_end|>" in vocabulary:
            marks = [AddedToken(mark, normalized=False, special=True) for mark in ("<|im_start|>", "<|im_end|>")]
            tokenizer.add_tokens(marks, special_tokens=True)
            tokenizer.chat_template = _CHATML_TEMPLATE
        else:
            if tokenizer.eos_token is None:
                tokenizer.add_special_tokens({"eos_token": "<|end|>"})
            tokenizer.chat_template = _PLAIN_TEMPLATE
        end = end_of_turn(tokenizer)
        if end is None:
            raise ValueError(
                f"{type(tokenizer).__name__} does not keep its end token {tokenizer.eos_token!r} as an added token; "
                "add it with `tokenizer.add_special_tokens` first."
            )
    if tokenizer.eos_token != end:
        tokenizer.eos_token = end


def _settle_pad_token(tokenizer: PreTrainedTokenizerBase, end_ids: set[int]) -> None:
    """A pad token that is no end token: masking one would otherwise hide the other."""
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id not in end_ids:
        return
    vocabulary = tokenizer.get_vocab()
    own = [token for token in PAD_TOKENS if token in vocabulary and vocabulary[token] not in end_ids]
    tokenizer.add_special_tokens({"pad_token": own[0] if own else PAD_TOKENS[0]})


@torch.no_grad()
def _resize(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: MotionVocabulary,
    owned: set[int],
    embedding_init: str,
    seed: int,
    codebook: torch.Tensor | None,
    pad_to_multiple_of: int,
) -> None:
    rows = len(model.get_input_embeddings().weight)
    if max(owned) >= rows:
        raise ValueError(
            f"The tokenizer has ids up to {max(owned)} but the model has {rows} rows; give the model's own tokenizer."
        )
    needed = max(tokenizer.get_vocab().values()) + 1
    if needed > rows:
        needed = -(-needed // pad_to_multiple_of) * pad_to_multiple_of
        # mean_resizing=True would start all new rows within 1e-4 of each other: the codes indistinguishable.
        model.resize_token_embeddings(needed, mean_resizing=False)
    size = len(model.get_input_embeddings().weight)
    old = torch.tensor(sorted(owned))
    new = torch.tensor(sorted(set(range(size)) - owned), dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    matrices = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not matrices[0]:
        matrices.append(head.weight)
    for matrix in matrices:
        base = matrix[old.to(matrix.device)].float().cpu()
        mean, spread = base.mean(0), base.std(0)
        fresh = mean + spread * torch.randn(len(new), matrix.shape[1], generator=generator)
        if embedding_init == "mean":
            fresh = mean + 0.01 * (fresh - mean)
        matrix[new.to(matrix.device)] = fresh.to(matrix)
        if embedding_init == "codebook":
            projected = _project(codebook, matrix.shape[1], generator) * spread + mean
            is_new = torch.tensor([id_ not in owned for id_ in vocabulary.codes])
            codes = torch.tensor(vocabulary.codes)[is_new]
            matrix[codes.to(matrix.device)] = projected[is_new].to(matrix)
    if head is not None and getattr(head, "bias", None) is not None:
        head.bias[new.to(head.bias.device)] = head.bias[old.to(head.bias.device)].mean()


def _project(codebook: torch.Tensor, width: int, generator: torch.Generator) -> torch.Tensor:
    """(K, C) codes as (K, width) rows of zero mean and unit spread, distances kept up to a random projection."""
    codes = codebook.detach().float().cpu()
    codes = codes - codes.mean(0)
    rows = codes @ torch.randn(codes.shape[1], width, generator=generator)
    rows = rows / rows.std().clamp_min(1e-12)
    # Unused codes may coincide; a little noise keeps every row apart.
    return 0.95 * rows + 0.3 * torch.randn(rows.shape, generator=generator)


UniMoTokenizer.register_for_auto_class("AutoTokenizer")
