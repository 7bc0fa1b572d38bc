"""Text to motion: three motions for one text, saved as animation and as a page that plays them.

python examples/generate.py --model runs/quickstart/unimo --text "a person jumps twice." --output runs/jumps
"""

import argparse
from pathlib import Path

from transformers import AutoModel, AutoProcessor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/quickstart/unimo", help="folder or Hub name of a UniMo model")
    parser.add_argument("--text", default="a person walks forward, then waves with the right hand.")
    parser.add_argument("--output", type=Path, default=Path("runs/examples"), help="folder for the files")
    arguments = parser.parse_args()

    # The folder carries the code of the model: this package need not be installed.
    model = AutoModel.from_pretrained(arguments.model, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(arguments.model, trust_remote_code=True)

    arguments.output.mkdir(parents=True, exist_ok=True)
    motions = model.generate_motion([arguments.text], processor, num_samples=3, seed=0)
    for index, motion in enumerate(motions):
        motion.save(arguments.output / f"motion_{index}.bvh")
        motion.save(arguments.output / f"motion_{index}.html")
        print(f"{index}: {len(motion.joints) / motion.fps:.1f} s. {motion.thought}")
    print(f"wrote {2 * len(motions)} files to {arguments.output}")


if __name__ == "__main__":
    main()
