"""What a motion shows of each kind of action: the verifier's own reading of the joints.

`Evidence(joints)` looks for one kind of movement at a time, only when asked, and keeps what it found. Every movement
carries what can be compared with words (side, count, direction, angle, lengths) and whether it is `sure`: a movement
that is not sure leaves a statement undecided, and the absence of both kinds contradicts it. The body is measured once
for the annotator and the verifier (`kinematics.measure`); the bounds are not shared, so that neither repeats the
other's mistakes.

Bounds whose comment names no source were set on planned motion, whose movements are known, and checked on captured
motion (Bandai-Namco with its labels, CMU with captions by people): `benchmarks/verifier_planted_errors.py` and
`benchmarks/human_captions.py` measure what they give.

One file for each part of the body, and each reads only itself and those before it: `movement` (what a movement is),
`ground` (travel, turns), `feet` (jumps, kicks), `trunk` (squats, bows, looks), `hands` (waves, punches).
"""

from datasets_scripts.verify.evidence.hands import Hands
from datasets_scripts.verify.evidence.movement import Movement

__all__ = ["Evidence", "Movement"]


class Evidence(Hands):
    """Movements of joints (T, 22, 3), metres, Y up, found on demand.

    Raises:
        ValueError: if the joints cannot be measured, as `kinematics.measure` does.
    """
