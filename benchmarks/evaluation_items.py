"""A repeat of the text-to-motion evaluation, how its cost grows with the captions, and its scores of pairs alone."""

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import networks, plain, published
from benchmarks.networks import Setting
from benchmarks.sampling_items import least_work
from benchmarks.timing import Item, Way, alternate, bootstrapped, growth_figures, in_turns, operations_of, timed
from datasets_scripts.captioned_motions import CaptionedMotion
from datasets_scripts.sources.synthetic import generator as synthetic
from evaluate_unimo import functional, protocol, sampling
from modeling_unimo import Answer, TextMotionEvaluatorModel
from modeling_unimo.checkpoint_conversion import evaluator_from_weights
from modeling_unimo.modeling_evaluator import POS_CLASSES

_POOL = 32
_COUNTED = 16  # clips whose decoding and embedding are counted for all


@dataclass
class KeepingSampler(sampling.Sampler):
    """A sampler that keeps what was asked and answered last, for what that took at least."""

    asked: list[str] = field(default_factory=list)
    answered: list[Answer] = field(default_factory=list)

    def answers(self, task: str, texts=None, codes=None, seed: int = 0, grammar: bool = True) -> list[Answer]:
        self.asked, self.answered = list(texts or ()), super().answers(task, texts, codes, seed, grammar)
        return self.answered


def generated_entries(count: int) -> list[CaptionedMotion]:
    """Generated clips with their captions.

    Args:
        count: How many.

    Returns:
        Motions of at most 196 frames with all their captions.
    """
    entries = []
    for clip in synthetic.iter_clips(train=0, validation=0, test=count, hard=0, attribute_pools=0, seed=0):
        texts, tokens, thoughts = zip(*((c.text, c.tokens, c.thought) for c in clip.captions), strict=True)
        entries.append(CaptionedMotion(clip.id, clip.features[:196], list(texts), list(tokens), list(thoughts)))
    return entries


def _inputs(setting: Setting, count: int) -> tuple[KeepingSampler, list[CaptionedMotion], TextMotionEvaluatorModel]:
    """Sampler, entries and judge: of the run where one is given, else a small random model on generated motion."""
    torch.manual_seed(0)
    if setting.run is None:
        model, processor = networks.unimo(setting, networks.TINY_LM if setting.tiny else networks.SMALL_LM)
        entries = generated_entries(count)
        judge = networks.judge(setting, [text for entry in entries for text in entry.texts])
    else:
        model, processor, judge, entries = networks.of_run(setting.run, setting.device, count)
    budgets: dict[str, Any] = {}
    if setting.run is None:  # a random model closes nothing before its budget
        budgets = {"max_thought_tokens": 4 if setting.tiny else 60, "max_motion_codes": 4 if setting.tiny else 49}
    return KeepingSampler(model, processor, generate_kwargs=budgets), entries, judge


def _least_repeat(
    sampler: KeepingSampler, entries: list[CaptionedMotion], judge: TextMotionEvaluatorModel
) -> tuple[float, float]:
    """Operations and bytes that the last repeat took at least: the answers that it got, decoded and embedded.

    Decoding and embedding are counted on some clips and scaled up; what they read, and the scores, are left out.
    """
    model, processor = sampler.model, sampler.processor
    budget = sampler.generate_kwargs.get("max_thought_tokens", processor.max_thought_tokens)
    thoughts = [answer.thought for answer in sampler.answered]
    # The text of a random model's thought is not always that of as few tokens as it wrote.
    lengths = [min(budget, len(ids)) for ids in processor.tokenizer(thoughts, add_special_tokens=False)["input_ids"]]
    codes = [answer.codes for answer in sampler.answered]
    dtype = model.language_model.get_output_embeddings().weight.dtype
    operations, moved = least_work(model, processor, sampler.asked, lengths, [len(row) for row in codes], dtype)
    some = [row for row in codes if row][:_COUNTED]
    vqvae, judge = copy.deepcopy(model.motion_vqvae).cpu(), copy.deepcopy(judge).cpu()

    def decode_and_embed() -> None:
        judge.get_motion_features([plain.decoded(vqvae, processor.feature_extractor, row) for row in some])
        judge.get_text_features([entry.tokens[0] for entry in entries[: len(some)]])

    return operations + operations_of(decode_and_embed) * sum(map(len, codes)) / sum(map(len, some)), moved


