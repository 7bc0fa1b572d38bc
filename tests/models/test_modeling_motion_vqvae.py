"""Motion VQ-VAE: published numbers, batch invariance, quantisers, codebook, saving, refusals."""

import json

import numpy as np
import pytest
import torch
from forked import forked_ranks

from modeling_unimo.checkpoint_conversion import _vqvae_key, vqvae_from_weights
from modeling_unimo.configuration_unimo import MotionVQVAEConfig
from modeling_unimo.feature_extraction_unimo import MotionFeatureExtractor
from modeling_unimo.modeling_motion_vqvae import MotionVQVAEModel
from modeling_unimo.vector_quantizer import VectorQuantizer, kmeans

DIM = 35
PUBLISHED = {
    "vqvae_relu": ("relu", "none"),
    "vqvae_kit_gelu_gn": ("gelu", "GN"),
    "vqvae_silu_ln": ("silu", "LN"),
    "vqvae_bn": ("relu", "BN"),
}


def tiny(**values):
    settings = {"feature_dim": DIM, "width": 32, "code_dim": 16, "codebook_size": 16, **values}
    torch.manual_seed(0)
    return MotionVQVAEModel(MotionVQVAEConfig(**settings))


def published(arrays, name):
    weights = {key[3:]: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("sd/")}
    return vqvae_from_weights({"net": weights}, name, *PUBLISHED[name])[0]


def mask_of(lengths, size):
    return (torch.arange(size) < torch.tensor(lengths)[:, None]).long()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_network(name, golden, agrees):
    arrays = golden(name)
    model = published(arrays, name).eval()
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        latents = model.encoder(x.transpose(1, 2), None)
        codes = model.encode(x).codes
        output = model(x)
        everything = model.decode(codes)
        odd = model.encode(torch.from_numpy(arrays["x_odd"])).codes
    agrees(name, latents, arrays["encoder_out"], 1e-4)
    assert np.array_equal(codes, arrays["ids"]) and np.array_equal(odd, arrays["ids_odd"])
    assert np.array_equal(output.codes, arrays["ids"])
    agrees(name, everything[:1], arrays["decode_ids0"], 1e-4)
    agrees(name, everything, arrays["embeddings_decode"], 1e-4)
    agrees(name, model.quantizer.lookup(codes).transpose(1, 2), arrays["embeddings"], 1e-4)
    agrees(name, output.reconstruction, arrays["forward_out"], 1e-4)
    agrees(name, output.commitment_loss, arrays["commit"], 1e-4)
    agrees(name, output.perplexity, arrays["perplexity"], 1e-4)
    for kind in ("l1", "l2", "l1_smooth"):
        model.config.reconstruction_loss = kind
        losses = model(x)
        agrees(name, losses.reconstruction_loss, arrays[f"loss/{kind}/recons"], 1e-4)
        agrees(name, losses.position_loss, arrays[f"loss/{kind}/vel"], 1e-4)


def test_published_training_step(golden, agrees):
    name, arrays = "vqvae_relu", golden("vqvae_relu")
    model = published(arrays, name).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, betas=(0.9, 0.99), weight_decay=0.0)
    output = model(torch.from_numpy(arrays["x"]))
    output.loss.backward()
    agrees(name, output.loss, arrays["train/loss"], 1e-4)
    agrees(name, output.commitment_loss, arrays["train/commit"], 1e-4)
    agrees(name, output.perplexity, arrays["train/perplexity"], 1e-4)
    parameters = dict(model.named_parameters())
    for key in arrays:
        if key.startswith("train/grad/"):
            target = _vqvae_key(key.removeprefix("train/grad/vqvae."), model.config)
            agrees(name, parameters[target].grad, arrays[key], 1e-4)
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    agrees(name, norm, arrays["train/grad_norm_all"], 1e-4)
    optimizer.step()
    agrees(name, model.quantizer.codebook, arrays["train/codebook_after"], 1e-4)
    agrees(name, model.quantizer.code_sum, arrays["train/code_sum_after"], 1e-4)
    agrees(name, model.quantizer.code_count, arrays["train/code_count_after"], 1e-4)
    agrees(name, model.encoder.output.bias, arrays["train/param_after/vqvae.encoder.model.4.bias"], 1e-4)


