"""Text for cards that everybody reads: escaped, without local paths, without secrets."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

# Access tokens and keys in the forms that their issuers document. Where the prefix could begin a word of prose
# ("sk-learn-style", "bearer of"), a digit must follow somewhere in it.
SECRET = re.compile(
    r"\b(?:"
    r"(?:hf|api_org)_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|sk[-_](?=[\w-]*\d)[\w-]{16,}"  # OpenAI (sk-proj-, sk-svcacct-, ..), Anthropic (sk-ant-), OpenRouter (sk-or-)
    r"|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"  # GitHub, GitLab
    r"|AIza[\w-]{30,}|ya29\.[\w-]{16,}"  # Google
    r"|A(?:KIA|SIA)[A-Z0-9]{16}"  # AWS
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}|r8_[A-Za-z0-9]{16,}|nvapi-[\w-]{16,}"  # Groq, xAI, Replicate, NVIDIA
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # JSON web tokens
    r"|(?i:bearer)\s+(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*"  # of an HTTP header
    r")"
)
_SECRET_KEY = re.compile(
    r"(^|_)(token|secret|passw(or)?d|passphrase|credentials?|(api|access|secret|private)_key)$", re.I
)
# An absolute path inside prose: its folders would say something about a machine.
_FOLDERS = re.compile(r"(?<![\w/:.~])(?:[A-Za-z]:|~)?[\\/](?:[^\s\\/\"'<>()]+[\\/])+")


def cached_name(path: str, kind: str) -> str | None:
    """The name on the Hub of a folder in the Hub's cache, `../datasets--owner--name/snapshots/..`; else None.

    Args:
        path: The folder.
        kind: What the Hub's cache calls the kind of repository: "models" or "datasets".

    Returns:
        `owner/name`, or None.
    """
    found = re.search(rf"(?:^|[\\/]){kind}--([\w.-]+?)--([\w.-]+?)[\\/]snapshots(?:[\\/]|$)", path)
    return f"{found[1]}/{found[2]}" if found else None


def base_name(name: str) -> str | None:
    """The name on the Hub of a base model given by name or by its folder in the cache; None for another folder.

    Args:
        name: Name or folder of the base model.

    Returns:
        `owner/name`, or None.
    """
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name) and not Path(name).exists():
        return name
    return cached_name(name, "models")


def last_component(path: str) -> str:
    """The last component of a path of either kind; also of a URL, which may carry a password before its host.

    Args:
        path: The path.

    Returns:
        Its last component.
    """
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def public(value: Any, key: str = "") -> Any:
    """Settings fit for publishing: paths cut to their last component, secrets left out.

    Args:
        value: A setting, or a nest of lists and dictionaries of them.
        key: Name of the setting, by which secrets are known.

    Returns:
        The same nest, fit for publishing.
    """
    if isinstance(value, Mapping):
        return {str(k): public(v, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [public(v, key) for v in value]
    if not isinstance(value, str):
        return value
    if _SECRET_KEY.search(key) and value:
        return "(left out)"
    named = base_name(value) if key == "base_model" else cached_name(value, "datasets")
    return SECRET.sub("(left out)", named or last_component(value))


def command_line(command: list[str]) -> str:
    """A command as one line that can be read and typed again; the folders of absolute paths and secrets left out.

    Args:
        command: the program with its arguments, as `sys.argv` or `subprocess` has them.

    Returns:
        The line.
    """
    words, secret = [], False
    for word in command:
        name = word.split("=")[0]
        if secret:
            word = "(left out)"
        elif word.startswith("--") and "=" in word and _SECRET_KEY.search(name.lstrip("-")):
            word = f"{name}=(left out)"
        secret = word.startswith("--") and "=" not in word and bool(_SECRET_KEY.search(name.lstrip("-")))
        if re.match(r"(?:[A-Za-z]:)?[\\/]|~[\\/]|\w+://", word):
            own = re.search(r"[\\/](train[\\/][\w\\/.-]+\.(?:py|yaml))$", word)  # of this package: train/sft.py
            word = own[1] if own else last_component(word)
        words.append(_quoted(prose(word)))
    return " ".join(words)


def _quoted(word: str) -> str:
    """For a shell and for a code block: one line, in quotes where needed, and no comment of HTML."""
    word = " ".join("".join(c if c.isprintable() else " " for c in word).split()).replace("<!--", "<! --")
    if word and re.fullmatch(r"[\w@%+=:,./-]+", word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def prose(value: Any) -> Any:
    """Words, or a nest of them, fit for publishing: absolute paths lose their folders, secrets are left out.

    Args:
        value: A string, or a nest of lists and dictionaries of strings.

    Returns:
        The same nest, fit for publishing.
    """
    if isinstance(value, Mapping):
        return {str(k): prose(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [prose(v) for v in value]
    return _FOLDERS.sub("", SECRET.sub("(left out)", value)) if isinstance(value, str) else value


def text(value: Any) -> str:
    """One line of plain Markdown text that shows `value` as it was typed and does nothing else.

    Args:
        value: What to show.

    Returns:
        The line.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in prose(str(value))).split())
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", escape(line, quote=False))


def description(words: str) -> str:
    """The first line of prose of a card: what it says that the thing is.

    Args:
        words: Content of a card.

    Returns:
        The line, "" if there is none.
    """
    lines = (line.strip() for line in words.splitlines())
    return next((line for line in lines if line and line[0] not in "#|<!-`[>"), "")


def table(header: list[Any], rows: list[list[Any]]) -> list[str]:
    """Lines of a Markdown table; every cell is plain text.

    Args:
        header: Titles of the columns.
        rows: Cells of each row.

    Returns:
        The lines.
    """
    lines = ["| " + " | ".join(text(cell) for cell in header) + " |", "| --- " * len(header) + "|"]
    return lines + ["| " + " | ".join(text(cell) for cell in row) + " |" for row in rows]
