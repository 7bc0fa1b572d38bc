"""Motion to text: describe a BVH file, in windows of at most 9.8 seconds.

python examples/caption_bvh.py walk.bvh --model runs/quickstart/unimo
"""

import argparse

from transformers import AutoModel, AutoProcessor

from datasets_scripts import bvh


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="BVH file of any hierarchy, unit and frame rate")
    parser.add_argument("--model", default="runs/quickstart/unimo", help="folder or Hub name of a UniMo model")
    arguments = parser.parse_args()

    model = AutoModel.from_pretrained(arguments.model, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(arguments.model, trust_remote_code=True)

    features = bvh.bvh_to_features(arguments.file)  # (frames, 263) at 20 frames per second
    fps = processor.feature_extractor.fps
    longest = processor.max_motion_codes * processor.feature_extractor.unit_length
    starts = [start for start in range(0, len(features), longest) if len(features) - start >= fps]
    windows = [features[start : start + longest] for start in starts or [0]]
    for start, description in zip(starts or [0], model.describe_motion(windows, processor, seed=0), strict=True):
        print(f"{start / fps:6.1f} s  {description.caption}")


if __name__ == "__main__":
    main()
