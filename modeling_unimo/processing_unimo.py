"""The processor: the one place that knows prompts, motion tokens and how an answer is read."""

import copy
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
from transformers import BatchEncoding, BatchFeature, ProcessorMixin

from .inputs_unimo import as_int, as_number, as_texts
from .tokenization_unimo import MotionVocabulary, Tag, TextEscape, end_of_turn, motion_token
from .words_unimo import UnknownWordsWarning, unknown_words, unknown_words_message

TASKS = ("t2m", "m2t")
# Tasks of models that were also taught to go on from a motion, or to fill in what is missing between two.
GIVEN_TASKS = ("continue", "fill")
# Tasks whose answer is a motion.
MOTION_TASKS = ("t2m", *GIVEN_TASKS)
MAX_TEXT_CHARACTERS = 2000

# Short on purpose: at small scale the prompt is a good part of every sequence.
SYSTEM_PROMPTS = {
    "t2m": "Think how the body moves, then write the motion.",
    "m2t": "Think how the body moves, then describe the motion.",
    "continue": "Think how the body moves, then write how the motion goes on.",
    "fill": "Think how the body moves, then write the motion between.",
}
PROMPTS_WITHOUT_THOUGHTS = {
    "t2m": "Write the motion.",
    "m2t": "Describe the motion.",
    "continue": "Write how the motion goes on.",
    "fill": "Write the motion between.",
}
# Stands for the user's text while the fixed part of a prompt is rendered; no template contains it.
_PLACEHOLDER = "UniMoUserContent"


@dataclass(frozen=True)
class Given:
    """The motion that a "continue" or "fill" request shows beside its text.

    Attributes:
        before: codes before what is to be written, at least one.
        after: codes behind it, at least one to fill, none to continue.
        count: codes to write between them, to fill.
    """

    before: Sequence[int]
    after: Sequence[int] = ()
    count: int | None = None


@dataclass(frozen=True)
class Answer:
    """What a model answered, read under the whole-answer grammar.

    `valid` says whether the answer follows it from the first token to the last; where it does not, `error` says why
    and the other fields are empty. `score` is the log-probability by the model's own reading where an answer was
    chosen among candidates (`candidates_unimo.score_answers`), else None.
    """

    valid: bool
    thought: str = ""
    codes: list[int] = field(default_factory=list)
    caption: str = ""
    error: str | None = None
    score: float | None = None


