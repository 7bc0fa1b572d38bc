"""Whether a motion does what a caption admits, where the caption tells goals and leaves the movement open.

R-Precision would ask for the motion that was drawn; here whatever serves the goals counts, as the joints show it.
"""

import numpy as np

from datasets_scripts.sources.synthetic.goals import goals_of, readings_of_goals, sentences
from datasets_scripts.verify import Verification, verify
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints


def does_admissible(caption: str, motion: np.ndarray) -> bool:
    """Whether a motion does one of the readings of a caption: every movement of it is there, in its order.

    Args:
        caption: A caption of the split `test_vague`.
        motion: Features (T, D).

    Returns:
        Whether one is done; False for a motion that cannot be measured, such as one of another skeleton.

    Raises:
        ValueError: The caption is not one that tells goals as the embedded data does.
    """
    clauses = readings_of_goals(goals_of(caption))
    if motion.shape[1] != HUMANML3D.feature_dim:
        return False
    try:
        joints = features_to_joints(motion)
        # First each movement by itself, which leaves few sentences to check for the order.
        done = [[clause for clause in several if _held(verify(sentences([[clause]]), joints))] for several in clauses]
        return _held(verify(sentences(done), joints))
    except ValueError:
        return False


def _held(checked: list[Verification]) -> bool:
    """Whether a sentence's movements are all there and nothing of it is contradicted."""
    return any(
        not one.contradicted and all(claim.verdict == "holds" for claim in one.claims if claim.kind == "action")
        for one in checked
        if one.claims
    )
