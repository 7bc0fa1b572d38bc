"""`unimo app`: a page on which a model writes motions for texts and describes motion files, by Gradio."""

from __future__ import annotations

import argparse
import html
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets_scripts.sources.reading import for_convert_motion
from modeling_unimo.blender_unimo import BlenderError
from modeling_unimo.command_line import command, exit_on_error
from modeling_unimo.export_unimo import SUFFIXES
from modeling_unimo.visualization_unimo import page_html, player_html
from unimo.motion_files import READ_SUFFIXES, read_motion_file

if TYPE_CHECKING:
    from modeling_unimo.generated_unimo import GeneratedMotion
    from modeling_unimo.modeling_unimo import UniMoForConditionalGeneration
    from modeling_unimo.processing_unimo import UniMoProcessor

EXAMPLES = (
    "a person walks forward and waves with the right hand",
    "a person jumps in place twice",
    "a person turns around and walks back",
)
MAX_SAMPLES = 4
MAX_CANDIDATES = 16
MAX_TEXT = 1000
"""Characters of a text; a page that takes any number would be brought down by one visitor."""

_UPLOAD = "64mb"
_KEEP_SECONDS = 3600
_VIEW_HEIGHT = 420
_WAITING = 64


class MotionApp:
    """What the page does: one model, and a folder for the files it offers for download.

    Args:
        model: the model.
        processor: its processor.
        folder: where files for download are written; those older than an hour are removed.
    """

    def __init__(self, model: UniMoForConditionalGeneration, processor: UniMoProcessor, folder: str | Path):
        self.model, self.processor, self.folder = model, processor, Path(folder)

    def generate(
        self, text: str, seconds: float, samples: float, candidates: float, seed: float | None, clean: bool
    ) -> tuple[str, str, list[GeneratedMotion]]:
        """A text's motions: the page that plays them side by side, their thoughts, and the motions themselves.

        Args:
            text: what the motion shows.
            seconds: its length; 0: the model decides.
            samples: motions side by side.
            candidates: answers of which the best are shown.
            seed: of the draws; None: another each time.
            clean: whether feet are held where they stand.

        Returns:
            HTML of the player, thoughts, and motions.
        """
        with _in_words():
            if len(text) > MAX_TEXT:
                raise ValueError(f"the text has {len(text)} characters; at most {MAX_TEXT} are taken")
            motions = self.model.generate_motion(
                [text],
                self.processor,
                duration=seconds or None,
                num_samples=int(samples),
                candidates=max(int(candidates), int(samples)) if candidates > 1 else 1,
                seed=None if seed is None else int(seed),
            )
            if clean:
                motions = [motion.cleaned() for motion in motions]
            labels = [f"{number}" for number in range(1, len(motions) + 1)] if len(motions) > 1 else [""]
            view = framed_player([motion.joints for motion in motions], labels, motions[0].fps)
            notes = [
                motion.thought if not label else f"{label}: {motion.thought}"
                for label, motion in zip(labels, motions, strict=True)
            ]
            notes += [
                f"{label} {motion.cleaning}".strip()
                for label, motion in zip(labels, motions, strict=True)
                if motion.cleaning
            ]
            return view, "\n\n".join(notes), motions

    def save(self, motions: Sequence[GeneratedMotion] | None, suffixes: Sequence[str]) -> list[str]:
        """Files of motions in the formats asked for.

        Args:
            motions: what `generate` wrote.
            suffixes: formats by their suffix.

        Returns:
            Paths of the files.
        """
        with _in_words():
            if not motions:
                raise ValueError("there is no motion yet; write one first")
            if not suffixes:
                raise ValueError("choose at least one format")
            folder = self._new_folder()
            paths = []
            for number, motion in enumerate(motions, start=1):
                for suffix in suffixes:
                    if suffix not in SUFFIXES:
                        raise ValueError(f"no format {suffix!r}; choose of {', '.join(SUFFIXES)}")
                    motion.save(folder / f"motion{number}{suffix}")
                    paths.append(str(folder / f"motion{number}{suffix}"))
            return paths

    def describe(self, path: str | None, seed: float | None) -> tuple[str, str, str]:
        """A motion file's page, thought and caption.

        Args:
            path: the file; None where none was chosen.
            seed: of the draws.

        Returns:
            HTML of the player, thought, and caption.
        """
        from modeling_unimo.motion_representation import features_to_joints

        with _in_words():
            if path is None:
                raise ValueError(f"choose a motion file: {', '.join(READ_SUFFIXES)}")
            extractor = self.processor.feature_extractor
            try:
                motion = read_motion_file(path)
                features = motion.features_for_model(extractor.feature_dim, extractor.fps)
            except ValueError as error:  # by the name that the visitor knows, not by where it was uploaded to
                raise ValueError(for_convert_motion(str(error).replace(str(path), Path(path).name))) from error
            for note in motion.notes:
                warnings.warn(for_convert_motion(note), UserWarning, stacklevel=2)
            longest = self.processor.max_motion_codes * extractor.unit_length
            features = features[:longest]
            answer = self.model.describe_motion([features], self.processor, seed=None if seed is None else int(seed))[
                0
            ]
            joints = np.asarray(features_to_joints(features))
            return framed_player([joints], [""], extractor.fps), answer.thought, answer.caption

    def _new_folder(self) -> Path:
        for old in self.folder.iterdir():
            if time.time() - old.stat().st_mtime > _KEEP_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        return folder