class UniMoProcessor(ProcessorMixin):
    """Prompts, completions and answers of all tasks, over a feature extractor and a tokenizer with motion tokens.

    Tasks are `"t2m"` (text to motion) and `"m2t"` (motion to text), for models that were taught them also `"continue"`
    (text and the motion before, to what follows) and `"fill"` (text and the motion on either side, to what is between;
    the number of codes to write stands in the prompt). An answer is

        m2t: `<think>` thought `</think><Answer>` caption `</Answer>` end of turn
        others: `<think>` thought `</think><Motion>` 1 to `max_motion_codes` codes `</Motion>` end of turn

    with neither thought nor caption blank; with `thoughts=False` an answer starts behind `</think>`. Text is escaped
    on its way in and unescaped on its way out, so that for any text the control ids of a prompt are exactly the
    template's.

    Args:
        feature_extractor: `MotionFeatureExtractor`, the statistics of the VQ-VAE.
        tokenizer: `UniMoTokenizer`, or a base tokenizer after `extend_vocabulary`.
        chat_template: replaces the tokenizer's.
        system_prompts: {"t2m": .., "m2t": ..}, replaces the built-in wording; of other tasks where given.
        thoughts: whether answers think before they answer, as in the paper; False for the comparison without.
        optional_thoughts: whether the model was taught to answer both ways, so that `thinking` offers the other one.
        max_motion_codes: most codes of a motion (49 codes are 196 frames, 9.8 s).
        max_thought_tokens: most tokens of a thought that is generated under the grammar.
        max_answer_tokens: most tokens of a caption that is generated under the grammar.
        taught_words: words of the captions that the model learned from (`words_unimo.taught_words`); None: not known.
        tasks: what the model was taught, "t2m" and "m2t" at least.

    Raises:
        ValueError: the tokenizer has no motion vocabulary, no usable chat template, or pads with an end token.
    """

    # The arguments beside feature extractor and tokenizer.
    SETTINGS = (
        "chat_template",
        "system_prompts",
        "thoughts",
        "optional_thoughts",
        "max_motion_codes",
        "max_thought_tokens",
        "max_answer_tokens",
        "taught_words",
        "tasks",
    )

    def __init__(
        self,
        feature_extractor,
        tokenizer,
        chat_template: str | None = None,
        system_prompts: dict[str, str] | None = None,
        thoughts: bool = True,
        max_motion_codes: int = 49,
        max_thought_tokens: int = 256,
        max_answer_tokens: int = 96,
        taught_words: Sequence[str] | None = None,
        optional_thoughts: bool = False,
        tasks: Sequence[str] = TASKS,
    ):
        super().__init__(feature_extractor, tokenizer, chat_template=chat_template or tokenizer.chat_template)
        self.thoughts, self.optional_thoughts = thoughts, optional_thoughts
        self.tasks = [task for task in (*TASKS, *GIVEN_TASKS) if task in tasks]
        if len(self.tasks) != len(tasks) or not {*TASKS} <= {*tasks}:
            raise ValueError(
                f"tasks are {', '.join((*TASKS, *GIVEN_TASKS))}, the first two always; got "
                f"{', '.join(map(str, tasks))}"
            )
        built_in = SYSTEM_PROMPTS if thoughts else PROMPTS_WITHOUT_THOUGHTS
        given = built_in if system_prompts is None else system_prompts
        if not {*TASKS} <= set(given) <= set(built_in):
            raise ValueError(
                f"system_prompts has the keys {sorted(given)}; it needs {sorted(TASKS)}, and may have "
                f"{', '.join(GIVEN_TASKS)}."
            )
        self.system_prompts = {task: given.get(task, built_in[task]) for task in self.tasks}
        self.max_motion_codes = as_int("max_motion_codes", max_motion_codes, 1)
        self.max_thought_tokens = as_int("max_thought_tokens", max_thought_tokens, 1)
        self.max_answer_tokens = as_int("max_answer_tokens", max_answer_tokens, 1)
        self.taught_words = None if taught_words is None else list(taught_words)
        self._vocabulary = MotionVocabulary.lookup(tokenizer)
        self._end_of_turn = end_of_turn(tokenizer, self.chat_template)
        if self._end_of_turn is None:
            raise ValueError(
                "The chat template cannot carry an answer: it must take a system turn, render contents verbatim, open "
                "the answer with no <think> of its own and close it with one added token. "
                "`extend_vocabulary(tokenizer)` installs one."
            )
        if tokenizer.pad_token_id is None or tokenizer.pad_token_id in (self.end_id, tokenizer.eos_token_id):
            raise ValueError(
                f"The pad token is {tokenizer.pad_token!r}; it must differ from the end token {self._end_of_turn!r}: "
                "`extend_vocabulary(tokenizer)` sees to it."
            )

    def thinking(self, think: bool | None) -> "UniMoProcessor":
        """The processor for answers with a thought (True) or without (False); None: this one.

        The system prompt tells the model which of them is asked for: the built-in one of the other way stands in place
        of this processor's own.

        Args:
            think: Whether answers hold a thought; None for as this processor says.

        Returns:
            This processor, or one like it with the other system prompt.

        Raises:
            ValueError: the model was not taught to answer this way.
        """
        if think is None or think == self.thoughts:
            return self
        if not self.optional_thoughts:
            taught, needed = ("with", "above 0") if self.thoughts else ("without", "and thoughts true")
            raise ValueError(
                f"think={think}: this model was taught to answer {taught} a thought alone; one that does both is "
                f"trained by train/sft.py with no_thought_share {needed}"
            )
        other = copy.copy(self)
        other.thoughts = bool(think)
        built_in = SYSTEM_PROMPTS if think else PROMPTS_WITHOUT_THOUGHTS
        other.system_prompts = {task: built_in[task] for task in self.tasks}
        for rendered in ("_frames", "_empty_motion_prompt"):
            other.__dict__.pop(rendered, None)
        return other

    # ---------------------------------------------------------------- vocabulary

    @property
    def vocabulary(self) -> MotionVocabulary:
        """Ids of the motion tokens."""
        return self._vocabulary

    @property
    def num_codes(self) -> int:
        """Size of the motion codebook."""
        return len(self._vocabulary.codes)

    @property
    def end_id(self) -> int:
        """Id of the token that ends an answer: the chat template's end of turn."""
        return self.tokenizer.convert_tokens_to_ids(self._end_of_turn)

    @property
    def pad_id(self) -> int:
        """Id of the pad token; no end token."""
        return self.tokenizer.pad_token_id

    @cached_property
    def control_ids(self) -> dict[int, str]:
        """Ids that are no text: every added or special token, ours and the base's."""
        tokens = {id_: token.content for id_, token in self.tokenizer.added_tokens_decoder.items()}
        return tokens | {self.tokenizer.convert_tokens_to_ids(t): t for t in self.tokenizer.all_special_tokens}

    @cached_property
    def text_ids(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids a thought or caption may be generated from, and those among them that show something.

        Control tokens are left out, and with them the few tokens that hold the opener of an escape: so that what is
        visible here is visible after unescaping.

        Returns:
            Two sorted integer arrays, the second a subset of the first.
        """
        text, visible = [], []
        for id_ in sorted(set(self.tokenizer.get_vocab().values()) - self.control_ids.keys()):
            shown = self._decode([id_])
            if TextEscape.opener in shown:
                continue
            text.append(id_)
            # Bytes that are no whole character decode to U+FFFD; together they may still spell a blank.
            if any(c.isprintable() and not c.isspace() and c != "\ufffd" for c in shown):
                visible.append(id_)
        return np.array(text, dtype=np.int64), np.array(visible, dtype=np.int64)

    # ---------------------------------------------------------------- text

    @cached_property
    def _escape(self) -> TextEscape:
        return TextEscape(self.tokenizer)

    def escape_text(self, text: str) -> str:
        """Neutralise the strings of control tokens in a text.

        Args:
            text: Any text.

        Returns:
            Text without those strings; `unescape_text` gives the original back exactly.
        """
        return self._escape.escape(text)

    def unescape_text(self, text: str) -> str:
        """Undo `escape_text`.

        Args:
            text: Text with escapes; anything else in it is kept.

        Returns:
            The text that `escape_text` was given.
        """
        return self._escape.unescape(text)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that the model's training on motion never met; none where that is not known.

        Args:
            text: The text.

        Returns:
            The words, in their order.
        """
        return [] if self.taught_words is None else unknown_words(text, self.taught_words)

    def warn_of_unknown_words(self, texts: Sequence[str]) -> None:
        """Warn, where the caller of the caller stands, of words that the model's training on motion never met.

        Args:
            texts: The texts.
        """
        unknown = [word for text in texts for word in self.unknown_words(text)]
        if unknown:
            warnings.warn(unknown_words_message(unknown), UnknownWordsWarning, stacklevel=3)

    # ---------------------------------------------------------------- prompts and completions

    @staticmethod
    def template_texts() -> list[str]:
        """The words that every prompt contains, for training a tokenizer that encodes them briefly.

        Returns:
            Texts in any order.
        """
        return [*(SYSTEM_PROMPTS[task] for task in TASKS), "system", "user", "assistant"]

    def messages(
        self, task: str, text: str | None = None, codes: Sequence[int] | Given | None = None
    ) -> list[dict[str, str]]:
        """The conversation that asks for an answer: a system and a user turn.

        Args:
            task: One of `tasks`.
            text: The description (ignored for m2t).
            codes: The motion, for m2t; what is `Given` to continue or fill (ignored for t2m).

        Returns:
            Two messages, each with the keys "role" and "content".

        Raises:
            ValueError: a task that the model was not taught; text missing, blank or over 2,000 characters; codes
                missing, too many, or no codes of this vocabulary.
        """
        return [
            {"role": "system", "content": self.system_prompts[self._task(task)]},
            {"role": "user", "content": self._request(task, text, codes)},
        ]

    def prompt(self, task: str, text: str | None = None, codes: Sequence[int] | Given | None = None) -> str:
        """`messages` rendered, up to where the assistant's answer begins. Raises what `messages` raises.

        Args:
            task: One of `tasks`.
            text: The description (ignored for m2t).
            codes: The motion, for m2t; what is `Given` to continue or fill.

        Returns:
            The prompt as a string.
        """
        before, after = self._frames[self._task(task)]
        return before + self._request(task, text, codes) + after

    def completion(
        self, task: str, thought: str, codes: Sequence[int] | None = None, caption: str | None = None
    ) -> str:
        """The answer to learn, to the end of the turn.

        Args:
            task: one of `tasks`.
            thought: what is thought before answering (ignored by a processor without thoughts).
            codes: the motion that is written (ignored for m2t).
            caption: the description, for m2t (ignored for t2m).

        Returns:
            The answer as a string, with the end of the turn.

        Raises:
            ValueError: thought or caption blank, codes missing, too many, or no codes of this vocabulary.
        """
        if self._task(task) in MOTION_TASKS:
            return f"{self._thought(thought)}{self._motion(codes)}{self._end_of_turn}"
        described = self._text(caption, "caption", limit=None)
        return f"{self._thought(thought)}{Tag.ANSWER_START}{described}{Tag.ANSWER_END}{self._end_of_turn}"

    def _thought(self, thought: str) -> str:
        if not self.thoughts:
            return ""
        return f"{Tag.THINK_START}{self._text(thought, 'thought', limit=None)}{Tag.THINK_END}"

    def prompt_ids(self, task: str, text: str | None = None, codes: Sequence[int] | Given | None = None) -> list[int]:
        """Ids of `prompt`; codes become ids directly. Raises what `messages` raises.

        Args:
            task: One of `tasks`.
            text: The description (ignored for m2t).
            codes: The motion, for m2t; what is `Given` to continue or fill.

        Returns:
            Token ids.
        """
        if self._task(task) == "t2m":
            return self._encode(self.prompt(task, text))
        if task == "m2t":
            return self._insert_codes(self._empty_motion_prompt, codes)
        given = self._given(task, codes)
        before, after = self._frames[task]
        ids = self._encode(before + self._beside(task, text, given, "", "") + after)
        if task == "fill":
            ids = self._insert_codes(ids, given.after)
        # Of two motions the first: the second, filled by now, does not count.
        place = ids.index(self._vocabulary.motion_start) + 1
        return [*ids[:place], *self.code_ids(given.before), *ids[place:]]

    def completion_ids(
        self, task: str, thought: str, codes: Sequence[int] | None = None, caption: str | None = None
    ) -> list[int]:
        """Ids of `completion`; codes become ids directly. Raises what `completion` raises.

        Args:
            task: "t2m" or "m2t".
            thought: The thought before the answer (ignored by a processor without thoughts).
            codes: The motion, for t2m.
            caption: The description, for m2t.

        Returns:
            Token ids, with the end of the turn.
        """
        if self._task(task) == "m2t":
            return self._encode(self.completion(task, thought, None, caption))
        empty = f"{self._thought(thought)}{Tag.MOTION_START}{Tag.MOTION_END}{self._end_of_turn}"
        return self._insert_codes(self._encode(empty), codes)

    def encode_example(
        self,
        task: str,
        thought: str,
        caption: str | None = None,
        codes: Sequence[int] | None = None,
        given: Given | None = None,
    ) -> dict[str, list[int]]:
        """Encode one supervised example. Raises what `messages` and `completion` raise.

        Args:
            task: One of `tasks`; it decides which of `caption` and `codes` is asked and which is answered.
            thought: The thought before the answer (ignored by a processor without thoughts).
            caption: The description.
            codes: The motion.
            given: What stands beside the caption, to continue or fill.

        Returns:
            `input_ids` of prompt and completion, and `completion_mask`, 1 for the ids of the completion.
        """
        prompt = self.prompt_ids(task, caption, given if task in GIVEN_TASKS else codes)
        completion = self.completion_ids(task, thought, codes, caption)
        return {
            "input_ids": prompt + completion,
            "completion_mask": [0] * len(prompt) + [1] * len(completion),
        }

    def encode_prompts(
        self,
        tasks: str | Sequence[str],
        texts: Sequence[str | None] | None = None,
        codes_list: Sequence[Sequence[int] | Given | None] | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchEncoding:
        """A batch of prompts, tasks mixed as they come, padded on the left.

        Args:
            tasks: one for all rows, or one a row.
            texts: descriptions of the rows (None for m2t).
            codes_list: codes of the m2t rows, what is `Given` to continue and fill (None for t2m).

        Returns:
            `input_ids`, `attention_mask` (B, L).
        """
        return self.pad([self.prompt_ids(*row) for row in self.rows(tasks, texts, codes_list)], return_tensors)

    def pad(self, prompts: Sequence[Sequence[int]], return_tensors: str | None = "pt") -> BatchEncoding:
        """Ids of prompts as one batch, padded on the left.

        Args:
            prompts: Ids of each prompt.
            return_tensors: "pt" for tensors, None for lists.

        Returns:
            `input_ids` and `attention_mask`, (B, L) each.
        """
        length = max(map(len, prompts))
        ids = [[self.pad_id] * (length - len(prompt)) + list(prompt) for prompt in prompts]
        mask = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return BatchEncoding({"input_ids": ids, "attention_mask": mask}, tensor_type=return_tensors)

    @staticmethod
    def rows(
        tasks: str | Sequence[str],
        texts: Sequence[str | None] | None,
        codes_list: Sequence[Sequence[int] | Given | None] | None,
    ) -> list[tuple[str, str | None, Sequence[int] | Given | None]]:
        """Rows of a batch from columns, one of which may be missing.

        Args:
            tasks: One task for all rows, or one each.
            texts: Description of each row, or None.
            codes_list: Codes of each row, what is `Given`, or None.

        Returns:
            (task, text, codes) of each row.

        Raises:
            ValueError: The columns differ in length, or a column is a bare string.
        """
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, got a string")
        given = [column for column in (texts, codes_list) if column is not None]
        if not given:
            raise ValueError("texts or codes_list must be given")
        columns: list[Sequence[Any]] = [[tasks] * len(given[0]) if isinstance(tasks, str) else tasks]
        columns += [column if column is not None else [None] * len(given[0]) for column in (texts, codes_list)]
        if len({len(column) for column in columns}) != 1:
            counts = ", ".join(f"{n} {len(c)}" for n, c in zip(("tasks", "texts", "codes_list"), columns, strict=True))
            raise ValueError(f"The columns of a batch differ in length: {counts}.")
        return list(zip(*columns, strict=True))

    def __call__(
        self,
        text: Any | None = None,
        motion: Any | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchEncoding | BatchFeature:
        """Model inputs: text-to-motion prompts of `text`, or normalised features of `motion` for the VQ-VAE.

        Args:
            text: Description(s), as `inputs_unimo.as_texts` takes them.
            motion: Motion(s), as `inputs_unimo.as_motions` takes them.

        Raises:
            ValueError: not exactly one of the two is given; and what `messages` or the feature extractor raise.
        """
        if (text is None) == (motion is None):
            raise ValueError("exactly one of text and motion must be given")
        if text is not None:
            return self.encode_prompts("t2m", as_texts(text), None, return_tensors)
        return self.feature_extractor(motion, return_tensors=return_tensors)

    # ---------------------------------------------------------------- answers

    def parse(self, answer: str | Sequence[int] | np.ndarray | torch.Tensor, task: str) -> Answer:
        """Read a complete answer; anything before, after, missing or out of place makes it invalid.

        Args:
            answer: What was generated after the prompt: ids (up to the end of turn, which must be there; only padding
                may follow) or a string (whose end of turn may be missing, since decoders drop special tokens).
            task: One of `tasks`.

        Returns:
            What was read; an invalid answer carries no codes and no caption.
        """
        self._task(task)
        if isinstance(answer, str):
            pieces = self._pieces_of_string(answer)
            if pieces[-1:] == [self.end_id]:
                pieces.pop()
            return self._read(pieces, task)
        ids = answer.tolist() if isinstance(answer, (torch.Tensor, np.ndarray)) else [int(id_) for id_ in answer]
        if self.end_id not in ids:
            return Answer(False, error="the answer does not end: no end of turn")
        end = ids.index(self.end_id)
        # Beam search fills up with the end token where the id of the pad token is 0.
        if set(ids[end + 1 :]) - {self.pad_id, self.end_id}:
            return Answer(False, error="something follows the end of turn")
        return self._read(self._pieces_of_ids(ids[:end]), task)

    def _read(self, pieces: list[int | str], task: str) -> Answer:
        """Pieces are ids of control tokens and the texts between them."""
        known = self._vocabulary
        opening, closing = (
            (known.motion_start, known.motion_end) if task in MOTION_TASKS else (known.answer_start, known.answer_end)
        )
        head = [known.think_start, None, known.think_end, opening] if self.thoughts else [opening]
        for place, expected in enumerate(head):
            if place >= len(pieces):
                return Answer(False, error=f"the answer stops after {place} of its parts")
            matches = isinstance(pieces[place], str) if expected is None else pieces[place] == expected
            if not matches:
                wanted = "the thought" if expected is None else self.control_ids[expected]
                return Answer(False, error=f"expected {wanted}, found {self._shown(pieces[place])}")
        if pieces[-1] != closing:
            return Answer(False, error=f"the answer does not close with {self.control_ids[closing]}")
        thought = self.unescape_text(str(pieces[1])).strip() if self.thoughts else ""
        if self.thoughts and not thought:
            return Answer(False, error="the thought is blank")
        body = pieces[len(head) : -1]
        if task == "m2t":
            if len(body) != 1 or not isinstance(body[0], str):
                return Answer(False, error="the description is missing or holds control tokens")
            caption = self.unescape_text(body[0]).strip()
            return Answer(True, thought, [], caption) if caption else Answer(False, error="the description is blank")
        strange = [piece for piece in body if piece not in self._code_of]
        if strange:
            return Answer(False, error=f"{self._shown(strange[0])} stands among the motion codes")
        if not 1 <= len(body) <= self.max_motion_codes:
            return Answer(False, error=f"the motion has {len(body)} codes; 1 to {self.max_motion_codes} are allowed")
        return Answer(True, thought, [self._code_of[piece] for piece in body])

    def _shown(self, piece: int | str) -> str:
        return repr((piece if isinstance(piece, str) else self.control_ids[piece])[:40])

    def _pieces_of_ids(self, ids: list[int]) -> list[int | str]:
        pieces: list[int | str] = []
        for is_control, group in groupby(ids, self.control_ids.__contains__):
            part = list(group)
            pieces += part if is_control else [self._decode(part)]
        return pieces

    def _pieces_of_string(self, answer: str) -> list[int | str]:
        parts = self._control_pattern.split(answer)
        # re.split with one group alternates text and separator.
        return [self._control_of[part] if index % 2 else part for index, part in enumerate(parts) if part]

    # ---------------------------------------------------------------- durations

    @property
    def seconds_per_code(self) -> float:
        """Duration of one code, 0.2 s at 20 fps and 4 frames a code."""
        return self.feature_extractor.unit_length / self.feature_extractor.fps

    def codes_of_duration(self, seconds: float) -> int:
        """Number of codes nearest to a duration.

        Args:
            seconds: The duration.

        Returns:
            Whole codes, 1 to `max_motion_codes`.

        Raises:
            ValueError: The duration is not a number, or outside 1 to `max_motion_codes` codes (0.2 to 9.8 s).
        """
        shortest, longest = self.seconds_per_code, self.max_motion_codes * self.seconds_per_code
        seconds = as_number(seconds)
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not number or not shortest - 1e-6 <= seconds <= longest + 1e-6:
            raise ValueError(f"duration must be {shortest:g} to {longest:g} seconds, got {seconds!r}")
        # Halves go up; 3.3 s is 16.5 codes whatever binary fractions make of it.
        return int(np.floor(seconds / self.seconds_per_code + 0.5 + 1e-6))

    # ---------------------------------------------------------------- details

    @cached_property
    def _code_of(self) -> dict[Any, int]:
        return {id_: code for code, id_ in enumerate(self._vocabulary.codes)}

    @cached_property
    def _control_of(self) -> dict[str, int]:
        return {token: id_ for id_, token in self.control_ids.items()}

    @cached_property
    def _control_pattern(self) -> re.Pattern:
        longest_first = sorted(self._control_of, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    @cached_property
    def _frames(self) -> dict[str, tuple[str, str]]:
        """What the template puts before and after the user's content, rendered once a task."""
        frames = {}
        for task in self.tasks:
            turns = [
                {"role": "system", "content": self.system_prompts[task]},
                {"role": "user", "content": _PLACEHOLDER},
            ]
            rendered = self.tokenizer.apply_chat_template(
                turns, chat_template=self.chat_template, tokenize=False, add_generation_prompt=True
            )
            before, after = rendered.split(_PLACEHOLDER)
            frames[task] = (before, after)
        return frames

    @cached_property
    def _empty_motion_prompt(self) -> list[int]:
        before, after = self._frames["m2t"]
        return self._encode(f"{before}{Tag.MOTION_START}{Tag.MOTION_END}{after}")

    def _task(self, task: str) -> str:
        if task not in self.tasks:
            known = {"t2m": "text to motion", "m2t": "motion to text"}
            taught = " or ".join(f'"{name}" ({known[name]})' if name in known else f'"{name}"' for name in self.tasks)
            raise ValueError(f"task must be {taught}, got {task!r}")
        return task

    def _request(self, task: str, text: str | None, codes: Sequence[int] | Given | None) -> str:
        """The user's turn as a string."""
        if task == "t2m":
            return self._text(text, "text", MAX_TEXT_CHARACTERS)
        if task == "m2t":
            return self._motion(codes)
        given = self._given(task, codes)
        after = self._codes_string(given.after) if task == "fill" else ""
        return self._beside(task, text, given, self._codes_string(given.before), after)

    def _beside(self, task: str, text: str | None, given: Given, before: str, after: str) -> str:
        """The user's turn of a request that shows motion beside its text."""
        shown = f"{self._text(text, 'text', MAX_TEXT_CHARACTERS)}{Tag.MOTION_START}{before}{Tag.MOTION_END}"
        return shown if task == "continue" else f"{shown}{given.count}{Tag.MOTION_START}{after}{Tag.MOTION_END}"

    def _given(self, task: str, codes: Sequence[int] | Given | None) -> Given:
        if not isinstance(codes, Given):
            raise ValueError(f'the task "{task}" needs what is Given, got {type(codes).__name__}')
        self._codes(codes.before)
        if task == "fill":
            self._codes(codes.after)
            as_int("count", codes.count, 1, self.max_motion_codes)
        elif len(codes.after) or codes.count is not None:
            raise ValueError('the task "continue" has nothing behind what is written; give before alone')
        return codes

    def _motion(self, codes: Sequence[int] | Given | None) -> str:
        return Tag.MOTION_START + self._codes_string(codes) + Tag.MOTION_END

    def _codes_string(self, codes: Sequence[int] | Given | None) -> str:
        return "".join(map(motion_token, self._codes(codes)))

    def _text(self, text: str | None, name: str, limit: int | None) -> str:
        if not isinstance(text, str):
            raise ValueError(f"the {name} must be a string, got {text!r}")
        if not text.strip():
            raise ValueError(f"the {name} must not be blank, got {text!r}")
        if limit is not None and len(text) > limit:
            raise ValueError(f"the {name} has {len(text):,} characters, the limit is {limit:,}; shorten it")
        return self.escape_text(text.strip())

    def _codes(self, codes: Sequence[int] | np.ndarray | torch.Tensor | Given | None) -> list[int]:
        if codes is None or isinstance(codes, Given):
            raise ValueError("the codes of the motion are missing")
        array = codes.detach().cpu().numpy() if isinstance(codes, torch.Tensor) else np.asarray(codes)
        if array.ndim != 1 or not 1 <= len(array) <= self.max_motion_codes:
            raise ValueError(
                f"codes must have shape (L,) with 1 to {self.max_motion_codes} codes "
                f"({self.max_motion_codes * self.seconds_per_code:g} s), got shape {array.shape}"
            )
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= self.num_codes:
            raise ValueError(f"codes must be integers in [0, {self.num_codes - 1}], got {array.tolist()[:8]}")
        return array.tolist()

    def code_ids(self, codes: Sequence[int] | np.ndarray | torch.Tensor | Given | None) -> list[int]:
        """Ids of the tokens of codes. Raises what `messages` raises.

        Args:
            codes: Codes of one motion, or None for none.

        Returns:
            One token id a code.
        """
        return [self._vocabulary.codes[code] for code in self._codes(codes)]

    def _insert_codes(
        self, ids: list[int], codes: Sequence[int] | np.ndarray | torch.Tensor | Given | None
    ) -> list[int]:
        """`ids` with the ids of codes between the tags of an empty motion."""
        place = len(ids) - 1 - ids[::-1].index(self._vocabulary.motion_end)
        return [*ids[:place], *self.code_ids(codes), *ids[place:]]

    def read_text(self, ids: Sequence[int]) -> str:
        """The text that ids inside a thought or caption stand for.

        Args:
            ids: Token ids.

        Returns:
            The text, unescaped.
        """
        return self.unescape_text(self._decode(list(ids))).strip()

    def _encode(self, string: str) -> list[int]:
        return self.tokenizer(string, add_special_tokens=False)["input_ids"]

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


UniMoProcessor.register_for_auto_class()