def test_published_ema_reset_from_scratch(golden, agrees):
    name, arrays = "quantizer_ema_reset", golden("quantizer_ema_reset")
    quantizer = VectorQuantizer(MotionVQVAEConfig(codebook_size=16, code_dim=32)).train()
    for step in range(3):
        x = torch.from_numpy(arrays[f"step{step}/x"])
        out, codes, commitment, perplexity = quantizer(x.transpose(1, 2).reshape(-1, 32))
        agrees(name, out.view(2, 24, 32).transpose(1, 2), arrays[f"step{step}/out"], 1e-4)
        agrees(name, commitment, arrays[f"step{step}/commit"], 1e-4)
        agrees(name, perplexity, arrays[f"step{step}/perplexity"], 1e-4)
        for buffer in ("codebook", "code_sum", "code_count"):
            agrees(name, getattr(quantizer, buffer), arrays[f"step{step}/{buffer}"], 1e-4)
        # The first forward counts as no update of its own in the file: dead codes are those below one use.
        if step:
            assert int((quantizer.code_count < 1).sum()) == int(arrays[f"step{step}/n_dead"])
    quantizer.eval()
    out, codes, commitment, perplexity = quantizer(torch.from_numpy(arrays["eval/x"]).transpose(1, 2).reshape(-1, 32))
    assert np.array_equal(codes, arrays["eval/ids"])
    agrees(name, commitment, arrays["eval/commit"], 1e-4)
    agrees(name, quantizer.code_count, arrays["eval/code_count"], 1e-4)


def fill_value(index, name, shape, seed):
    g = np.random.RandomState(seed + index).standard_normal(shape)
    if name.endswith("codebook"):
        g = 0.5 * g
    elif len(shape) == 1:
        g = 1 + 0.1 * g if name.endswith("weight") else 0.05 * g
    else:
        g = g / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(g.astype(np.float32))


def test_published_full_size(golden, agrees):
    name, arrays = "vqvae_fullsize", golden("vqvae_fullsize")
    keys = json.loads(str(arrays["keys"]))
    state = {key: fill_value(k, key, keys[key], 5000) for k, key in enumerate(sorted(keys))}
    model = vqvae_from_weights(state, name)[0].eval()
    assert model.config.to_diff_dict() == MotionVQVAEConfig().to_diff_dict()
    assert sum(p.numel() for p in model.parameters()) == int(arrays["n_params"])
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        agrees(name, model.encoder(x.transpose(1, 2), None), arrays["encoder_out"], 1e-4)
        assert np.array_equal(model.encode(x).codes, arrays["ids"])
        agrees(name, model.decode(torch.from_numpy(arrays["code_ids"])[None]), arrays["decode"], 1e-4)


