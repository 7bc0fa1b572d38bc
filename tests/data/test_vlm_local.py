"""The local path with a tiny random Qwen2.5-VL: what it is shown, at which rate, and that its answers are read.

Runs in a process of its own: without a GPU there is only torchvision's CUDA build, whose import needs two operators
defined first, and a torchvision seen by transformers changes what it imports. `UNIMO_TORCHVISION` may name a folder
that holds torchvision (`pip install --no-deps --target FOLDER torchvision`).
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets_scripts.thoughts.annotate.vlm_local import LocalModel

TESTS = Path(__file__).parents[1]
FOLDER = os.environ.get("UNIMO_TORCHVISION", "")

SCRIPT = """
import json, sys
from pathlib import Path
tests, folder, place = sys.argv[1:4]
sys.path[:0] = [entry for entry in (folder, tests, str(Path(tests).parent)) if entry]
import importlib.util, torch
version = Path(importlib.util.find_spec("torchvision").origin).with_name("version.py").read_text()
if "+cu" in version and torch.version.cuda is None:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import numpy as np
import tiny_data
from chat_server import GOOD
from tiny_unimo import qwen_tokenizer
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers import AutoVideoProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

tokenizer = qwen_tokenizer()
own = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
tokenizer.add_special_tokens({"extra_special_tokens": own})
tokenizer.eos_token = "<|im_end|>"
template = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\\n{% for part in m['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\\n{% endif %}"
)
ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in
       ("vision_start", "vision_end", "image_pad", "video_pad", "im_end", "endoftext")}
torch.manual_seed(0)
config = Qwen2_5_VLConfig(
    text_config={
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        "eos_token_id": ids["im_end"], "bos_token_id": None, "pad_token_id": ids["endoftext"],
    },
    vision_config={
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
        "fullatt_block_indexes": [1], "window_size": 112, "patch_size": 14, "temporal_patch_size": 2,
    },
    image_token_id=ids["image_pad"], video_token_id=ids["video_pad"],
    vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"],
)
model = Qwen2_5_VLForConditionalGeneration(config)
# A trap: what a base saves must not leak into greedy answers.
model.generation_config.update(do_sample=True, temperature=1e-6, top_k=1, repetition_penalty=1.05,
                               eos_token_id=[ids["im_end"], ids["endoftext"]], pad_token_id=ids["endoftext"])
model.save_pretrained(place)
Qwen2_5_VLProcessor(
    Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), chat_template=template
).save_pretrained(place)

from datasets_scripts import annotate
from datasets_scripts.thoughts.annotate.vlm_annotator import VlmAnnotator, joints_of
from datasets_scripts.thoughts.annotate.vlm_local import LocalModel
from datasets_scripts.thoughts.annotate.vlm_prompt import make_prompt
from datasets_scripts.schema import Caption, Clip, write_dataset
from datasets_scripts.thoughts.records import read_records

local = LocalModel(place, max_tokens=8)
annotator = VlmAnnotator(local, size=56, views=("front", "side"), concurrency=1)
film = annotator.film(joints_of(tiny_data.features(3)))
prompt = make_prompt(film, "a person waves")
inputs = local.inputs(prompt, film)
grid = inputs["video_grid_thw"][0].tolist()
text = local._processor.tokenizer.decode(inputs["input_ids"][0])
first, again = local.ask(prompt, film), local.ask(prompt, film)
reached = {
    "frames": len(film.frames), "fps": film.fps, "grid": grid,
    "per_grid": [float(value) for value in inputs["second_per_grid_ts"]],
    "pads": int((inputs["input_ids"] == ids["video_pad"]).sum()),
    "prompt_in_text": prompt.user in text and prompt.system in text,
    "same": (first.text, first.completion_tokens) == (again.text, again.completion_tokens),
    "tokens": [first.prompt_tokens, first.completion_tokens], "length": inputs["input_ids"].shape[1],
    "cut_off": first.cut_off, "model": local.model, "kind": local.kind,
    "thoughts": annotator.annotate([tiny_data.features(3)] * 2, ["x", "y"]),
}
# The whole command, with a model that says something useful once the random one has really run.
data = Path(place).parent / "data"
write_dataset([Clip("a", tiny_data.features(3), [Caption("a person waves")])], data)
genuine = LocalModel._ask
def useful(self, prompt, film):
    from dataclasses import replace
    return replace(genuine(self, prompt, film), text=GOOD, cut_off=False)
LocalModel._ask = useful
out = Path(place).parent / "out"
reached["status"] = annotate.main(["--dataset", str(data), "--output", str(out), "--annotator", "vlm",
    "--model", place, "--size", "56", "--max_tokens", "8", "--quiet"])
record, = read_records(out)
reached["record"] = [record.thought == GOOD, record.annotator, record.model, record.version]
reached["leaks"] = [path.name for path in out.parent.rglob("*.json*")
    if path.parent.name != "model" and str(out.parent) in path.read_text()]
print(json.dumps(reached))
"""


@pytest.mark.slow
def test_a_tiny_random_model_sees_the_film_at_its_rate_and_answers(tmp_path) -> None:
    if not FOLDER and importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed (UNIMO_TORCHVISION may name a folder that holds it)")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(TESTS), FOLDER, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        timeout=500,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout.strip().splitlines()[-1])
    # Two frames a grid step, at 5 frames a second: 0.4 s a step. Taken for 24 a second it would be 0.083.
    assert made["fps"] == 5.0 and made["per_grid"] == pytest.approx([0.4])
    # Every frame is seen, none is sampled away: two to a step, the last one doubled where they are odd.
    assert made["grid"][0] == (made["frames"] + 1) // 2
    assert made["pads"] == made["grid"][0] * made["grid"][1] * made["grid"][2] // 4
    assert made["prompt_in_text"] and made["same"]
    assert made["tokens"][0] == made["length"] and 1 <= made["tokens"][1] <= 8
    assert made["model"] == "model" and made["kind"].startswith("folder ")
    # Random words are no thoughts.
    assert made["thoughts"] == ["", ""]
    assert made["status"] == 0 and made["record"][:3] == [True, "vlm", "model"]
    assert made["record"][3].startswith(f"{made['kind']}, source ")
    assert made["leaks"] == []
    assert "temperature" not in done.stderr and "top_k" not in done.stderr


def test_other_models_are_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no config.json"):
        LocalModel(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(ValueError, match="got 'qwen2'.*--server"):
        LocalModel(tmp_path)
    with pytest.raises(FileNotFoundError, match="cannot load a model from nobody/nothing"):
        LocalModel("nobody/nothing")


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_missing_torchvision_is_named(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    with pytest.raises(ImportError, match="pip install torchvision"):
        LocalModel(tmp_path)
