"""A whole repeat of the text-to-motion evaluation, and how its cost grows with the captions."""

from typing import Any

import torch

from benchmarks import networks, plain
from benchmarks.networks import Setting
from benchmarks.timing import Item, Way, timed
from datasets_scripts import synthetic
from datasets_scripts.examples import CaptionedMotion, captioned_motions
from datasets_scripts.schema import load_motion_dataset
from evaluate_unimo import protocol
from modeling_unimo import TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor


def generated_entries(count: int) -> list[CaptionedMotion]:
    """So many generated clips with their captions."""
    entries = []
    for clip in synthetic.iter_clips(train=0, validation=0, test=count, hard=0, attribute_pools=0, seed=0):
        texts, tokens, thoughts = zip(*((c.text, c.tokens, c.thought) for c in clip.captions), strict=True)
        entries.append(CaptionedMotion(clip.id, clip.features[:196], list(texts), list(tokens), list(thoughts)))
    return entries


def inputs(setting: Setting, count: int) -> tuple[protocol.Sampler, list[CaptionedMotion], TextMotionEvaluatorModel]:
    """Sampler, entries and judge: of the run where one is given, else a small random model on generated motion."""
    torch.manual_seed(0)
    if setting.run is None:
        model, processor = networks.unimo(setting, networks.TINY_LM if setting.tiny else networks.SMALL_LM)
        entries = generated_entries(count)
        judge = networks.judge(setting, [text for entry in entries for text in entry.texts])
    else:
        model = UniMoForConditionalGeneration.from_pretrained(setting.run / "unimo").eval().to(setting.device)
        processor = UniMoProcessor.from_pretrained(setting.run / "unimo")
        entries = captioned_motions(load_motion_dataset(setting.run / "data")["test"])[:count]
        judge = TextMotionEvaluatorModel.from_pretrained(setting.run / "evaluator").eval().to(setting.device)
    budgets: dict[str, Any] = {}
    if setting.run is None:  # a random model closes nothing before its budget
        budgets = {"max_thought_tokens": 4 if setting.tiny else 60, "max_motion_codes": 4 if setting.tiny else 49}
    return protocol.Sampler(model, processor, generate_kwargs=budgets), entries, judge


def evaluation(setting: Setting) -> Item:
    """Sampling, decoding, embedding and scoring 320 captions."""
    count, baseline = (64, 2) if setting.tiny else (320, 8 if setting.quick else 32)
    sampler, entries, judge = inputs(setting, count)
    parts = (sampler.model.motion_vqvae, sampler.processor.feature_extractor)

    judges = {"main": judge}
    real_side = protocol.RealSide(entries, judges)

    def ours() -> None:
        protocol.text_to_motion_repeat(
            sampler, entries, judges, seed=0, halves=False, pool_size=32, real_side=real_side
        )

    def one(entry: CaptionedMotion):
        written = plain.answer(sampler.model, sampler.processor, entry.texts[0], **sampler.generate_kwargs)
        return plain.decoded(*parts, written.codes)

    one(entries[0])
    made = []
    alone = [timed(lambda entry=entry: made.append(one(entry)), setting.device) for entry in entries[:baseline]]
    motions = [made[i % baseline] for i in range(len(entries))]
    scoring = timed(lambda: plain.scores(entries, motions, judge), setting.device)
    first = timed(ours, setting.device)
    together = [timed(ours, setting.device) for _ in range(setting.repeats(3))]
    model = "a random model" if setting.run is None else "the model of --run"
    item = Item("evaluation", f"text-to-motion evaluation repeat, {len(entries)} captions, {model}", "captions")
    whole = sum(alone) / len(alone) * len(entries) + scoring
    item.ways = [
        Way("one by one", [whole], len(entries)),
        Way("ours", together, len(entries), baseline="one by one", goal=10.0),
    ]
    item.facts = {
        "captions the baseline answered": baseline,
        "seconds of the first repeat of ours, which embeds and measures real motion": round(first, 2),
        "seconds of the baseline's scores": round(scoring, 3),
        "seconds a caption of the baseline, least and most": [round(min(alone), 3), round(max(alone), 3)],
    }
    item.note = (
        "The baseline's answers are scaled up from those it gave. Ours is a repeat after the first, and also measures "
        "instruction accuracy, which the published evaluation does not have."
    )
    return item


def evaluation_growth(setting: Setting) -> Item:
    """Seconds of a repeat over the number of captions."""
    base, factors = (16, (1, 2)) if setting.tiny else (40, (1, 4, 16) if setting.quick else (1, 2, 4, 8, 16))
    sampler, entries, judge = inputs(setting, base * factors[-1])
    item = Item("evaluation_growth", "evaluation repeat by number of captions", "captions")
    points = []
    for factor in factors:
        part = [entries[i % len(entries)] for i in range(base * factor)]

        def repeat(part=part) -> None:
            protocol.text_to_motion_repeat(sampler, part, {"main": judge}, seed=0, halves=False, pool_size=16)

        if factor == 1:
            repeat()
        seconds = timed(repeat, setting.device)
        item.ways.append(Way(f"{len(part)} captions", [seconds], len(part)))
        points.append((len(part), seconds))
    item.facts = {"time a caption, the most against the fewest": item.ways[0].rate / item.ways[-1].rate}
    item.series = {"Evaluation": {"x": "captions", "y": "seconds", "points": {"evaluation repeat": points}}}
    return item
