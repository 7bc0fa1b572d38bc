"""What an annotation run counts: thoughts written, refused and left out, claims, tokens, and the table of all that."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from datasets_scripts.schema import BuildSummary


@dataclass
class AnnotationSummary:
    """What a run did, over all clips of the output, including those of earlier runs.

    Attributes:
        clips: seen; `resumed` of them were finished by an earlier run.
        written, given: captions with a new thought, and with one that the data had.
        refused, unanswered: captions without a thought, by reason: for good, or until the next run.
        unusable: clips that cannot be rows of a dataset, by reason, if no dataset is written that counts them.
        inconsistent, unsupported, unread: thoughts that `Rules` left out: contradicted too often, with no decidable
            claim, with a claim in too few sentences.
        undecided: thoughts without a decidable claim.
        sentences, sentences_read: of all thoughts, and those with a claim.
        scores: consistency of each thought with decidable claims.
        decided, contradicted: claims of all thoughts.
        asked: replies of a model in this run.
        prompt_tokens, completion_tokens: of all replies; `untold` replies came without counts.
        cost: of these tokens, if prices are known.
        seconds: that the run took.
        build: what was written to a dataset folder.
        texts: thoughts in a folder of thoughts alone.
    """

    clips: int = 0
    resumed: int = 0
    written: int = 0
    given: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    inconsistent: int = 0
    unsupported: int = 0
    unread: int = 0
    undecided: int = 0
    sentences: int = 0
    sentences_read: int = 0
    scores: list[float] = field(default_factory=list)
    decided: int = 0
    contradicted: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0
    cost: float | None = None
    seconds: float = 0.0
    build: BuildSummary | None = None
    texts: int | None = None

    def table(self) -> str:
        """The summary as text, every reason with its count.

        Returns:
            Lines of text.
        """
        kept = self.written + self.given
        speed = f", {(self.clips - self.resumed) / self.seconds:.0f} clips/s" if self.seconds > 0 else ""
        lines = [
            f"{self.clips} clips in {self.seconds:.1f} s{speed}"
            + (f"; {self.resumed} of them finished by an earlier run" if self.resumed else ""),
            f"{kept} captions with a thought: {self.written} written, {self.given} given with the data",
        ]
        if self.scores:
            lines.append(
                f"mean consistency {np.mean(self.scores):.3f} over {len(self.scores)} thoughts with decidable claims; "
                f"{self.contradicted} of {self.decided} claims contradicted"
            )
        if self.sentences:
            lines.append(
                f"coverage {self.sentences_read / self.sentences:.3f}: the verifier found a claim in "
                f"{self.sentences_read} of {self.sentences} sentences"
            )
        lines.append(f"thoughts without a decidable claim: {self.undecided}")
        titled = {"clips left out": self.unusable, "refused": self.refused, "not answered": self.unanswered}
        for title, reasons in titled.items():
            if reasons:
                lines.append(f"{title}: {sum(reasons.values())}")
                lines += [f"  {number:>6}  {reason}" for reason, number in reasons.most_common()]
        for number, why in (
            (self.inconsistent, "for their consistency"),
            (self.unsupported, "without a decidable claim"),
            (self.unread, "for their coverage"),
        ):
            if number:
                lines.append(f"left out {why}: {number}")
        if self.asked or self.prompt_tokens:
            untold = f" (not reported for {self.untold} answers)" if self.untold else ""
            cost = f", cost {self.cost:.4f}" if self.cost is not None else ""
            lines.append(
                f"{self.asked} answers in this run; in all {self.prompt_tokens} prompt tokens, "
                f"{self.completion_tokens} completion tokens{untold}{cost}"
            )
        return "\n".join(lines)