@contextmanager
def _in_words() -> Iterator[None]:
    """Shows errors of the input, and warnings, as sentences on the page."""
    import gradio

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
    except (ValueError, OSError, ImportError, BlenderError) as error:
        raise gradio.Error(html.escape(str(error), quote=False), print_exception=False) from error
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            gradio.Warning(html.escape(str(warning.message), quote=False))


def framed_player(joints: Sequence[np.ndarray], labels: Sequence[str], fps: float) -> str:
    """Motions in a frame of their own, in which the player's script runs and can reach nothing else.

    Args:
        joints: (T, 22, 3) metres of each motion.
        labels: one each.
        fps: frames per second.

    Returns:
        HTML of the frame.
    """
    tracks = [{"joints": clip, "label": label} for clip, label in zip(joints, labels, strict=True)]
    page = page_html(player_html(tracks, fps=fps, height=_VIEW_HEIGHT - 70), "motion", "body{margin:0}")
    return (
        f'<iframe sandbox="allow-scripts" title="motion" style="width:100%;height:{_VIEW_HEIGHT}px;border:0" '
        f'srcdoc="{html.escape(page, quote=True)}"></iframe>'
    )


def build_page(app: MotionApp) -> Any:
    """The page as Gradio Blocks.

    Args:
        app: what answers.

    Returns:
        `gradio.Blocks`, to be launched.

    Raises:
        ImportError: gradio is not installed.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise ImportError("the app needs Gradio: pip install 'unimo[app]'") from error

    longest = app.processor.max_motion_codes * app.processor.feature_extractor.unit_length
    seconds = longest / app.processor.feature_extractor.fps
    with gr.Blocks(title="UniMo", analytics_enabled=False, delete_cache=(_KEEP_SECONDS, _KEEP_SECONDS)) as page:
        gr.Markdown(
            "# UniMo\nMotion from text, and text from motion, by one language model that thinks in words first."
        )
        with gr.Tab("Text to motion"):
            text = gr.Textbox(label="Text", placeholder=EXAMPLES[0], lines=2, max_length=MAX_TEXT)
            gr.Examples([[example] for example in EXAMPLES], text)
            with gr.Row():
                duration = gr.Slider(0, seconds, 0, step=0.2, label="Seconds", info="0: the model decides")
                samples = gr.Slider(1, MAX_SAMPLES, 1, step=1, label="Motions", info="side by side")
                candidates = gr.Slider(
                    1, MAX_CANDIDATES, 1, step=1, label="Candidates", info="of which the best are shown"
                )
                seed = gr.Number(0, precision=0, label="Seed", info="the same one gives the same")
                clean = gr.Checkbox(False, label="Hold feet", info="where they stand")
            write = gr.Button("Write motion", variant="primary")
            view = gr.HTML(label="Motion")
            thought = gr.Textbox(label="Thought", lines=3, interactive=False)
            motions = gr.State(time_to_live=_KEEP_SECONDS)
            with gr.Row():
                formats = gr.CheckboxGroup(list(SUFFIXES), value=[".glb", ".bvh", ".npz"], label="Formats")
                save = gr.Button("Make files")
            files = gr.Files(label="Files", interactive=False)
            write.click(
                app.generate,
                [text, duration, samples, candidates, seed, clean],
                [view, thought, motions],
                api_name="generate",
            )
            save.click(app.save, [motions, formats], files, api_name="save")
        with gr.Tab("Motion to text"):
            upload = gr.File(label="Motion file", file_types=list(READ_SUFFIXES), type="filepath")
            read_seed = gr.Number(0, precision=0, label="Seed")
            read = gr.Button("Describe motion", variant="primary")
            caption = gr.Textbox(label="Caption", interactive=False)
            reason = gr.Textbox(label="Thought", lines=3, interactive=False)
            shown = gr.HTML(label="Motion")
            read.click(app.describe, [upload, read_seed], [shown, reason, caption], api_name="describe")
    return page.queue(max_size=_WAITING, default_concurrency_limit=1)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line.

    Args:
        argv: arguments; None takes those of the process.

    Returns:
        The options.
    """
    parser = argparse.ArgumentParser(description="Try a model in the browser.")
    parser.add_argument(
        "--model", help="folder or Hub name of a UniMo model; default: the small one that comes with the package"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0: all of this machine's")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on; default 7860")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Serves the page until it is interrupted; `SystemExit` says what is wrong with the input.

    Args:
        argv: Arguments; None takes those of the process.
    """
    from modeling_unimo.generate import load_model

    arguments = parse_arguments(argv)
    with exit_on_error(), tempfile.TemporaryDirectory(prefix="unimo-app-") as folder:
        model, processor = load_model(arguments.model)
        page = build_page(MotionApp(model, processor, folder))
        page.launch(
            server_name=arguments.host,
            server_port=arguments.port,
            max_file_size=_UPLOAD,
            allowed_paths=[folder],
            show_error=False,
            share=False,
        )


if __name__ == "__main__":
    main()
