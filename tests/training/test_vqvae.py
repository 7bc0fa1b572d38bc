"""train/vqvae.py: what is refused before the folder is claimed, so that the same command with other settings runs."""

import pytest
import torch
import yaml
from tiny_data import dataset_folder, features

from modeling_unimo import MotionVQVAEModel
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


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"kmeans_latents": 20}, "kmeans_latents must be >= 24, the number of codes, got 20; raise it or"),
        ({"model": MODEL | {"codebook_size": 900}, "kmeans_latents": 900}, "the motions give [0-9]+ .* for 900 codes"),
        ({"max_steps": -1, "num_train_epochs": 1}, "autoencoder_fraction is a share of max_steps"),
    ],
)
def test_after_a_refusal_the_folder_is_free(data, tmp_path, settings, told):
    with pytest.raises(SystemExit, match=told):
        train(data, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_as_many_latents_as_codes_are_enough(data, tmp_path):
    """All that the motions give, of every later start: what is said before training is what k-means then finds."""
    found = sum((len(motion) - later) // 4 for motion in map(features, range(6)) for later in range(4))
    for codes, enough in ((found, True), (found + 1, False)):
        output = tmp_path / str(codes)
        settings = {"model": MODEL | {"codebook_size": codes}, "kmeans_latents": 1000}
        if enough:
            train(data, output, **settings)
        else:
            with pytest.raises(SystemExit, match=f"give {found} latent vectors, too few for {codes} codes"):
                train(data, output, **settings)
        assert (output / "model.safetensors").is_file() == enough


@pytest.mark.slow
def test_compiled_training_is_training(data, tmp_path):
    """Autoencoder, k-means and codes; the folder is that of any other run. What is compiled, no backend decides."""
    for compiled in (False, True):
        backend = {"torch_compile_backend": "aot_eager"} if compiled else {}
        train(data, tmp_path / str(compiled), torch_compile=compiled, **backend)
    plain, compiled = (MotionVQVAEModel.from_pretrained(tmp_path / name).state_dict() for name in ("False", "True"))
    assert plain.keys() == compiled.keys()
    torch.testing.assert_close(compiled, plain, atol=1e-3, rtol=1e-2)
