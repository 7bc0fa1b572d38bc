"""train/vqvae.py: what is refused before the folder is claimed, so that the same command with other settings runs."""

import pytest
import yaml
from tiny_data import dataset_folder

from train import vqvae

MODEL = {
    "architecture": "patch", "width": 16, "code_dim": 4, "down_t": 1, "stride_t": 4, "depth": 1, "codebook_size": 24,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset_folder(tmp_path_factory.mktemp("vqvae") / "data", train=6, validation=2)


def train(data, output, **settings):
    settings = {
        "dataset": str(data), "model": MODEL, "output_dir": str(output), "window": 16, "use_cpu": True,
        "per_device_train_batch_size": 2, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
        "remove_unused_columns": False, "max_steps": 4, "autoencoder_fraction": 0.5, "kmeans_latents": 40,
    } | settings  # fmt: skip
    config = output.with_name("vqvae.yaml")
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    vqvae.main(["--config", str(config)])


def test_fewer_latents_than_codes_are_refused(data, tmp_path):
    with pytest.raises(SystemExit, match="kmeans_latents is 20, too few for 24 codes; raise it"):
        train(data, tmp_path / "run", kmeans_latents=20)
    assert not (tmp_path / "run").exists()
    train(data, tmp_path / "run", kmeans_latents=24)
    assert (tmp_path / "run" / "model.safetensors").is_file()