VARIANTS = [
    {"architecture": architecture, "norm": norm, "activation": activation, "patch_kernel": kernel}
    for architecture, kernel in (("hierarchical", None), ("patch", None), ("patch", 4))
    for norm, activation in (("none", "relu"), ("LN", "silu"), ("GN", "gelu"), ("BN", "relu"))
]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("values", VARIANTS, ids=lambda v: "-".join(str(x) for x in v.values()))
def test_a_batch_changes_nothing(values, dtype):
    model = tiny(**{**values, "width": 64}).to(dtype)
    model.train()(torch.randn(8, 64, DIM, dtype=dtype))  # places the codes, moves the running statistics
    model.eval()
    lengths = [49, 20, 33, 8, 51, 50, 4, 7]
    motion = torch.randn(len(lengths), 53, DIM, dtype=dtype)  # garbage behind the ends, as well as padding
    mask = mask_of(lengths, 53)
    with torch.no_grad():
        encoded = model.encode(motion, mask)
        decoded = model.decode(encoded.codes, encoded.attention_mask)
        output = model(motion, mask)
        loss = 0.0
        for row, length in enumerate(lengths):
            alone = motion[row : row + 1, :length]
            steps, frames = length // 4, length // 4 * 4
            codes = model.encode(alone).codes
            assert codes.shape == (1, steps)
            assert torch.equal(codes[0], encoded.codes[row, :steps])
            assert not encoded.codes[row, steps:].any() and encoded.attention_mask[row].sum() == steps
            # Group statistics over two channels of one step divide by next to nothing: rounding is magnified.
            single_precision, double_precision = (1e-3, 1e-9) if values["norm"] == "GN" else (1e-5, 1e-13)
            atol = single_precision if dtype == torch.float32 else double_precision
            scale = max(1.0, decoded.abs().max().item())
            torch.testing.assert_close(model.decode(codes)[0], decoded[row, :frames], rtol=0, atol=atol * scale)
            single = model(alone)
            torch.testing.assert_close(
                single.reconstruction[0], output.reconstruction[row, :frames], rtol=0, atol=atol * scale
            )
            assert not decoded[row, frames:].any() and not output.reconstruction[row, frames:].any()
            loss += float(single.reconstruction_loss) * frames
    assert output.reconstruction_loss == pytest.approx(loss / sum(n // 4 * 4 for n in lengths), rel=1e-5)


def placed(**values):
    """A tiny model whose codes lie where latents are, and a feature extractor of its size."""
    model = tiny(**values)
    model.initialize_codebook(torch.randn(64, 16))
    return model, MotionFeatureExtractor(feature_dim=DIM, mean=[0.1] * DIM, std=[0.5] * DIM)


def test_raw_motions_go_to_codes_and_back_in_any_batch():
    model, extractor = placed()
    random = np.random.default_rng(0)
    motions = [random.normal(size=(frames, DIM)).astype(np.float32) for frames in (9, 40, 4, 23, 40)]
    codes = model.encode_motions(motions, extractor, batch_size=2)
    assert [len(row) for row in codes] == [2, 10, 1, 5, 10]
    alone = [model.encode_motions([motion], extractor)[0] for motion in motions]
    assert all(np.array_equal(*pair) for pair in zip(codes, alone, strict=True))
    decoded = model.decode_motions([row.tolist() for row in codes], extractor, batch_size=2)
    for motion, row in zip(decoded, codes, strict=True):
        assert motion.dtype == np.float32
        plain = model.eval().decode(torch.from_numpy(row)[None]).detach()
        np.testing.assert_allclose(motion, extractor.denormalize(plain)[0], atol=1e-5)
    assert model.encode_motions([], extractor) == model.decode_motions([], extractor) == []


def test_raw_motions_leave_a_training_model_as_it_was():
    model, extractor = placed(norm="BN")
    motions = [np.ones((12, DIM), np.float32)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    codes = model.encode_motions(motions, extractor)
    model.decode_motions(codes, extractor)
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert np.array_equal(codes[0], model.eval().encode_motions(motions, extractor)[0])


@pytest.mark.parametrize(
    ("codes", "message"),
    [([[1], []], "motion 1 has no codes"), ([[1], [16, 2]], "code 16 is not"), ([[-1]], "code -1 is not")],
)
def test_codes_of_no_motion_are_refused(codes, message):
    model, extractor = placed()
    with pytest.raises(ValueError, match=message):
        model.decode_motions(codes, extractor)


@pytest.mark.parametrize("norm", ["BN", "GN"])
def test_training_statistics_leave_padding_out(norm):
    """A padded clip trains like the bare one: loss, gradients, running statistics and codebook."""
    results = []
    motion = torch.randn(2, 32, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for padded in (False, True):
        model = tiny(norm=norm, trajectory_weight=0.1, velocity_weight=0.3, root_weight=0.2).double().train()
        extra = torch.full((2, 16 if padded else 0, DIM), 9.0, dtype=torch.float64)
        mask = mask_of([32, 32], 48) if padded else None
        for _ in range(2):
            output = model(torch.cat((motion, extra), dim=1), mask)
        output.loss.backward()
        results.append((output.loss.detach(), model.encoder.input.weight.grad, model.state_dict()))
    (loss, gradient, state), (padded_loss, padded_gradient, padded_state) = results
    torch.testing.assert_close(loss, padded_loss)
    torch.testing.assert_close(gradient, padded_gradient, rtol=1e-6, atol=1e-9)
    for key, value in state.items():
        torch.testing.assert_close(value, padded_state[key], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("architecture", ["hierarchical", "patch"])
@pytest.mark.parametrize("quantizer", ["ema_reset", "ema", "reset", "orig"])
def test_every_quantiser_learns_and_resumes_exactly(quantizer, architecture, tmp_path):
    batches = torch.randn(5, 8, 32, DIM, generator=torch.Generator().manual_seed(0))

    def train(model, batches):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        losses = []
        for batch in batches:
            optimizer.zero_grad()
            output = model(batch)
            output.loss.backward()
            optimizer.step()
            losses.append(output.reconstruction_loss.item())
        return losses

    model = tiny(quantizer=quantizer, architecture=architecture).train()
    before = model.quantizer.codebook.detach().clone()
    train(model, batches[:3])
    assert not torch.equal(before, model.quantizer.codebook)
    model.save_pretrained(tmp_path)
    resumed = MotionVQVAEModel.from_pretrained(tmp_path).train()
    assert train(model, batches[3:]) == train(resumed, batches[3:])
    for key, value in model.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


def test_a_dead_code_takes_the_row_of_its_number():
    quantizer = VectorQuantizer(MotionVQVAEConfig(codebook_size=4, code_dim=2, quantizer="ema_reset")).train()
    quantizer.place(torch.tensor([[0.0, 0.0], [1.0, 1.0], [50.0, 50.0], [60.0, 60.0]]))
    latents = torch.tensor([[0.0, 0.1], [1.0, 0.9], [0.1, 0.0], [0.9, 1.0], [0.0, 0.0], [1.0, 1.0]])
    quantizer(latents)
    assert torch.equal(quantizer.codebook[2:], latents[2:4])
    assert (quantizer.code_count[:2] > 1).all() and (quantizer.code_count[2:] < 1).all()


def test_too_few_latents_are_repeated_with_a_little_noise():
    quantizer = VectorQuantizer(MotionVQVAEConfig(codebook_size=8, code_dim=16)).train()
    latents = torch.randn(3, 16)
    quantizer(latents)
    placed = quantizer._tiled(latents)
    assert placed.shape == (8, 16)
    distance = torch.cdist(placed, latents).min(dim=1).values
    assert (distance > 0).any() and (distance < 0.1).all()


def test_averages_that_die_leave_the_code_where_it_is():
    quantizer = VectorQuantizer(MotionVQVAEConfig(codebook_size=2, code_dim=2, quantizer="ema", ema_decay=0.1)).train()
    quantizer.place(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    for _ in range(80):
        quantizer(torch.zeros(4, 2))
    torch.testing.assert_close(quantizer.codebook[1], torch.tensor([9.0, 9.0]))


def test_kmeans_finds_clusters_and_reseeds_empty_ones():
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(12, 4, generator=generator) * 10
    points = (true[:, None] + 0.1 * torch.randn(12, 50, 4, generator=generator)).flatten(0, 1)
    centres, counts = kmeans(points, 12)
    assert torch.cdist(true, centres).min(dim=1).values.max() < 0.1
    assert counts.tolist() == [50] * 12
    again, _ = kmeans(points, 12)
    assert torch.equal(centres, again)
    repeated = torch.zeros(20, 3)
    centres, counts = kmeans(repeated, 4)
    assert torch.isfinite(centres).all() and counts.sum() == 20


@pytest.mark.parametrize("architecture", ["hierarchical", "patch"])
def test_codes_are_placed_after_autoencoding(architecture):
    model = tiny(architecture=architecture, reset_threshold=0.05).train()
    motion, mask = torch.randn(16, 64, DIM), mask_of([64, 40] * 8, 64)
    output = model(motion, mask, quantize=False)
    assert output.codes is None and output.commitment_loss is None and output.perplexity is None
    output.loss.backward()
    assert not model.quantizer.initialized
    latents = model.encoder_latents(motion, mask)
    assert latents.shape == (16 * 13, 16)
    model.initialize_codebook(latents)
    assert model.quantizer.initialized
    placed = model.quantizer.codebook.clone()
    first = model(motion, mask)
    assert first.perplexity > 8
    # Nothing placed is thrown away by the first batches.
    assert torch.cdist(placed, model.quantizer.codebook).diag().max() < 0.5
    model.initialize_codebook(latents.repeat(20, 1), seed=1)


def test_codebook_needs_enough_latents():
    with pytest.raises(ValueError, match="at least 16"):
        tiny().initialize_codebook(torch.randn(15, 16))
    with pytest.raises(ValueError, match="16 codes"):
        tiny().initialize_codebook(torch.randn(99, 3))


def test_autocast_keeps_the_codebook_in_full_precision():
    model = tiny().train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(torch.randn(4, 32, DIM))
    output.loss.backward()
    assert output.commitment_loss.dtype == torch.float32 and model.quantizer.codebook.dtype == torch.float32
    half = tiny().eval().to(torch.bfloat16)
    half.quantizer.codebook.normal_()
    codes = half.encode(torch.randn(2, 32, DIM, dtype=torch.bfloat16)).codes
    assert half.decode(codes).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(torch.zeros(1, 32, 3)), "must have shape"),
        (lambda m: m.encode(torch.zeros(32, DIM)), "must have shape"),
        (lambda m: m.encode(torch.zeros(1, 3, DIM)), "3 frames is too short"),
        (lambda m: m.encode(torch.zeros(2, 8, DIM), mask_of([8, 2], 8)), "2 frames is too short"),
        (lambda m: m.encode(torch.zeros(2, 8, DIM), torch.ones(2, 9)), "attention_mask has shape"),
        (lambda m: m.encode(torch.zeros(1, 8, DIM), torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1]])), "on the right"),
        (lambda m: m.decode(torch.tensor([[0, 16]])), "code 16 is not"),
        (lambda m: m.decode(torch.tensor([[-1, 3]])), "code -1 is not"),
        (lambda m: m.decode(torch.zeros(1, 0, dtype=torch.long)), "at least one code"),
        (lambda m: m.decode(torch.zeros(4, dtype=torch.long)), "must have shape"),
        (lambda m: m.decode(torch.zeros(1, 4)), "whole numbers"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny().eval())


def test_masked_codes_may_hold_anything():
    model = tiny().eval()
    codes, mask = torch.tensor([[1, 2, 999, -5]]), torch.tensor([[1, 1, 0, 0]])
    torch.testing.assert_close(model.decode(codes, mask)[:, :8], model.decode(codes[:, :2]))


def _train_on_rank(folder):
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    model = torch.nn.parallel.DistributedDataParallel(tiny().train(), broadcast_buffers=False)
    generator = torch.Generator().manual_seed(rank)  # every process sees data of its own
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        model(torch.randn(2, 16, DIM, generator=generator)).loss.backward()
        optimizer.step()
    torch.save(model.module.state_dict(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_all_processes_end_with_one_codebook(tmp_path):
    ranks = forked_ranks(2, tmp_path / "log", _train_on_rank, str(tmp_path))
    assert [rank.wait(120) for rank in ranks] == [0, 0], (tmp_path / "log").read_text()
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["quantizer.codebook"].any()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
