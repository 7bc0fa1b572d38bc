"""What a vision-language model is shown and asked, and how it replies: the same for a server and a local model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from datasets_scripts.thoughts.annotate.answers import clean_context

SYSTEM = (
    "You describe human body movement for people who cannot see it. You report only what the body does, as exactly as "
    "you can see it, and nothing that you cannot see."
)
_SHOWN = (
    "{count} pictures in order of time show one person moving, {rate:g} pictures per second, {seconds:.1f} seconds in "
    "all.{views} The person's left arm and left leg are blue, the right arm and right leg orange; left and right "
    "always mean the person's own."
)
_VIEWS = " Each picture shows the same moment from {count} sides: {names}."
_CONTEXT = (
    'For context, somebody summed the movement up like this: "{caption}" Check it against what you see; do not repeat '
    "its wording, and say nothing that stands only there."
)
_TASK = """\
Write down what the body does, as one paragraph of 30 to 80 words of plain English in the present tense.
- Begin with the pose at the start, then go through the movement in the order of time and say what follows what.
- Name the body parts that move, with their side: which hand, arm, knee or foot, the trunk, the head.
- Say in which direction, how far, how high, how fast and how many times, wherever it can be seen.
- End with the pose at the end.
- Speak of the movement alone: nothing about pictures, video, colours, surroundings, clothes or who the person is.
- No headings, lists, tags or quotation marks."""
_AGAIN = "Your last answer could not be used ({fault}). Answer again, and keep to every line above."


@dataclass(frozen=True)
class Prompt:
    """The two texts of a request."""

    system: str
    user: str


@dataclass(frozen=True)
class Film:
    """What the model sees: frames (N, H, W, 3) uint8 at `fps` frames per second, with the views side by side."""

    frames: np.ndarray
    fps: float
    views: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Time from the first to the last frame."""
        return (len(self.frames) - 1) / self.fps

    @cached_property
    def pngs(self) -> list[bytes]:
        """Each frame as a PNG file; made once for all captions of a clip."""
        from modeling_unimo.rendering_unimo import png_bytes

        return [png_bytes(frame) for frame in self.frames]


@dataclass(frozen=True)
class Reply:
    """The reply of a model.

    Attributes:
        text: as the model wrote it.
        cut_off: whether it ran into its length limit.
        prompt_tokens, completion_tokens: None if the server does not report them.
        requests: tries until the reply came.
        seconds: that it took.
        details: what else the server reported.
        refused: whether the server marks it as a refusal.
    """

    text: str
    cut_off: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    requests: int = 1
    seconds: float = 0.0
    details: dict[str, str] = field(default_factory=dict)
    refused: bool = False


class NoReply(Exception):
    """One request got no reply after all retries; others may get one."""


class RequestRefused(NoReply):
    """The server refuses this request (too long, against its rules), and might accept others."""


class ModelUnusable(Exception):
    """No request can succeed: a wrong key, an unknown model, a server that is gone."""


def make_prompt(film: Film, caption: str = "", fault: str = "") -> Prompt:
    """The prompt for one motion.

    Args:
        film: what is shown with it.
        caption: context; tags and control characters are taken out, and one that is blank is left out.
        fault: why the last answer to this prompt was refused, if there was one.

    Returns:
        The prompt.
    """
    views = _VIEWS.format(count=len(film.views), names=", ".join(film.views)) if len(film.views) > 1 else ""
    parts = [_SHOWN.format(count=len(film.frames), rate=film.fps, seconds=film.seconds, views=views)]
    context = clean_context(caption)
    if context:
        parts.append(_CONTEXT.format(caption=context))
    parts.append(_TASK)
    if fault:
        parts.append(_AGAIN.format(fault=fault))
    return Prompt(SYSTEM, "\n\n".join(parts))


def prompt_hash() -> str:
    """A hash of the prompt's wording, apart from what is filled in.

    Returns:
        A hash.
    """
    return hashlib.sha256("\0".join((SYSTEM, _SHOWN, _VIEWS, _CONTEXT, _TASK, _AGAIN)).encode()).hexdigest()[:16]
