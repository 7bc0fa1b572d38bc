"""Pages and cards are Jinja2 templates in files; this module fills them in."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_scripts.hub.card_words import table, text

if TYPE_CHECKING:
    from jinja2 import Environment

CARDS = Path(__file__).parent / "hub" / "templates"
"""Templates of cards, and how every page begins."""


def render(template: str | Path, **values: Any) -> str:
    """Fill in a template.

    Values are escaped in templates that end in `.html` or `.svg`; in Markdown, the filter `text` escapes them,
    and `table(header, rows)` makes a table of escaped cells.

    Args:
        template: path of the file; what it includes or imports lies in the same folder, or among the shared ones.
        values: what the template names; a name without a value is an error.

    Returns:
        The text.
    """
    template = Path(template)
    return _environment(template.parent).get_template(template.name).render(values)


@lru_cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader([folder, CARDS]),
        autoescape=select_autoescape(["html", "svg"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = text
    environment.globals["table"] = lambda header, rows: "\n".join(table(header, rows))
    return environment
