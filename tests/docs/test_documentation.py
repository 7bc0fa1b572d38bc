"""README and docs say what is there: commands with their options, links, folders."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from unimo.cli import COMMANDS, GROUPS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
_BASH = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)


def command_lines() -> list[tuple[str, list[str]]]:
    """Module and words of every command of this project in a block of shell code."""
    modules = {f"unimo {name}": module for name, (module, _) in COMMANDS.items()}
    modules |= {f"unimo {g} {n}": m for g, (_, commands) in GROUPS.items() for n, (m, _) in commands.items()}
    found = []
    for page in PAGES:
        for block in _BASH.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:2] == ["python", "-m"]:
                    found.append((words[2], words[3:]))
                elif words[:1] == ["unimo"]:
                    name = " ".join(words[: 3 if words[1] in GROUPS else 2])
                    assert name in modules, f"{page.name}: there is no command {name!r}"
                    found.append((modules[name], words[name.count(" ") + 1 :]))
    return found


COMMAND_LINES = command_lines()


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMAND_LINES if not module.startswith("mkdocs")}))
def test_options_in_the_documentation_exist(module, capsys):
    place, _, function = module.partition(":")
    with pytest.raises(SystemExit):
        getattr(importlib.import_module(place), function or "main")(["--help"])
    explained = set(re.findall(r"--\w+", capsys.readouterr().out))
    used = {word.split("=")[0] for name, words in COMMAND_LINES if name == module for word in words}
    assert {word for word in used if word.startswith("--")} - explained == set()


def test_the_readme_fits_a_page():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200 and len(text.encode()) <= 12 * 1024


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """The site's own build checks more, anchors included; this also holds where the site is not built."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/layout.md"])
def test_the_layout_names_every_folder_and_no_other(page):
    blocks = (REPOSITORY / page).read_text(encoding="utf-8").split("```")[1::2]
    tree = next(block for block in blocks if block.startswith("\nmodeling_unimo/"))
    named = {line.split()[0].rstrip("/") for line in tree.strip().splitlines()}
    packages = ("modeling_unimo", "datasets_scripts", "train", "evaluate_unimo", "unimo")
    metrics = {module.parent for module in (REPOSITORY / "evaluate_unimo").glob("*/app.py")}
    rooms = {file.parent for name in packages for file in (REPOSITORY / name).glob("**/__init__.py")} - metrics
    rooms = {str(room.relative_to(REPOSITORY)) for room in rooms if len(room.relative_to(REPOSITORY).parts) <= 2}
    assert [name for name in named if not (REPOSITORY / name).is_dir()] == []
    assert rooms - named == {"datasets_scripts/cot"}  # kept for old command lines


def test_the_site_builds_strictly(tmp_path):
    mkdocs = pytest.importorskip("mkdocs.commands.build")
    from mkdocs.config import load_config

    config = load_config(str(REPOSITORY / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site"))
    mkdocs.build(config)
    pages = {page.name for page in (tmp_path / "site").glob("*.html")}
    assert {"index.html", "api.html", "results.html"} <= pages
    fetched = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//')
    assert [page for page in pages if fetched.search((tmp_path / "site" / page).read_text("utf-8"))] == []
