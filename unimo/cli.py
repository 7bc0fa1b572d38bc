"""The console command: `unimo build ...` is `python -m datasets_scripts.build ...`, and so on.

Options are defined once, by each command's own parser; this module only knows which module answers to which name, and
imports it when it is called, so that `unimo --help` loads nothing else.
"""

import importlib
import sys

import typer

# Everything behind the name, `--help` included, belongs to the command's own parser.
_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

COMMANDS = {
    "generate": (
        "modeling_unimo.generate:generate",
        "Write a motion: unimo generate TEXT --model DIR --output FILE.",
    ),
    "describe": ("modeling_unimo.generate:describe", "Describe a motion file: unimo describe FILE --model DIR."),
    "continue": ("modeling_unimo.compose:continue_", "Let a motion go on: unimo continue FILE TEXT."),
    "edit": (
        "modeling_unimo.compose:edit",
        "Write one part of a motion anew: unimo edit FILE TEXT --start 2 --end 4.",
    ),
    "fill": ("modeling_unimo.compose:fill", "Join two motions by what happens between: unimo fill FILE FILE TEXT."),
    "timeline": (
        "modeling_unimo.compose:timeline",
        'One motion for several texts in a row: unimo timeline "a person walks forward:4" "a person sits down".',
    ),
    "convert-motion": ("unimo.convert_motion", "Write a motion file of one kind as another: convert-motion IN OUT."),
    "retarget": (
        "unimo.retarget",
        "Put a motion on your own character: retarget MOTION --rig CHARACTER --output FILE.",
    ),
    "app": ("unimo.app", "Try a model in the browser."),
    "build": ("datasets_scripts.build", "Make a dataset folder from motion files and captions."),
    "doctor": ("datasets_scripts.doctor", "Check a HumanML3D or KIT-ML folder."),
    "annotate": ("datasets_scripts.annotate", "Write a thought for every caption of a dataset."),
    "render": ("datasets_scripts.thoughts.render", "Render the motions of a dataset."),
    "look": ("datasets_scripts.thoughts.look", "Show thoughts beside their motions, claim by claim, on a page."),
    "serve": ("unimo.serving.command", "Answer over HTTP, frame by frame: unimo serve --model DIR."),
    "evaluate": ("evaluate_unimo.run", "Score a model by the field's protocol."),
    "score": ("evaluate_unimo.score", "Score any system's motions or captions from files."),
    "compare": ("evaluate_unimo.compare", "Compare evaluations by a paired bootstrap over clips."),
    "quickstart": ("train.quickstart", "Build data, train, evaluate and report a small model."),
    "ablate": ("train.ablate", "Run an ablation study with paired seeds."),
    "convert": (
        "modeling_unimo.convert_checkpoint",
        "Convert published checkpoints to Auto class folders.",
    ),
}
GROUPS = {
    "train": (
        "Train one stage (several processes: accelerate launch).",
        {
            "vqvae": ("train.vqvae", "Train the motion VQ-VAE."),
            "evaluator": ("train.evaluator", "Train the text-motion evaluator and the held-out one."),
            "sft": ("train.sft", "Supervised fine-tuning on chain-of-thought data."),
            "grpo": ("train.grpo", "Reinforcement learning on both tasks."),
            "self_train": ("train.self_train", "Learn from the best of a model's own answers, round after round."),
        },
    ),
    "publish": (
        "Publish on the Hugging Face Hub.",
        {
            "run": ("train.publish", "Publish the models of a run."),
            "dataset": ("datasets_scripts.publish", "Publish a dataset folder."),
            "results": ("evaluate_unimo.push", "Add results to a model's card."),
        },
    ),
}

app = typer.Typer(
    help="One language model that writes human motion from text and text from human motion.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


def _add(group: typer.Typer, prefix: str, name: str, module: str, text: str) -> None:
    @group.command(name, help=text, context_settings=_FORWARD)
    def forward(context: typer.Context) -> None:
        sys.argv[0] = f"{prefix} {name}"  # the name that the command's parser shows
        place, _, function = module.partition(":")
        code = getattr(importlib.import_module(place), function or "main")(context.args)
        raise typer.Exit(code or 0)


for _name, (_module, _text) in COMMANDS.items():
    _add(app, "unimo", _name, _module, _text)
for _group, (_text, _commands) in GROUPS.items():
    _typer = typer.Typer(help=_text, no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(_typer, name=_group)
    for _name, (_module, _help) in _commands.items():
        _add(_typer, f"unimo {_group}", _name, _module, _help)

if __name__ == "__main__":
    app()
