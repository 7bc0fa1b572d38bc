"""What a text claims and what a motion shows: `verify(texts, joints)` compares the two, claim by claim."""

from datasets_scripts.verify.reliability import UNRELIABLE_KINDS
from datasets_scripts.verify.verification import Verification, verify

__all__ = ["UNRELIABLE_KINDS", "Verification", "verify"]
