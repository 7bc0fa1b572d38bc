"""What a motion shows of each kind of action: the verifier's own reading of the joints.

`Evidence(joints)` looks for one kind of movement at a time, only when asked, and keeps what it found. Every movement
carries what can be compared with words (side, count, direction, angle, lengths) and whether it is `sure`: a movement
that is not sure would let a statement pass unjudged, and the absence of both kinds contradicts it. None of the bounds
here are shared with the annotator, whose texts are to be checked with them.

One file for each part of the body, and each reads only itself and those before it: `movement` (what a movement is),
`ground` (travel, turns), `feet` (jumps, kicks), `trunk` (squats, bows, looks), `hands` (waves, punches).
"""

from datasets_scripts.verify.evidence.hands import Hands
from datasets_scripts.verify.evidence.movement import Movement

__all__ = ["Evidence", "Movement"]


class Evidence(Hands):
    """Movements of joints (T, 22, 3), metres, Y up, found on demand.

    Raises ValueError as `kinematics.measure` does: another shape, fewer than two frames, values that are not finite.
    """
