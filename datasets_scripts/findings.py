"""What a check of a folder found, line by line: shared by the doctor and by sources that report on their input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

OK, WARNING, WRONG = "ok", "look", "WRONG"


def some(items: Iterable[object], count: int = 4) -> str:
    """List the first items and the number of the others.

    Args:
        items: The items.
        count: Items to list.

    Returns:
        Text.
    """
    items = list(items)
    rest = f" and {len(items) - count} more" if len(items) > count else ""
    return ", ".join(map(str, items[:count])) + rest


@dataclass
class Finding:
    """One line of the table: what was checked, what was found and expected, a verdict and a remedy."""

    what: str
    found: str
    expected: str = ""
    verdict: str = OK
    remedy: str = ""


@dataclass
class Report:
    """The findings about a folder, in the order of the checks."""

    folder: str
    dataset: str = ""
    findings: list[Finding] = field(default_factory=list)

    def add(self, what: str, found: object, expected: object = "", verdict: str = OK, remedy: str = "") -> None:
        """Add a finding.

        Args:
            what: What was examined.
            found: What was found.
            expected: What the official data has.
            verdict: `OK`, `WARNING` or `WRONG`.
            remedy: What to do about it.
        """
        self.findings.append(Finding(what, str(found), str(expected), verdict, remedy))

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.verdict != WRONG for finding in self.findings)

    def table(self) -> str:
        """Format the findings, remedies below the lines they belong to.

        Returns:
            Aligned text.
        """
        rows = [("what", "found", "expected", "")]
        rows += [(f.what, f.found, f.expected, f.verdict) for f in self.findings]
        widths = [min(max(len(row[i]) for row in rows), 60) for i in range(3)]
        lines = [f"{self.folder}: {self.dataset}" if self.dataset else self.folder]
        for index, row in enumerate(rows):
            lines.append("  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]).rstrip())
            if index and self.findings[index - 1].remedy:
                lines.append(f"    -> {self.findings[index - 1].remedy}")
        wrong = sum(f.verdict == WRONG for f in self.findings)
        look = sum(f.verdict == WARNING for f in self.findings)
        lines.append(f"{wrong} wrong, {look} to look at")
        return "\n".join(lines)