def evaluation(setting: Setting) -> Item:
    """Sampling, decoding, embedding and scoring 320 captions.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in captions a second.
    """
    count, baseline = (64, 2) if setting.tiny else (320, 8 if setting.quick else 32)
    sampler, entries, judge = _inputs(setting, count)
    parts = (sampler.model.motion_vqvae, sampler.processor.feature_extractor)

    real_side = protocol.RealSide(entries, {"main": judge})

    def ours() -> None:
        sampling.text_to_motion_repeat(sampler, real_side, seed=0, halves=False, pool_size=32)

    made = []

    def one(entry: CaptionedMotion) -> None:
        (written,) = plain.answers(sampler.model, sampler.processor, entry.texts[:1], **sampler.generate_kwargs)
        made.append(plain.decoded(*parts, written.codes))

    def score() -> None:
        plain.scores(entries, [made[i % len(made)] for i in range(len(entries))], judge)

    one(entries[0])
    first = timed(ours, setting.device)
    seconds = in_turns(
        {
            "alone": [partial(one, entry) for entry in entries[:baseline]],
            "score": [score],
            "ours": [ours] * setting.repeats(3),
        },
        setting.device,
    )
    alone, (scoring,), least = seconds["alone"], seconds["score"], _least_repeat(sampler, entries, judge)
    model = "a random model" if setting.run is None else "the model of --run"
    item = Item("evaluation", f"text-to-motion evaluation repeat, {len(entries)} captions, {model}", "captions")
    whole = [answers + scoring for answers in bootstrapped(alone, len(entries))]
    item.ways = [
        Way("one by one", whole, len(entries), spread_of=f"95% by bootstrap of {len(alone)} captions"),
        Way("ours", seconds["ours"], len(entries), *least, baseline="one by one", goal=10.0),
    ]
    item.facts = {
        "captions the baseline answered": len(alone),
        "seconds of the first repeat of ours, which embeds and measures real motion": round(first, 2),
        "seconds of the baseline's scores": round(scoring, 3),
        "seconds a caption of the baseline, least and most": [round(min(alone), 3), round(max(alone), 3)],
    }
    item.note = (
        "The baseline's answers are scaled up from those it gave, between the repeats of ours. Ours is a repeat after "
        "the first, and also measures instruction accuracy, which the published evaluation does not have. The limit "
        "is that of its answers' tokens, decoded and embedded; instruction accuracy and scores are not in it."
    )
    return item


