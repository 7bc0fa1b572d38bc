"""The answer grammar as a logits processor, length control, UniMo's own generation settings, and its cache."""

import copy
from collections.abc import Sequence

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

from .inputs_unimo import as_int
from .processing_unimo import MOTION_TASKS, UniMoProcessor

# What a row may write next. Each state is one row of a table of allowed tokens.
(
    _OPEN_THOUGHT,
    _TEXT,
    _VISIBLE,
    _THOUGHT_OR_CLOSE,
    _CLOSE_THOUGHT,
    _OPEN_MOTION,
    _CODE,
    _CODE_OR_CLOSE,
    _CLOSE_MOTION,
    _OPEN_ANSWER,
    _ANSWER_OR_CLOSE,
    _CLOSE_ANSWER,
    _END,
    _PAD,
) = range(14)


def _frame(processor: UniMoProcessor) -> int:
    """Tokens around the parts of an answer: <think> .. </think> <Motion> .. </Motion> end."""
    return 5 if processor.thoughts else 3


class AnswerGrammar(LogitsProcessor):
    """Lets each row of a batch write only what continues a valid answer to its task.

    Keeps no state: what may come next follows from the generated part of a row and the row's task, so rows may be
    reordered (beams), repeated (several samples) or finished at different times. A part whose budget is used up is
    closed, and every part leaves room for what must still follow it, so an answer is whole within `max_new_tokens`.
    Should other processors have ruled out all that is allowed, the grammar has the last word.

    Args:
        processor: whose vocabulary and grammar it is.
        tasks: task of each prompt of the batch; rows may be a multiple (beams or samples of a prompt are adjacent).
        prompt_length: columns of the (left-padded) prompts.
        vocab_size: width of the model's logits; ids beyond the tokenizer's are never allowed.
        max_new_tokens: length within which every answer must be whole; None: what the other budgets add up to.
        max_thought_tokens, max_motion_codes, max_answer_tokens: budgets of the parts; None: the processor's.
        num_codes: exact number of codes of each prompt, None where free.
        given_codes: number of codes that each motion begins with, which are given and count as its own; at least one
            is written behind them.

    Raises:
        ValueError: a budget too small for an answer, a number of codes out of range or asked of m2t, or a model with
            fewer rows than the tokenizer has tokens.
    """

    def __init__(
        self,
        processor: UniMoProcessor,
        tasks: Sequence[str],
        prompt_length: int,
        vocab_size: int,
        max_new_tokens: int | None = None,
        max_thought_tokens: int | None = None,
        max_motion_codes: int | None = None,
        max_answer_tokens: int | None = None,
        num_codes: Sequence[int | None] | None = None,
        device: torch.device | str = "cpu",
        given_codes: Sequence[int] | None = None,
    ):
        longest_motion = processor.max_motion_codes
        budgets = {
            "max_motion_codes": longest_motion if max_motion_codes is None else max_motion_codes,
            "max_thought_tokens": processor.max_thought_tokens if max_thought_tokens is None else max_thought_tokens,
            "max_answer_tokens": processor.max_answer_tokens if max_answer_tokens is None else max_answer_tokens,
        }
        most_codes = as_int("max_motion_codes", budgets["max_motion_codes"], 1, longest_motion)
        self.max_thought_tokens = as_int("max_thought_tokens", budgets["max_thought_tokens"], 1)
        self.max_answer_tokens = as_int("max_answer_tokens", budgets["max_answer_tokens"], 1)
        num_codes = [None] * len(tasks) if num_codes is None else list(num_codes)
        if len(num_codes) != len(tasks):
            raise ValueError(f"num_codes has {len(num_codes)} entries for {len(tasks)} prompts.")
        for row, (task, count) in enumerate(zip(tasks, num_codes, strict=True)):
            if count is not None and (task not in MOTION_TASKS or not 1 <= count <= processor.max_motion_codes):
                raise ValueError(
                    f"num_codes of row {row} is {count} for {task}; only motions have codes, 1 to "
                    f"{processor.max_motion_codes} of them."
                )
        given = [0] * len(tasks) if given_codes is None else list(given_codes)
        if len(given) != len(tasks):
            raise ValueError(f"given_codes has {len(given)} entries for {len(tasks)} prompts.")
        for row, (task, known, count) in enumerate(zip(tasks, given, num_codes, strict=True)):
            most = most_codes if count is None else count
            if known and (task not in MOTION_TASKS or not 0 < known < most):
                raise ValueError(
                    f"row {row} ({task}) begins with {known} given codes; only motions have codes, here fewer than "
                    f"{most} given ones."
                )
        # Of each motion: its exact number, or one more than is given.
        fewest = [count or known + 1 for count, known in zip(num_codes, given, strict=True)]
        least = max(fewest, default=1)
        motions = [task in MOTION_TASKS for task in tasks]
        longest = max(least, most_codes if any(motions) else 0, 0 if all(motions) else self.max_answer_tokens)
        self.thoughts, frame = processor.thoughts, _frame(processor)
        self.max_new_tokens = longest + frame + (self.max_thought_tokens if self.thoughts else 0)
        if max_new_tokens is not None:
            shortest = least + frame + int(self.thoughts)
            self.max_new_tokens = as_int("max_new_tokens", max_new_tokens, shortest)
        self.prompt_length = prompt_length
        tensor = {"dtype": torch.long, "device": device}
        vocabulary = processor.vocabulary
        self._is_motion = torch.tensor(motions, device=device)
        self._min_codes = torch.tensor(fewest, **tensor)
        self._max_codes = torch.tensor([count or most_codes for count in num_codes], **tensor)
        self._think_end = vocabulary.think_end
        self._part_end = torch.where(self._is_motion, vocabulary.motion_end, vocabulary.answer_end)
        # <think> thought </think> <open> least </close> end
        room = self.max_new_tokens - frame - torch.where(self._is_motion, self._min_codes, 1)
        self._max_thought = room.clamp(max=self.max_thought_tokens)
        self._forbidden, self._visible = _tables(processor, vocab_size, device)

    def select(self, prompts: torch.LongTensor) -> "AnswerGrammar":
        """The same rules for other rows: those of the given prompts, any of them repeated or left out.

        Args:
            prompts: (R,) indices of the prompts.

        Returns:
            The rules of these rows.
        """
        selected = copy.copy(self)
        for name in ("_is_motion", "_min_codes", "_max_codes", "_part_end", "_max_thought"):
            setattr(selected, name, getattr(self, name)[prompts])
        return selected

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Forbid, with -inf, all that does not continue an answer. (R, L) ids, (R, V) scores -> (R, V) scores."""
        forbidden = self._forbidden[self._state(input_ids)]
        scores = scores.masked_fill(forbidden, -torch.inf)
        lost = scores.amax(-1, keepdim=True) == -torch.inf
        return torch.where(lost & ~forbidden, 0.0, scores) if lost.any() else scores

    def shows(self, ids: torch.LongTensor) -> torch.BoolTensor:
        """Which ids are text that shows something; same shape.

        Args:
            ids: Token ids of any shape.

        Returns:
            Truth values of the same shape.
        """
        return self._visible[ids]

    @property
    def is_motion(self) -> torch.BoolTensor:
        """(R,) rows whose answer is a motion."""
        return self._is_motion

    def forbidden(self, states: torch.LongTensor, columns: torch.LongTensor | None = None) -> torch.BoolTensor:
        """(R, columns) which ids, of all or of some, a row must not write in its state.

        States are those of `thought_state` and `part_state`.

        Args:
            states: (R,) states of the rows.
            columns: Ids to answer for; None for all.

        Returns:
            (R, columns) truth values.
        """
        return (self._forbidden if columns is None else self._forbidden[:, columns])[states]

    def thought_state(self, count: int, shown: torch.BoolTensor) -> torch.LongTensor:
        """(R,) states of rows that are inside their thought after `count` tokens of it; `shown`: not blank so far.

        Args:
            count: Tokens of the thought so far.
            shown: (R,) whether any of them shows something.

        Returns:
            (R,) states.
        """
        return _text_state(count, self._max_thought, shown, _THOUGHT_OR_CLOSE, _CLOSE_THOUGHT)

    def part_state(
        self, inside: int | torch.LongTensor, start: torch.LongTensor, shown: torch.BoolTensor
    ) -> torch.LongTensor:
        """(R,) states of rows inside `<Motion>` or `<Answer>` after `inside` tokens of it.

        `start` is the number of tokens up to and with the one that opens the part, `shown` as for a thought.

        Args:
            inside: Tokens of the part so far, of all rows or (R,).
            start: (R,) tokens up to and with the one that opens the part.
            shown: (R,) whether any token of the part shows something.

        Returns:
            (R,) states.
        """
        left = self.max_new_tokens - start - 2
        codes = torch.where(inside < self._min_codes, _CODE, _CODE_OR_CLOSE)
        codes = torch.where(inside >= torch.minimum(self._max_codes, left), _CLOSE_MOTION, codes)
        text = _text_state(inside, left.clamp(max=self.max_answer_tokens), shown, _ANSWER_OR_CLOSE, _CLOSE_ANSWER)
        return torch.where(self._is_motion, codes, text)

    def _state(self, input_ids: torch.LongTensor) -> torch.LongTensor:
        repeats, rest = divmod(len(input_ids), len(self._is_motion))
        if rest:
            raise ValueError(f"{len(input_ids)} rows are not a multiple of the {len(self._is_motion)} prompts.")

        rules = self
        if repeats > 1:
            rules = self.select(torch.arange(len(self._is_motion), device=input_ids.device).repeat_interleave(repeats))
        written = input_ids[:, self.prompt_length :]
        count = written.shape[1]
        first = torch.where(rules._is_motion, _OPEN_MOTION, _OPEN_ANSWER)
        if count == 0:
            return torch.full_like(first, _OPEN_THOUGHT) if self.thoughts else first
        shows = self.shows(written)

        if self.thoughts:
            state = rules.thought_state(count - 1, shows.any(-1))
            closes = written == self._think_end
            thought_closed = closes.any(-1)
            if not thought_closed.any():
                return state
            start = closes.int().argmax(-1) + 2
        else:
            thought_closed = torch.ones_like(rules._is_motion)
            start = state = torch.ones_like(first)

        # The part that follows: `inside` tokens so far, -1 before it is opened.
        inside = count - start
        position = torch.arange(count, device=written.device)
        part = rules.part_state(inside, start, (shows & (position >= start[:, None])).any(-1))
        state = torch.where(thought_closed, torch.where(inside < 0, first, part), state)

        # After the part: the end of turn, then padding.
        part_closes = written == rules._part_end[:, None]
        after = torch.where(part_closes[:, -1], _END, _PAD)
        return torch.where(part_closes.any(-1), after, state)


def _text_state(used: int | torch.Tensor, limit: torch.Tensor, shown: torch.Tensor, open_: int, close: int):
    """State of a text of `used` tokens: it shows something before it may close, at the latest with its last token."""
    blank = torch.where(limit - used <= 1, _VISIBLE, _TEXT)
    return torch.where(limit - used <= 0, close, torch.where(shown, open_, blank))


def _tables(
    processor: UniMoProcessor, vocab_size: int, device: torch.device | str
) -> tuple[torch.BoolTensor, torch.BoolTensor]:
    """(states, V) tokens a state forbids, (V,) tokens that show something."""
    vocabulary = processor.vocabulary
    text, visible = (torch.from_numpy(ids) for ids in processor.text_ids)
    highest = max(max(vocabulary.codes), vocabulary.answer_end, processor.end_id, processor.pad_id, int(text.max()))
    if highest >= vocab_size:
        raise ValueError(
            f"The tokenizer has ids up to {highest} but the model only {vocab_size} rows; "
            "give the tokenizer of this model."
        )
    codes = torch.tensor(vocabulary.codes)
    allowed = torch.zeros(14, vocab_size, dtype=torch.bool)
    single = {
        _OPEN_THOUGHT: vocabulary.think_start,
        _CLOSE_THOUGHT: vocabulary.think_end,
        _OPEN_MOTION: vocabulary.motion_start,
        _CLOSE_MOTION: vocabulary.motion_end,
        _OPEN_ANSWER: vocabulary.answer_start,
        _CLOSE_ANSWER: vocabulary.answer_end,
        _END: processor.end_id,
        _PAD: processor.pad_id,
        # Beside what is set below:
        _THOUGHT_OR_CLOSE: vocabulary.think_end,
        _CODE_OR_CLOSE: vocabulary.motion_end,
        _ANSWER_OR_CLOSE: vocabulary.answer_end,
    }
    for state, id_ in single.items():
        allowed[state, id_] = True
    for state in (_TEXT, _THOUGHT_OR_CLOSE, _ANSWER_OR_CLOSE):
        allowed[state, text] = True
    for state in (_CODE, _CODE_OR_CLOSE):
        allowed[state, codes] = True
    allowed[_VISIBLE, visible] = True
    return (~allowed).to(device), allowed[_VISIBLE].to(device)


def default_generation_config(processor: UniMoProcessor, end_ids: Sequence[int] = ()) -> GenerationConfig:
    """UniMo's settings, all of them explicit, so that no base's and no library's defaults apply.

    No repetition penalty (a pose held still repeats its code), no top-k or top-p cut.

    Args:
        processor: gives the end of turn and the pad token.
        end_ids: further tokens that end a freely sampled answer (those of the base).

    Returns:
        The settings.
    """
    ends = [processor.end_id, *sorted(set(end_ids) - {processor.end_id, processor.pad_id})]
    return GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        num_beams=1,
        use_cache=True,
        max_new_tokens=(processor.max_thought_tokens if processor.thoughts else 0)
        + max(processor.max_motion_codes, processor.max_answer_tokens)
        + _frame(processor),
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=processor.pad_id,
        bos_token_id=processor.tokenizer.bos_token_id,
    )


class _RoomyLayer(DynamicLayer):
    """A cache layer that writes new states into room kept behind the old ones.

    The library's layer copies all states for every new token, which on CPU takes longer than a small model itself.
    """

    room = 64
    keys: torch.Tensor
    values: torch.Tensor
    _buffers: tuple[torch.Tensor, ...] = ()
    _views: tuple[torch.Tensor, ...] = ()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        # Selecting or reordering rows replaces `keys` and `values`: they are then no longer what lies in the room.
        mine = bool(self._views) and self.keys is self._views[0] and self.values is self._views[1]
        if not mine or end > self._buffers[0].shape[-2]:
            news = (key_states, value_states)
            self._buffers = tuple(new.new_empty(*new.shape[:2], end + self.room, new.shape[-1]) for new in news)
            if begin:
                for buffer, old in zip(self._buffers, (self.keys, self.values), strict=True):
                    buffer[:, :, :begin] = old
        self._buffers[0][:, :, begin:end] = key_states
        self._buffers[1][:, :, begin:end] = value_states
        self._views = tuple(buffer[:, :, :end] for buffer in self._buffers)
        self.keys, self.values = self._views
        return self._views


def has_plain_layers(text_config: PreTrainedConfig) -> bool:
    """Whether every layer of a language model keeps all states of all rows (none slides, none is recurrent).

    Args:
        text_config: Configuration of the language model.

    Returns:
        Whether all its layers are plain.
    """
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=text_config).layers)


def filled_cache(states: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> DynamicCache:
    """A cache of plain layers that holds (keys, values), each (rows, heads, columns, D), of every layer.

    Args:
        states: Keys and values of each layer.

    Returns:
        The cache.
    """
    cache = DynamicCache()
    cache.layers = [_RoomyLayer() for _ in states]
    for layer, (keys, values) in zip(cache.layers, states, strict=True):
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
    return cache


def answer_cache(text_config: PreTrainedConfig) -> DynamicCache:
    """The library's cache for a language model, with its plain layers made to grow in place.

    Args:
        text_config: Configuration of the language model.

    Returns:
        An empty cache.
    """
    cache = DynamicCache(config=text_config)
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
