"""Cards: their marks, and merging one that was edited both locally and on the Hub without losing text.

A generated section stands between two marks; the rest of a card, and header entries that no run can know, belong to
its user. What was published is recognised later by a digest that the section carries.
"""

import hashlib
import re
from dataclasses import dataclass

import yaml

BEGIN = "<!-- unimo card: begin. What stands between these two marks is generated; text outside is kept. -->"
END = "<!-- unimo card: end -->"
TAGS = ["human-motion", "text-to-motion", "motion-to-text"]  # of every card
_BEGIN = re.compile(r"<!-- unimo card: begin\b.*?-->")
_MARK = re.compile(r"\n*<!-- unimo card: published (\w+) (\w+) -->")


@dataclass(frozen=True)
class Card:
    """The parts of a card: header (YAML, without its dashes), what stands before and after the section, the section.

    `section` is None for a card without one, and `before` then has all of its text.
    """

    header: str
    before: str
    section: str | None
    after: str

    @classmethod
    def parse(cls, content: str) -> "Card":
        """Parse a card, also one without a generated section.

        Args:
            content: Content of a README.md.

        Returns:
            The card.
        """
        found = re.match(r"\A\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", content, re.DOTALL)
        header, words = (found[1], content[found.end() :]) if found else ("", content)
        begin, end = _BEGIN.search(words), words.rfind(END)
        if begin is None or end < begin.end():
            return cls(header, words, None, "")
        stop = end + len(END)
        return cls(header, words[: begin.start()], words[begin.start() : stop], words[stop:])

    def with_section(self, header: str, section: str) -> "Card":
        """The card with another header and generated section; what its user wrote stays.

        Args:
            header: The new header.
            section: The new generated section.

        Returns:
            The new card.
        """
        before, after = self.before, self.after
        if self.section is None:
            words = _BEGIN.sub("", before).replace(END, "")  # half a pair of marks
            before, after = "\n", f"\n\n{words.strip()}\n" if words.strip() else "\n"
        return Card(header.strip(), before, f"{BEGIN}\n\n{section}\n\n{END}", after)

    @property
    def content(self) -> str:
        """The card as text."""
        header = f"---\n{self.header}\n---\n" if self.header.strip() else ""
        return f"{header}{self.before}{self.section or ''}{self.after}"

    @property
    def words(self) -> str:
        """What its user wrote."""
        return (self.before + self.after).strip()

    @property
    def digests(self) -> tuple[str, str]:
        """Of the user's words and of the header; line ends and blank edges do not count."""
        return _digest(self.words), _digest(self.header)

    @property
    def published(self) -> tuple[str, str] | None:
        """The digests of the card when it was last published."""
        found = _MARK.search(self.section or "")
        return (found[1], found[2]) if found else None


def _digest(words: str) -> str:
    return hashlib.sha256("\n".join(words.split("\r\n")).strip().encode()).hexdigest()[:12]


def marked(content: str) -> str:
    """A card to publish, with the digests by which it is recognised later.

    Args:
        content: Content of a README.md.

    Returns:
        The content with its digests.
    """
    card = Card.parse(content)
    if card.section is None:
        return content
    section = _MARK.sub("", card.section)
    mark = "<!-- unimo card: published {} {} -->".format(*card.digests)
    section = section.removesuffix(END).rstrip() + f"\n\n{mark}\n{END}"
    return Card(card.header, card.before, section, card.after).content


def merge(local: str | None, remote: str | None) -> str:
    """One card out of the local one and that on the Hub; the generated section is the local one if it exists.

    What was changed since the last push, here or there, is taken; words that were changed in both places are kept
    both, the Hub's first.

    Args:
        local: Content of the local card, or None.
        remote: Content of the card on the Hub, or None.

    Returns:
        Content of the card to publish.

    Raises:
        ValueError: the header on the Hub is not a YAML mapping.
    """
    if remote is None or local is None:
        return local or remote or ""
    ours, theirs = Card.parse(local), Card.parse(remote)
    if theirs.published == theirs.digests:
        return local
    words_then, header_then = theirs.published or ("", "")
    before, after = theirs.before, theirs.after
    if _digest(theirs.words) == words_then:
        before, after = ours.before, ours.after
    elif _digest(ours.words) != words_then and ours.words and ours.words not in theirs.words:
        after = f"{after.rstrip()}\n\n{ours.words}\n"
    header = ours.header
    if _digest(theirs.header) != header_then:
        header = yaml.safe_dump(_mapping(ours.header) | _mapping(theirs.header), sort_keys=False, allow_unicode=True)
    section = ours.section if ours.section is not None else theirs.section
    if theirs.section is None:  # a card that somebody wrote without us: ours goes below it
        before, after = f"{before.rstrip()}\n\n" if before.strip() else "\n", after or "\n"
    return Card(header.strip(), before, section, after).content


def _mapping(header: str) -> dict:
    try:
        data = yaml.safe_load(header) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"the header of the card is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ValueError(f"the header of the card must be a mapping (key: value), got {type(data).__name__}")
    return data
