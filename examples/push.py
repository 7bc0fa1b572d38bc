"""Push a model to the Hugging Face Hub, and load it back by the revision that was written.

hf auth login
python examples/push.py --model runs/quickstart/unimo --repo you/unimo-small
"""

import argparse

from transformers import AutoModel, AutoProcessor

from train.publish import publish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/quickstart/unimo", help="folder of a UniMo model")
    parser.add_argument("--repo", required=True, help="owner/name, or a name under your own account")
    parser.add_argument("--private", action="store_true")
    arguments = parser.parse_args()

    # One commit: weights, code, processor and the card. What only resumes training, or names this machine, stays here.
    pushed = publish(arguments.model, arguments.repo, private=arguments.private)
    print(f"pushed {pushed.repo} at {pushed.revision}")

    model = AutoModel.from_pretrained(pushed.repo, revision=pushed.revision, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(pushed.repo, revision=pushed.revision, trust_remote_code=True)
    motion = model.generate_motion(["a person waves."], processor, seed=0)[0]
    print(f"loaded it back: {len(motion.joints)} frames for {motion.text!r}")


if __name__ == "__main__":
    main()
