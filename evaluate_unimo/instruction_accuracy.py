"""Instruction accuracy: the share of what texts say of motions that the motions do, claim by claim.

R-Precision asks a learned judge which text fits best; this asks the joints whether the side, the count, the direction,
the angle, the order that a text names are there. The reading and the tests are `datasets_scripts.verify`. Kinds of
claim whose verdicts do not hold on text that people wrote (`UNRELIABLE_KINDS`) are left out of the headline figure.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from datasets_scripts.verify import UNRELIABLE_KINDS, Verification, verify
from datasets_scripts.verify.checks import Claim
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints


def check_pairs(joints: Sequence[Any], texts: Sequence[str], fps: float = 20.0, first: int = 0) -> list[Verification]:
    """The claims of each text checked against its clip.

    Args:
        joints: Clips (T, 22, 3) in metres, Y up.
        texts: One text for each clip.
        fps: Frames per second.
        first: Index of the first clip in error messages.

    Returns:
        Verification of each text.

    Raises:
        ValueError: Different counts of clips and texts, or a clip or text that cannot be checked.
    """
    if isinstance(texts, str) or len(joints) != len(texts):
        got = "one string" if isinstance(texts, str) else f"{len(texts)} texts for {len(joints)} clips"
        raise ValueError(f"texts must hold one text for each clip, got {got}")
    found = []
    for index, (clip, text) in enumerate(zip(joints, texts, strict=True)):
        try:
            found += verify([text], np.asarray(clip, dtype=np.float64), fps)
        except ValueError as error:
            raise ValueError(f"joints[{first + index}]: {error}") from error
    return found


def check_features(texts: Sequence[str], motion: np.ndarray) -> list[Verification]:
    """Check the claims of texts against one motion.

    Args:
        texts: The texts.
        motion: Features (T, D).

    Returns:
        Verification of each text; empty if the motion cannot be measured.
    """
    if motion.shape[1] != HUMANML3D.feature_dim:
        return []
    try:
        return verify(texts, features_to_joints(motion))
    except ValueError:
        return []


def count_claims(checked: Verification, exclude_kinds: Collection[str] = UNRELIABLE_KINDS) -> tuple[int, int, int]:
    """Count the claims of a text without the excluded kinds.

    Args:
        checked: The verification of the text.
        exclude_kinds: Kinds to leave out.

    Returns:
        Claims that hold, claims that are decided, and all claims.
    """
    verdicts = [claim.verdict for claim in checked.claims if claim.kind not in exclude_kinds]
    return verdicts.count("holds"), len(verdicts) - verdicts.count("undecided"), len(verdicts)


def headline(checked: Sequence[Verification], exclude_kinds: Collection[str] = UNRELIABLE_KINDS) -> dict[str, float]:
    """Instruction accuracy of checked texts and what it rests on.

    Args:
        checked: Verifications.
        exclude_kinds: Kinds to leave out.

    Returns:
        consistency: Share of the decided claims that hold. consistency_decided: share of the claims that are decided.
        consistency_unread: share of the sentences in which no claim was found. consistency_claims: number of claims.
        Empty where no claim was decided.
    """
    held, decided, claims = np.sum([count_claims(one, exclude_kinds) for one in checked] or [(0, 0, 0)], axis=0)
    if not decided:
        return {}
    unread, sentences = sum(len(one.unread) for one in checked), sum(one.sentences for one in checked)
    return {
        "consistency": float(held / decided),
        "consistency_decided": float(decided / claims),
        "consistency_unread": unread / max(sentences, 1),
        "consistency_claims": int(claims),
    }


def restore(fields: Mapping[str, Any]) -> Verification:
    """Restore a verification from JSON.

    Args:
        fields: What `dataclasses.asdict` gave.

    Returns:
        The verification.
    """
    claims = tuple(Claim(**claim) for claim in fields["claims"])
    return Verification(fields["text"], claims, fields["sentences"], tuple(fields["unread"]))


def merge(checked: Sequence[Verification], exclude_kinds: Collection[str] = UNRELIABLE_KINDS) -> dict[str, Any]:
    """The figures of many checked texts.

    Args:
        checked: Verifications.
        exclude_kinds: Kinds to leave out of the headline.

    Returns:
        The headline figure as `consistency`, with `decided` and `undecided`: the claims it rests on. excluded: claims
        of excluded kinds. coverage: share of the sentences that could be read. by_kind: {kind: share of its decided
        claims that hold}, of every kind. contradictions: for each text the claims its motion contradicts, readable.

    Raises:
        ValueError: No claim of another kind was decided, so that there is no share.
    """
    rests_on = headline(checked, exclude_kinds)
    if not rests_on:
        raise ValueError(
            f"texts: no claim of {len(checked)} texts is decided by the motion (kinds excluded: "
            f"{', '.join(sorted(exclude_kinds)) or 'none'})"
        )
    held: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    for claim in (claim for one in checked for claim in one.claims if claim.verdict != "undecided"):
        decided[claim.kind] += 1
        held[claim.kind] += claim.verdict == "holds"
    counted = sum(count for kind, count in decided.items() if kind not in exclude_kinds)
    claims = int(rests_on["consistency_claims"])
    return {
        "consistency": rests_on["consistency"],
        "decided": counted,
        "undecided": claims - counted,
        "excluded": sum(len(one.claims) for one in checked) - claims,
        "coverage": 1 - rests_on["consistency_unread"],
        "by_kind": {kind: held[kind] / decided[kind] for kind in sorted(decided)},
        "contradictions": [
            [f"{claim.kind}: said {claim.stated}, measured {claim.measured}" for claim in one.contradicted]
            for one in checked
        ],
    }