def matching(setting: Setting) -> Item:
    """R-Precision and MM-Dist of 320 captions and motions, embedding both.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        Its ways in pairs a second.
    """
    torch.manual_seed(0)
    entries = generated_entries(32 if setting.tiny else 96 if setting.quick else 320)
    tokens = [entry.tokens[0] for entry in entries]
    # In whole units, to which the published loader cuts.
    motions = [entry.motion[: len(entry.motion) // 4 * 4] for entry in entries]
    judge = networks.judge(setting, [text for entry in entries for text in entry.texts])
    repository = None
    if checkout := setting.published.get("T2M-GPT"):
        wrapper, judge = _published_judge(setting, checkout, judge)
        batches = _published_batches(tokens, motions, judge)
        repository = partial(_published_matching, wrapper, published.scores(checkout), batches)

    def ours() -> dict[str, float]:
        texts, embedded = judge.get_text_features(tokens).cpu(), judge.get_motion_features(motions).cpu()
        precision = functional.r_precision(texts, embedded, top_k=3, pool_size=_POOL)
        return precision | {"mm_dist": functional.mm_dist(texts, embedded)}

    ways = {"32 at a time": lambda: plain.matching(tokens, motions, judge), "ours": ours}
    expected, found = ways["32 at a time"](), ours()
    facts = {"largest difference": max(abs(found[name] - expected[name]) for name in found)}
    if repository is not None:
        theirs = published.called("evaluation", repository)
        # A pair whose distances all but tie may change its place with the rounding.
        facts["largest difference of the published repository"] = max(
            published.agree(name, found[name], theirs[name], 1e-3 * theirs[name] if name == "mm_dist" else 0.01)
            for name in found
        )
        ways["published repository"] = repository
    seconds = alternate(ways, setting.repeats(3), setting.device)
    judge = copy.deepcopy(judge).cpu()
    operations = operations_of(lambda: (judge.get_text_features(tokens), judge.get_motion_features(motions)))
    item = Item("matching", f"R-Precision and MM-Dist of {len(tokens)} captions and motions, embedded anew", "pairs")
    item.ways = [Way(name, times, len(tokens), operations) for name, times in seconds.items()]
    item.ways[1].baseline = item.ways[0].name
    for way in item.ways[:2]:
        way.published = "published repository" if repository is not None else None
    item.facts = facts
    return item


def _published_judge(
    setting: Setting, checkout: published.Checkout, judge: TextMotionEvaluatorModel
) -> tuple[Any, TextMotionEvaluatorModel]:
    """The published evaluator, and this package's with its weights and the words of `judge`."""
    sizes = dict.fromkeys(("dim_movement_enc_hidden", "dim_movement_latent"), 12 if setting.tiny else 512)
    wrapper, weights = published.evaluator(checkout, setting.device, sizes)
    words = list(judge.config.vocabulary)
    vectors = np.random.default_rng(0).normal(0, 0.3, (len(words), 300)).astype(np.float32)
    ours = evaluator_from_weights(weights, "the published evaluator", words, vectors)[0]
    ours.set_statistics(np.zeros(263), np.ones(263))
    return wrapper, ours.eval().to(setting.device)


def _published_batches(
    tokens: list[list[str]], motions: list[np.ndarray], judge: TextMotionEvaluatorModel
) -> list[tuple[torch.Tensor, ...]]:
    """Pools as the published loader has them: word vectors, parts of speech, padded motion, longest caption first."""
    batches = []
    for begin in range(0, len(tokens), _POOL):
        words = {name: values.cpu() for name, values in judge.vectorize(tokens[begin : begin + _POOL]).items()}
        order = torch.argsort(words["text_lengths"], descending=True, stable=True)
        clips = [torch.from_numpy(motions[begin + int(row)]) for row in order]
        padded = torch.zeros(len(clips), 196, 263)
        for row, clip in enumerate(clips):
            padded[row, : len(clip)] = clip
        vectors = judge.word_vectors.cpu()[words["word_ids"][order]]
        parts = torch.nn.functional.one_hot(words["pos_ids"][order], len(POS_CLASSES))
        lengths = torch.tensor([len(clip) for clip in clips])
        batches.append((vectors, parts, words["text_lengths"][order], padded, lengths))
    return batches


def _published_matching(wrapper: Any, functions: Any, batches: list[tuple[torch.Tensor, ...]]) -> dict[str, float]:
    """R-Precision and MM-Dist by the published evaluator and the published functions, embedding every batch."""
    hits, distance, count = np.zeros(3), 0.0, 0
    for batch in batches:
        texts, embedded = (part.cpu().numpy() for part in wrapper.get_co_embeddings(*batch))
        found, total = functions.calculate_R_precision(texts, embedded, top_k=3, sum_all=True)
        hits, distance, count = hits + found, distance + total, count + len(texts)
    return {f"r_precision_top{k + 1}": hits[k] / count for k in range(3)} | {"mm_dist": distance / count}


def evaluation_growth(setting: Setting) -> Item:
    """Seconds of a repeat over the number of captions, from a full batch on.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        A way for each number of captions, in captions a second, and the power by which seconds grow.
    """
    base, factors = 16, (1, 2) if setting.tiny else (1, 4, 16)
    sampler, entries, judge = _inputs(setting, base * factors[-1])
    sampler.batch_size = base
    sizes = [base * factor for factor in factors]

    def repeat(count: int) -> None:
        members = [entries[i % len(entries)] for i in range(count)]
        real_side = protocol.RealSide(members, {"main": judge})
        sampling.text_to_motion_repeat(sampler, real_side, seed=0, halves=False, pool_size=16)

    repeat(base)
    seconds = in_turns({n: [partial(repeat, n)] * setting.repeats(3) for n in sizes}, setting.device)
    item = Item("evaluation_growth", f"evaluation repeat by number of captions, batches of {base}", "captions")
    item.ways = [Way(f"{count} captions", seconds[count], count) for count in sizes]
    points = [(count, count / way.rate) for count, way in zip(sizes, item.ways, strict=True)]
    item.figures = growth_figures(points)
    item.series = {"Evaluation": {"x": "captions", "y": "seconds", "points": {"evaluation repeat": points}}}
    return item
