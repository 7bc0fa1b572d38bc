"""The clips of a study, each with its thought and a text that its motion contradicts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.schema import load_motion_dataset
from datasets_scripts.thoughts.render import find_render_fault
from datasets_scripts.verify.verification import verify
from modeling_unimo.bodies_unimo import drawable
from modeling_unimo.skeletons_unimo import HUMANML3D

# First the words that are no sides, so that they are passed over: "right" as "fully, exactly, correct", a right angle,
# and "left" as a verb or "remaining".
_SIDES = re.compile(
    r"\b(?:"
    r"(?:all|just|that's) right\b|"
    r"right[ -]angle[sd]?\b|right (?:after|as|at|away|back|before|behind|beneath|beside|here|in front|now|next|on top"
    r"|there|then|through|to the (?:edge|end|floor|ground|top)|when|where|side up|way up|under|underneath)\b|"
    r"(?:he|she|they) left\b|"
    r"(?:am|are|be|been|being|is|was|were) left\b(?![ -](?:arm|foot|hand|leg|knee|elbow|shoulder|hip|side|-handed))"
    r"|left (?:alone|behind|his|her|hers|its|off|out|over|standing|the|their|them|to (?:do|say))\b|leftovers?\b|"
    r"(?P<side>left|right)(?P<ending>s?|ward|wards|hand|handed|most)\b"
    r")",
    re.IGNORECASE,
)
_DRAWN, _TRIES = 400, 20  # clips drawn for an untrue text, and how many of them are tried


@dataclass(frozen=True)
class Item:
    """One clip of the study: its two texts, and how the altered one was made ("sides" or "other clip").

    Attributes:
        row: name of the row on sheets and pages.
        id: of the clip in its dataset.
        true, altered: the clip's thought, and a text that the motion contradicts.
        how: "sides" or "other clip".
        joints: (T, 22, 3) in metres.
        fps: frames per second.
    """

    row: str
    id: str
    true: str
    altered: str
    how: str
    joints: np.ndarray
    fps: float


def swap_sides(text: str) -> str:
    """`text` with the sides left and right exchanged and capitals kept.

    "Right" and "left" in other meanings stay: "right away", "all right", "a right angle", "is left standing".

    Args:
        text: The text.

    Returns:
        The text about the other side.
    """

    def other(found: re.Match[str]) -> str:
        word = found["side"]
        if word is None:
            return found[0]
        swapped = "right" if word.lower() == "left" else "left"
        if word.isupper():
            swapped = swapped.upper()
        elif word[0].isupper():
            swapped = swapped.capitalize()
        return swapped + found["ending"]

    return _SIDES.sub(other, text)


def choose_items(dataset: str | Path, split: str, number: int, seed: int) -> list[Item]:
    """Random clips whose thought can be shown beside a text that the motion contradicts.

    Args:
        dataset: dataset folder with thoughts.
        split: of the dataset.
        number: of clips.
        seed: of the choice.

    Returns:
        The items, in the order of the draw.

    Raises:
        FileNotFoundError: no such dataset or split.
        ValueError: not of 22 joints, or fewer such clips than `number`.
    """
    from datasets_scripts.captioned_motions import motion_views
    from modeling_unimo.recovery_unimo import features_to_joints

    if number < 2:
        raise ValueError(f"number must be >= 2, got {number}")
    loaded = load_motion_dataset(dataset, split)[split]
    width = loaded.features["motion"].shape[1]
    if width != HUMANML3D.feature_dim:
        raise ValueError(f"{dataset} has {width}-dimensional features; the study needs HumanML3D's 22 joints (263)")
    rows = loaded.remove_columns(["motion"]).with_format(None)
    motions = motion_views(loaded)
    rng = np.random.default_rng(seed)
    items: list[Item] = []
    for index in rng.permutation(len(loaded)).tolist():
        if len(items) == number:
            return items
        row, features = rows[index], np.array(motions[index])
        thought = _thought(row)
        if not thought or find_render_fault(row["id"], features, row["fps"]):
            continue
        joints = np.asarray(features_to_joints(features))
        try:
            drawable(joints)
        except ValueError:
            continue
        # Of about the same length: a text that speaks of 5 seconds would give itself away beside a film of 3.
        picks = rng.permutation(len(loaded))[:_DRAWN].tolist()
        picks = sorted(picks, key=lambda pick: abs(len(motions[pick]) - len(features)))[:_TRIES]
        others = [text for text in (_thought(rows[pick]) for pick in picks) if text and text != thought]
        try:
            found = _untrue_text(thought, others, joints, row["fps"])
        except ValueError:
            continue  # all joints in one place, say: what cannot be measured contradicts no text
        if found is not None:
            items.append(Item(f"r{len(items) + 1:03d}", row["id"], thought, *found, joints, row["fps"]))
    if len(items) == number:
        return items
    raise ValueError(
        f"{dataset} has only {len(items)} clips in split {split} with a thought that an untrue text can be made for, "
        f"and --number is {number}; lower it, or annotate the dataset with python -m datasets_scripts.annotate"
    )


def _thought(row: dict[str, Any]) -> str:
    """The first thought about the whole clip."""
    for caption in row["captions"]:
        if caption["thought"].strip() and not (caption["start"] or caption["end"]):
            return caption["thought"].strip()
    return ""


def _untrue_text(thought: str, others: list[str], joints: np.ndarray, fps: float) -> tuple[str, str] | None:
    """A text that the motion contradicts where it does not contradict the thought, and how it was made."""
    swapped = swap_sides(thought)
    texts = [swapped] * (swapped != thought) + others
    own, *found = verify([thought, *texts], joints, fps)
    if own.contradicted:
        return None
    for text, verification in zip(texts, found, strict=True):
        if verification.contradicted:
            return text, "sides" if text == swapped else "other clip"
    return None
