"""Writing answers in batches: thoughts first, then all codes over the rows of the output head they can come from.

What the library's `generate` would do token by token, with what is known of an answer: the prompt is read once for all
its samples, and what all prompts of a batch begin with once for all of them; tags that must come are not sampled, rows
that are done leave the batch, and while codes are written only the 513 rows of the output head that can follow are
computed. No probability changes by that: the grammar would forbid the others, and temperature, top-k and top-p act
after it. Each answer is drawn by random numbers of its own, so that nothing hangs on which others it is written with.
"""

import copy
import hashlib
import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from transformers import (
    BatchEncoding,
    DynamicCache,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from .generation_unimo import AnswerGrammar, answer_cache, filled_cache, has_plain_layers
from .processing_unimo import UniMoProcessor

# The settings of `generate` that are followed here; any other is the library's to follow.
FOLLOWED = ("do_sample", "temperature", "top_k", "top_p")
# Rows that are done leave once they are this share of the batch: leaving copies the cache of those that stay.
_LEAVING = 0.125
# Tokens that reading a common beginning once has to save: it takes a pass through the model of its own.
_WORTH_SHARING = 64
# Columns of a draw that are added up first.
_BLOCK = 512


def can_write(language_model: PreTrainedModel) -> bool:
    """Whether a model's cache keeps every state of every row, so that rows can leave the batch and be merged again.

    Args:
        language_model: The causal LM.

    Returns:
        Whether `AnswerWriter` can write with it.
    """
    return has_plain_layers(language_model.config.get_text_config(decoder=True))


class AnswerWriter:
    """Writes the answers of one batch of prompts.

    Args:
        language_model: the causal LM.
        processor: whose vocabulary and grammar it is.
        inputs: left-padded prompts, `input_ids` and `attention_mask` (B, L).
        rules: the grammar of these prompts; None: for `write_freely`, with `numbers`.
        num_samples: answers a prompt.
        numbers: (B * num_samples, tokens at most, 2) uniform in [0, 1], by which the tokens of each answer are
            drawn; None: taken from torch's global state.
        beginnings: ids of the codes that the motion of each prompt begins with, as `rules` count them; None: none.
        do_sample, temperature, top_k, top_p: as for `generate`.
    """

    def __init__(
        self,
        language_model: PreTrainedModel,
        processor: UniMoProcessor,
        inputs: BatchEncoding,
        rules: AnswerGrammar | None,
        num_samples: int = 1,
        numbers: torch.Tensor | None = None,
        beginnings: Sequence[Sequence[int]] | None = None,
        do_sample: bool = True,
        temperature: float = 1.0,
        top_k: int | None = 0,
        top_p: float | None = 1.0,
    ):
        self.language_model, self.processor, self.inputs = language_model, processor, inputs
        self.device = inputs["input_ids"].device
        self.num_samples, self.do_sample = num_samples, do_sample
        self.prompts = torch.arange(len(inputs["input_ids"]), device=self.device).repeat_interleave(num_samples)
        if rules is not None:
            self.rules = rules.select(self.prompts)
            if numbers is None:
                numbers = torch.rand(len(self.prompts), rules.max_new_tokens, 2)
        if numbers is None:
            raise ValueError("Without rules an answer has no length to draw random numbers for; give numbers.")
        self.numbers = numbers.to(self.device)
        beginnings = [[]] * len(inputs["input_ids"]) if beginnings is None else beginnings
        self._beginnings = [list(beginnings[prompt]) for prompt in self.prompts.tolist()]
        # What is written so far, answer by answer: the ids of its thought, and those inside <Motion> or <Answer>.
        self.thoughts: list[list[int]] = [[] for _ in self._beginnings]
        self.parts = [list(beginning) for beginning in self._beginnings]
        self.closed: set[int] = set()  # the answers whose part is whole
        self._memory = torch.empty(0)
        self.warpers: list = []
        if do_sample:
            # The library's classes reject what cannot be sampled with, in its own words.
            self.temperature = TemperatureLogitsWarper(
                float(temperature) if isinstance(temperature, int) else temperature
            ).temperature
            if self.temperature == math.inf:
                raise ValueError("temperature must be finite, got inf")
            if top_k:
                self.warpers.append(TopKLogitsWarper(top_k))
            if top_p is not None and top_p != 1.0:
                self.warpers.append(TopPLogitsWarper(top_p))

    def write(self) -> list[list[int]]:
        """Write whole answers under the grammar.

        Returns:
            Ids of `num_samples` answers a prompt, each up to the end of the turn.
        """
        for _ in self.steps():
            pass
        return self.answers()

    @torch.no_grad()
    def steps(self) -> Iterator[None]:
        """Write whole answers under the grammar, pausing after every token: `thoughts` and `parts` have it by then.

        Yields:
            Nothing, after every token.
        """
        processor, vocabulary = self.processor, self.processor.vocabulary
        is_motion = self.rules.is_motion
        read = [self._read_prompts()]
        if processor.thoughts:
            read[0].pending = torch.full((len(self.prompts), 1), vocabulary.think_start, device=self.device)
            read = yield from self._write_part(read[0], vocabulary.think_end, self.thoughts)
        closing = [vocabulary.think_end] if processor.thoughts else []
        start = torch.tensor([len(head) + 1 for head in self._heads()], device=self.device)
        codes = torch.tensor(sorted([*vocabulary.codes, vocabulary.motion_end]), device=self.device)
        for motion, end, columns in ((True, vocabulary.motion_end, codes), (False, vocabulary.answer_end, None)):
            chosen = [rows.select((is_motion[rows.index] == motion).nonzero().flatten()) for rows in read]
            rows = merged([some for some in chosen if len(some)])
            if rows is not None:
                tags = [*closing, vocabulary.motion_start if motion else vocabulary.answer_start]
                mask = self._open_part(rows, tags)
                yield from self._write_part(rows, end, self.parts, start, columns, mask)

    def answers(self) -> list[list[int]]:
        """The answers as ids, once `steps` are done.

        Returns:
            Ids of each row's answer.
        """
        vocabulary = self.processor.vocabulary
        tags = {
            True: (vocabulary.motion_start, vocabulary.motion_end),
            False: (vocabulary.answer_start, vocabulary.answer_end),
        }
        return [
            [*head, tags[motion][0], *part, tags[motion][1], self.processor.end_id]
            for head, part, motion in zip(self._heads(), self.parts, self.rules.is_motion.tolist(), strict=True)
        ]

    def _heads(self) -> list[list[int]]:
        """What each answer has before its part: the thought with its tags, or nothing."""
        if not self.processor.thoughts:
            return [[] for _ in self.thoughts]
        vocabulary = self.processor.vocabulary
        return [[vocabulary.think_start, *thought, vocabulary.think_end] for thought in self.thoughts]

    def _open_part(self, rows: "_Rows", tags: list[int]) -> torch.Tensor:
        """Let rows read the tags that open their part and their given codes; (R, P) which of it is no padding."""
        opened = [[*tags, *self._beginnings[answer]] for answer in rows.index.tolist()]
        padded = self.processor.pad(opened).to(self.device)
        rows.pending = padded["input_ids"]
        return padded["attention_mask"]

    @torch.no_grad()
    def write_freely(self, ends: Sequence[int], max_new_tokens: int, never: Sequence[int] = ()) -> list[list[int]]:
        """Write without grammar, up to one of the end tokens or to `max_new_tokens`.

        Args:
            ends: Ids that end an answer.
            max_new_tokens: Tokens at most.
            never: Ids that are not written.

        Returns:
            Ids of `num_samples` answers a prompt.
        """
        rows = self._read_prompts(keep_last=True)
        written: list[list[int]] = [[] for _ in range(len(self.prompts))]
        stops = torch.tensor(list(ends), device=self.device)
        ruled_out = torch.tensor(list(never), dtype=torch.long, device=self.device)
        for place in range(max_new_tokens):
            scores = self._wide(rows.advance(self.language_model)).index_fill_(1, ruled_out, -torch.inf)
            tokens = self._pick(scores, self._numbers(rows, torch.tensor(place, device=self.device)))
            rows.note(tokens, written)
            rows.finish(torch.isin(tokens, stops))
            rows, _ = rows.part(_LEAVING)
            if not len(rows):
                break
        return written

    def _read_prompts(self, keep_last: bool = False) -> "_Rows":
        """The prompts in the cache, read once, repeated for their samples; `keep_last`: all but the last token."""
        ids, mask = self.inputs["input_ids"], self.inputs["attention_mask"]
        until = ids.shape[1] - int(keep_last)
        cache = answer_cache(self.language_model.config.get_text_config(decoder=True))
        shared = min(_common_beginning(ids, mask), int(mask.sum(-1).min()) - 1 - int(keep_last))
        if (len(ids) - 1) * shared < _WORTH_SHARING:
            shared = 0
        else:
            start = int(mask[0].argmax())
            beginning = _Rows(ids.new_zeros(1), cache, mask[:1, :0], ids[:1, start : start + shared])
            beginning.advance(self.language_model)
            cache.batch_repeat_interleave(len(ids))
        # A shorter row has its padding, and what it has read already, between the common beginning and the rest.
        rest = (mask.cumsum(-1) > shared).to(mask.dtype)[:, shared:until]
        known = mask.new_ones(len(ids), shared)
        rows = _Rows(torch.arange(len(ids), device=self.device), cache, known, ids[:, shared:until])
        rows.advance(self.language_model, rest)
        if self.num_samples > 1:
            cache.batch_repeat_interleave(self.num_samples)
        index = torch.arange(len(self.prompts), device=self.device)
        return _Rows(index, cache, rows.mask[self.prompts], ids[self.prompts, until:])

    def _write_part(
        self,
        rows: "_Rows",
        end: int,
        written: list[list[int]],
        start: torch.Tensor | None = None,
        columns: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> "Generator[None, None, list[_Rows]]":
        """Let rows write one part of the answer into `written`, token by token, each until it closes it with `end`.

        Args:
            start: tokens of each answer up to and with the one that opens the part; None: the part is the thought.
            columns: the ids that can come at all, sorted; None: any.
            mask: (R, P) which of the ids that rows read first are no padding; None: all.

        Returns:
            The rows as they were before they closed a thought; none for the last part, after which nothing is read.
        """
        closed: list[_Rows] = []
        shown = torch.zeros(len(self.prompts), dtype=torch.bool, device=self.device)
        given = torch.tensor([len(beginning) for beginning in self._beginnings], device=self.device)
        count = 0
        language_model = with_narrow_head(self.language_model, columns)
        while len(rows):
            scores = self._wide(rows.advance(language_model, mask))
            mask = None
            if columns is not None and scores.shape[-1] != len(columns):  # a head that could not be narrowed
                scores = scores[:, columns]
            rules, seen = self.rules.select(rows.index), shown[rows.index]
            if start is None:
                states, places = rules.thought_state(count, seen), torch.tensor(count, device=self.device)
            else:
                inside, opened = given[rows.index] + count, start[rows.index]
                states, places = rules.part_state(inside, opened, seen), opened + inside
            # In place: a new tensor of the whole vocabulary takes longer than writing into it.
            scores = scores.masked_fill_(rules.forbidden(states, columns), -torch.inf)
            tokens = self._pick(scores, self._numbers(rows, places))
            tokens = tokens if columns is None else columns[tokens]
            count += 1
            rows.finish(tokens == end)
            ended = rows.index[tokens == end].tolist()
            rows.note(tokens, written)
            shown[rows.index] = seen | rules.shows(tokens)
            rows, left = rows.part(_LEAVING)
            if start is None:
                closed += left
            else:
                self.closed.update(ended)
            yield
        return closed

    def _wide(self, scores: torch.Tensor) -> torch.Tensor:
        """(R, W) scores in float32 or wider, in memory that may be written to: half precision always in the same."""
        if scores.dtype in (torch.float32, torch.float64):
            return scores
        size = scores.numel()
        if self._memory.numel() < size:
            self._memory = torch.empty(size, device=scores.device)
        return self._memory[:size].view(scores.shape).copy_(scores)

    def _numbers(self, rows: "_Rows", places: torch.Tensor) -> torch.Tensor:
        """(R, 2) random numbers for the tokens at these places of the answers."""
        # A row that is done, and still in the batch, may be past the last place; what it draws is not kept.
        return self.numbers[rows.index, places.clamp(max=self.numbers.shape[1] - 1)]

    def _pick(self, scores: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """(R, W) scores, (R, 2) random numbers -> (R,) columns, drawn or best."""
        if not self.do_sample:
            return scores.argmax(-1)
        # In place as above: the scores are nobody else's, and what is drawn from need not add up to 1.
        if self.temperature != 1.0:
            scores = scores.div_(self.temperature)
        # The library's warpers are given the written ids as well, which these two do not look at.
        for warper in self.warpers:
            scores = warper(None, scores)
        return draw(scores.sub_(scores.amax(-1, keepdim=True)).exp_(), numbers)


class _Rows:
    """Rows of a batch that write together.

    Attributes:
        index: (R,) which answers they are.
        cache: what they have read.
        mask: (R, C) the columns of the cache that are theirs.
        pending: (R, P) ids they read next.
        closed: the columns each had read when it was done, 0 before.
    """

    def __init__(self, index: torch.Tensor, cache: DynamicCache, mask: torch.Tensor, pending: torch.Tensor):
        self.index, self.cache, self.mask, self.pending = index, cache, mask, pending
        self.closed = [0] * len(index)

    def __len__(self) -> int:
        return len(self.index)

    def advance(self, language_model: PreTrainedModel, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Read what is pending; (R, W) scores of what may follow."""
        news = torch.ones_like(self.pending) if mask is None else mask
        positions = self.mask.sum(-1, keepdim=True) + news.cumsum(-1) - 1
        self.mask = torch.cat([self.mask, news], dim=1)
        return language_model(
            input_ids=self.pending,
            attention_mask=self.mask,
            position_ids=positions.clamp(min=0),
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]

    def finish(self, ended: torch.Tensor) -> None:
        """Mark the (R,) rows that end with what they have just written; they may stay in the batch for a while."""
        columns = self.mask.shape[1]
        for row in ended.nonzero().flatten().tolist():
            self.closed[row] = self.closed[row] or columns

    def note(self, tokens: torch.Tensor, written: list[list[int]]) -> None:
        """Add what the rows that are not done have written, and let it be read next."""
        for row, answer, token in zip(range(len(self)), self.index.tolist(), tokens.tolist(), strict=True):
            if not self.closed[row]:
                written[answer].append(token)
        self.pending = tokens[:, None]

    def part(self, share: float) -> "tuple[_Rows, list[_Rows]]":
        """Those that go on, and those that are done, once these are `share` of all; until then all and none.

        Every copy of the cache takes time, and so does a row that is done and stays.
        """
        leaving = [row for row, columns in enumerate(self.closed) if columns]
        if not leaving or len(leaving) < share * len(self):
            if len(leaving) < len(self):
                return self, []
        kept = [row for row, columns in enumerate(self.closed) if not columns]
        # Each as it was when it was done: what it read since then was not its own.
        lengths = sorted({self.closed[row] for row in leaving})
        groups = [[row for row in leaving if self.closed[row] == columns] for columns in lengths]
        done = [
            self.select(torch.tensor(g, device=self.index.device), n) for g, n in zip(groups, lengths, strict=True)
        ]
        return self.select(torch.tensor(kept, dtype=torch.long, device=self.index.device)), done

    def select(self, kept: torch.Tensor, columns: int | None = None) -> "_Rows":
        """Some rows, of their first `columns` columns (None: all), with a cache of their own."""
        layers = [(layer.keys[kept, :, :columns], layer.values[kept, :, :columns]) for layer in self.cache.layers]
        return _Rows(self.index[kept], filled_cache(layers), self.mask[kept, :columns], self.pending[kept])


def draw_keys(prompts: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Keys of the random numbers of each prompt.

    Args:
        prompts: Ids of each prompt.

    Returns:
        For each, a hash of its ids and the number of equal prompts before it.
    """
    before: Counter[int] = Counter()
    keys = []
    for prompt in prompts:
        digest = hashlib.blake2b(np.asarray(prompt, dtype="<i8").tobytes(), digest_size=8).digest()
        content = int.from_bytes(digest, "big")
        keys.append((content, before[content]))
        before[content] += 1
    return keys


def random_numbers(keys: Sequence[tuple[int, ...]], count: int) -> torch.Tensor:
    """Uniform random numbers of which each row depends on its key alone.

    Args:
        keys: For each row, integers >= 0.
        count: Pairs of numbers a row.

    Returns:
        (len(keys), count, 2) in [0, 1], float32.
    """
    return torch.from_numpy(np.stack([np.random.default_rng(key).random((count, 2)) for key in keys])).float()


def draw(probabilities: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Draw one column of each row by its own random numbers.

    Two numbers a row, one for a block of columns and one for a column of it: `torch.multinomial` takes as many as
    there are columns, and on a CPU as long for them as for the output head.

    Args:
        probabilities: (R, W), which need not add up to 1.
        numbers: (R, 2) in [0, 1].

    Returns:
        Column of each row, (R,).

    Raises:
        ValueError: A probability is not finite.
    """
    whole = probabilities.shape[1] // _BLOCK * _BLOCK
    blocks = probabilities[:, :whole].unflatten(1, (-1, _BLOCK)).sum(-1)
    blocks = torch.cat([blocks, probabilities[:, whole:].sum(-1, keepdim=True)], dim=1)
    if not torch.isfinite(blocks).all():
        raise ValueError("The scores of the language model are NaN; no token can be sampled from them.")
    numbers = numbers.to(probabilities.dtype)
    block = _at_random(blocks, numbers[:, :1])[:, None]
    columns = block * _BLOCK + torch.arange(_BLOCK, device=probabilities.device)
    last = probabilities.shape[1] - 1
    inside = probabilities.gather(1, columns.clamp(max=last)).masked_fill(columns > last, 0)
    return (block[:, 0] * _BLOCK) + _at_random(inside, numbers[:, 1:])


def _at_random(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """(R, N) weights, (R, 1) in [0, 1] -> (R,) columns by weight; one of weight 0 never."""
    upto = weights.cumsum(-1)
    total = upto[:, -1:]
    # Below the total even where the product is rounded up, so that the column found adds something to the sum.
    goal = torch.minimum(numbers * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(upto, goal, right=True).squeeze(-1)


def _common_beginning(ids: torch.Tensor, mask: torch.Tensor) -> int:
    """How many tokens all rows of left-padded (B, L) ids begin with."""
    starts, shortest = mask.argmax(-1, keepdim=True), int(mask.sum(-1).min())
    firsts = ids.gather(1, starts + torch.arange(shortest, device=ids.device))
    return int((firsts == firsts[:1]).all(0).int().cumprod(0).sum())


def merged(parts: Sequence[_Rows]) -> _Rows | None:
    """Merge rows that have read different numbers of tokens into one batch, aligned at the right.

    Args:
        parts: Rows with caches of their own.

    Returns:
        One batch, or None without parts.
    """
    if len(parts) < 2:
        return parts[0] if parts else None
    width = max(rows.mask.shape[1] for rows in parts)

    def aligned(tensors: Sequence[torch.Tensor], dim: int) -> torch.Tensor:
        shape = list(tensors[0].shape)
        shape[0], shape[dim] = sum(len(tensor) for tensor in tensors), width
        out, begin = tensors[0].new_zeros(shape), 0
        for tensor in tensors:
            length = tensor.shape[dim]
            out[begin : begin + len(tensor)].narrow(dim, width - length, length).copy_(tensor)
            begin += len(tensor)
        return out

    layers = [
        (aligned([layer.keys for layer in several], 2), aligned([layer.values for layer in several], 2))
        for several in zip(*(rows.cache.layers for rows in parts), strict=True)
    ]
    index = torch.cat([rows.index for rows in parts])
    return _Rows(index, filled_cache(layers), aligned([rows.mask for rows in parts], 1), index[:, None])


def with_narrow_head(language_model: PreTrainedModel, columns: torch.Tensor | None) -> PreTrainedModel:
    """A language model whose output head has some rows only.

    The result shares everything else with `language_model`, which is left as it is: other threads may be using it. The
    model's own way from the head to the logits is kept, which some models scale or cap. A head that is not a plain
    matrix (a quantised one), or not an attribute of the model itself, stays whole.

    Args:
        language_model: The causal LM.
        columns: Ids whose logits are needed, (W,); None for all.

    Returns:
        The model, whose logits are (..., W).
    """
    head = language_model.get_output_embeddings()
    if columns is None or type(head) is not torch.nn.Linear or head not in language_model._modules.values():
        return language_model
    narrow = torch.nn.Linear(1, 1, bias=False, device="meta")
    narrow.weight = torch.nn.Parameter(head.weight.detach()[columns], requires_grad=False)
    if head.bias is not None:
        narrow.bias = torch.nn.Parameter(head.bias.detach()[columns], requires_grad=False)
    narrowed = copy.copy(language_model)
    narrowed._modules = {
        name: narrow if module is head else module for name, module in language_model._modules.items()
    }
    return narrowed
