"""A card edited here and on the Hub: nobody's words are lost."""

import pytest
import yaml

from datasets_scripts.hub.card_merge import Card, marked, merge

BEGIN = "<!-- unimo card: begin. Whatever stands here. -->"
END = "<!-- unimo card: end -->"


def card(header="license: mit", before="\n", section="made by a run", after="\n"):
    return f"---\n{header}\n---\n{before}{BEGIN}\n\n{section}\n\n{END}{after}"


PUBLISHED = marked(card(before="\nMine.\n", after="\nEnd.\n"))


def test_a_card_in_parts_is_the_card():
    for content in (card(), PUBLISHED, "# Title\n", "---\na: b\n---\ntext\n", f"---\na: b\n---\n{END}\n{BEGIN}\n", ""):
        assert Card.parse(content).content == content
    assert Card.parse("# Title\n").section is None and Card.parse(f"{END} {BEGIN}").section is None
    assert Card.parse(PUBLISHED).published == Card.parse(PUBLISHED).digests
    assert Card.parse(card()).published is None
    assert marked(PUBLISHED) == PUBLISHED, "a second time changes nothing"
    assert marked("# Not ours\n") == "# Not ours\n"


@pytest.mark.parametrize("local", [card(), None])
@pytest.mark.parametrize("remote", [card(section="older"), None])
def test_one_card_or_none(local, remote):
    if local is None or remote is None:
        assert merge(local, remote) == (local or remote or "")


def test_nobody_edited_anything():
    local = card(before="\nMine.\n", section="newer", after="\nEnd.\n")
    assert merge(local, PUBLISHED) == local


def test_edited_here():
    local = card(header="license: mit\nlanguage: de", before="\nMine, edited.\n", section="newer")
    assert merge(local, PUBLISHED) == local


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_edited_on_the_hub(ends):
    local = card(before="\nMine.\n", section="newer", after="\nEnd.\n")
    remote = PUBLISHED.replace("Mine.", "Edited there.").replace("license: mit", "license: cc0-1.0\nlanguage: de")
    merged = Card.parse(merge(local, remote.replace("\n", ends)))
    assert merged.words == f"Edited there.{ends}{ends}End." or merged.words.split() == ["Edited", "there.", "End."]
    assert yaml.safe_load(merged.header) == {"license": "cc0-1.0", "language": "de"}
    assert "newer" in merged.section and "made by a run" not in merged.section


def test_edited_in_both_places():
    local = card(before="\nMine, edited here.\n", section="newer")
    merged = Card.parse(merge(local, PUBLISHED.replace("Mine.", "Mine, edited there.")))
    assert merged.words.index("edited there") < merged.words.index("edited here")
    assert merged.section == Card.parse(local).section
    once = marked(merged.content)
    assert merge(once, once) == once, "and not a second time"


def test_a_card_that_somebody_wrote_on_the_hub():
    merged = Card.parse(merge(card(), "---\nlicense: cc0-1.0\n---\n# Hello\n"))
    assert merged.before.strip() == "# Hello" and "made by a run" in merged.section
    assert yaml.safe_load(merged.header) == {"license": "cc0-1.0"}
    edited = PUBLISHED.replace("Mine.", "Edited there.")
    kept = merge("# Written here\n", edited)
    assert all(words in kept for words in ("# Written here", "Edited there.", "made by a run"))


@pytest.mark.parametrize("header", ["[unclosed", "- a list"])
def test_a_header_that_is_none(header):
    with pytest.raises(ValueError, match="header of the card"):
        merge(card(), PUBLISHED.replace("license: mit", header))
