"""Published checkpoints to folders that load with their Auto class.

`python -m modeling_unimo.convert_checkpoint --kind vqvae --input vqvae.pth --output DIR`
`python -m modeling_unimo.convert_checkpoint --kind evaluator --input finest.tar --glove GLOVE_DIR --output DIR`
`python -m modeling_unimo.convert_checkpoint --kind unimo --input LM_DIR --vqvae VQVAE_DIR --output DIR`
"""

import argparse
from collections.abc import Callable

from .command_line import command, exit_on_error

_OPTIONS = {
    "vqvae": {"activation", "norm", "quantizer", "dilation_growth_rate", "mean", "std"},
    "evaluator": {"glove", "mean", "std"},
    "unimo": {"vqvae"},
}


@command
def main(argv: list[str] | None = None) -> None:
    """Runs the command; exits with an error where the input does not fill a model exactly.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(
        description="Convert published checkpoints to folders that load with Auto classes."
    )
    parser.add_argument("--kind", required=True, choices=("vqvae", "evaluator", "unimo"))
    parser.add_argument("--input", required=True, help="checkpoint file; for unimo: folder of the language model")
    parser.add_argument("--output", required=True, help="folder to make")
    parser.add_argument("--activation", default="relu", choices=("relu", "silu", "gelu"), help="vqvae")
    parser.add_argument("--norm", default="none", choices=("none", "LN", "GN", "BN"), help="vqvae")
    parser.add_argument("--quantizer", choices=("ema_reset", "ema", "reset", "orig"), help="vqvae; read from the keys")
    parser.add_argument("--dilation_growth_rate", type=int, default=3, help="vqvae")
    parser.add_argument("--glove", help="evaluator: folder with our_vab_data.npy, our_vab_words.pkl, our_vab_idx.pkl")
    parser.add_argument("--mean", help="vqvae, evaluator: mean.npy of its own statistics")
    parser.add_argument("--std", help="vqvae, evaluator: std.npy of its own statistics")
    parser.add_argument("--vqvae", help="unimo: folder of the motion VQ-VAE")
    arguments = parser.parse_args(argv)
    for name in vars(arguments).keys() - {"kind", "input", "output"} - _OPTIONS[arguments.kind]:
        if getattr(arguments, name) != parser.get_default(name):
            parser.error(f"--{name} does not belong to --kind {arguments.kind}")
    if arguments.kind == "evaluator" and arguments.glove is None:
        parser.error("--kind evaluator needs --glove, the folder of its word vectors")
    if arguments.kind == "unimo" and arguments.vqvae is None:
        parser.error("--kind unimo needs --vqvae, the folder of the motion VQ-VAE")
    with exit_on_error():
        print(_convert(arguments))
    print(f"wrote {arguments.output}")


def _convert(arguments: argparse.Namespace) -> object:
    from . import checkpoint_conversion as conversion

    converters: dict[str, Callable[..., object]] = {
        "vqvae": conversion.convert_vqvae,
        "evaluator": conversion.convert_evaluator,
        "unimo": conversion.convert_unimo,
    }
    options = {name: getattr(arguments, name) for name in _OPTIONS[arguments.kind]}
    try:
        return converters[arguments.kind](arguments.input, output=arguments.output, **options)
    except conversion.ConversionError as error:
        print(error.report)
        raise


if __name__ == "__main__":
    main()
