"""Instruction accuracy: the share of what texts say of motions that the motions do, claim by claim.

R-Precision asks a learned judge which text fits best; this asks the joints whether the side, the count, the direction,
the angle, the order that a text names are there. The reading and the tests are `datasets_scripts.verify.verification`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datasets_scripts.verify import Verification, verify
from datasets_scripts.verify.checks import Claim
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints


def check_pairs(joints: Sequence[Any], texts: Sequence[str], fps: float = 20.0, first: int = 0) -> list[Verification]:
    """The claims of each text checked against its clip (T, 22, 3), metres, Y up.

    Raises:
        ValueError: as many texts as clips are needed; clip or text `first` + i cannot be checked, for its reason.
    """
    if isinstance(texts, str) or len(joints) != len(texts):
        got = "one string" if isinstance(texts, str) else f"{len(texts)} texts for {len(joints)} clips"
        raise ValueError(f"texts: got {got}; one text for each clip is needed")
    found = []
    for index, (clip, text) in enumerate(zip(joints, texts, strict=True)):
        try:
            found += verify([text], np.asarray(clip, dtype=np.float64), fps)
        except ValueError as error:
            raise ValueError(f"joints[{first + index}]: {error}") from error
    return found


def restored(fields: Mapping[str, Any]) -> Verification:
    """A verification from what `dataclasses.asdict` and JSON made of it."""
    claims = tuple(Claim(**claim) for claim in fields["claims"])
    return Verification(fields["text"], claims, fields["sentences"], tuple(fields["unread"]))


def merge(checked: Sequence[Verification]) -> dict[str, Any]:
    """The figures of many checked texts.

    Returns:
        consistency: share of the decided claims that hold, over all texts together. decided, undecided: how many
        claims. coverage: share of the sentences that could be read. by_kind: {kind: share of its decided claims that
        hold}. contradictions: for each text the claims its motion contradicts, readable.

    Raises:
        ValueError: no claim was decided, so that there is no share.
    """
    held: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    undecided = 0
    for claim in (claim for one in checked for claim in one.claims):
        if claim.verdict == "undecided":
            undecided += 1
            continue
        decided[claim.kind] += 1
        held[claim.kind] += claim.verdict == "holds"
    if not decided:
        raise ValueError(f"texts: not one claim of {len(checked)} texts could be decided by the motion")
    sentences = sum(one.sentences for one in checked)
    read = sentences - sum(len(one.unread) for one in checked)
    return {
        "consistency": sum(held.values()) / sum(decided.values()),
        "decided": sum(decided.values()),
        "undecided": undecided,
        "coverage": read / max(sentences, 1),
        "by_kind": {kind: held[kind] / decided[kind] for kind in sorted(decided)},
        "contradictions": [
            [f"{claim.kind}: said {claim.stated}, measured {claim.measured}" for claim in one.contradicted]
            for one in checked
        ],
    }


def check_features(texts: Sequence[str], motion: np.ndarray) -> list[Verification]:
    """The claims of each text checked against one motion of features (T, D); empty where it cannot be measured."""
    if motion.shape[1] != HUMANML3D.feature_dim:
        return []
    try:
        return verify(texts, features_to_joints(np.asarray(motion)))
    except ValueError:
        return []


def headline(checked: Sequence[Verification]) -> dict[str, float]:
    """{"consistency": ..} of checked texts; empty where no claim was decided."""
    if not any(one.consistency is not None for one in checked):
        return {}
    return {"consistency": merge(checked)["consistency"]}


def instruction_accuracy(texts: Sequence[str], motions: Sequence[np.ndarray]) -> dict[str, float]:
    """`headline` of motions of features (T, D) with one text each.

    Motions too short or of another skeleton cannot be measured and are left out.
    """
    pairs = zip(texts, motions, strict=True)
    return headline([checked for text, motion in pairs for checked in check_features([text], motion)])
