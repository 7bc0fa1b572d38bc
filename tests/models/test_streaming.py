"""Motion as it is written: the frames of the whole answer, as soon as they are certain."""

import numpy as np
import pytest
import torch
from tiny_unimo import feature_extractor, plain_processor, tiny_unimo

from modeling_unimo import MotionVQVAEConfig, MotionVQVAEModel, features_to_joints
from modeling_unimo.streaming_unimo import StreamDecoder

SHAPES = [
    {"architecture": "patch", "down_t": 1, "stride_t": 4, "depth": 3},
    {"architecture": "patch", "down_t": 2, "depth": 1},
    {"architecture": "patch", "down_t": 1, "stride_t": 4, "depth": 1, "patch_kernel": 4},
    {"architecture": "patch", "down_t": 1, "stride_t": 4, "depth": 3, "decoder_lookahead": 0},
    {"architecture": "patch", "down_t": 1, "stride_t": 4, "depth": 3, "decoder_lookahead": 1},
    {"architecture": "hierarchical", "depth": 3},
    {"architecture": "hierarchical", "depth": 2, "decoder_lookahead": 0},
    {"architecture": "hierarchical", "depth": 1, "norm": "LN"},
    {"architecture": "hierarchical", "depth": 2, "norm": "BN", "down_t": 3},
]


def codec(**shape) -> MotionVQVAEModel:
    torch.manual_seed(0)
    model = MotionVQVAEModel(MotionVQVAEConfig(**({"width": 32, "code_dim": 4, "codebook_size": 512} | shape))).eval()
    torch.nn.init.normal_(model.quantizer.codebook)
    return model.double()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_decoder_reaches_as_far_as_its_layers(shape):
    model = codec(**shape)
    before, after = model.decoder_reach
    place, unit, count = before + 2, model.config.downsample, before + after + 5
    codes = torch.randint(512, (1, count), generator=torch.Generator().manual_seed(1))
    seen = set()
    with torch.no_grad():
        plain = model.decode(codes)
        for changed in range(count):
            other = codes.clone()
            other[0, changed] = (codes[0, changed] + 100) % 512
            frames = slice(place * unit, (place + 1) * unit)
            if not torch.equal(model.decode(other)[:, frames], plain[:, frames]):
                seen.add(changed - place)
    assert seen == set(range(-before, after + 1))


@pytest.mark.parametrize(
    ("lookahead", "reach"),
    [(None, (15, 15)), (0, (28, 2)), (1, (27, 3)), (3, (27, 3)), (4, (24, 6)), (13, (15, 15)), (100, (15, 15))],
)
def test_a_decoder_waits_for_as_many_codes_as_it_may_look_ahead(lookahead, reach):
    shape = {"architecture": "patch", "down_t": 1, "stride_t": 4, "depth": 3}
    assert codec(**shape, decoder_lookahead=lookahead).decoder_reach == reach


@pytest.mark.parametrize("lookahead", [-1, 1.5, True, "1"])
def test_a_lookahead_is_a_number_of_steps(lookahead):
    with pytest.raises(ValueError, match="decoder_lookahead must be an integer >= 0, got"):
        MotionVQVAEConfig(decoder_lookahead=lookahead)


def test_a_norm_over_time_reaches_everywhere():
    assert codec(norm="GN").decoder_reach is None
    assert codec(norm="GN", architecture="patch").decoder_reach is None


@pytest.mark.parametrize("shape", [*SHAPES[:8], {"norm": "GN", "architecture": "patch"}])
def test_frames_come_as_soon_as_they_are_certain(shape):
    model, processor = codec(**shape).float(), plain_processor("qwen")
    codes = torch.randint(512, (45,), generator=torch.Generator().manual_seed(2)).tolist()
    whole_features = model.decode_motions([codes], feature_extractor())[0]
    decoder, parts = StreamDecoder(model, processor), []
    for count in range(1, 46):
        parts.append(decoder.advance(codes[:count], whole=False))
    after = 45 if model.decoder_reach is None else model.decoder_reach[1]
    assert sum(map(len, parts)) == 4 * max(0, 45 - after) and all(len(part) in (0, 4) for part in parts)
    parts.append(decoder.advance(codes, whole=True))
    np.testing.assert_allclose(decoder.features, whole_features, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(parts), features_to_joints(whole_features), atol=1e-4)


@pytest.mark.parametrize("options", [{"seed": 2}, {"seed": 3, "duration": 3.0}, {"seed": 4, "temperature": 1.0}])
def test_a_stream_is_the_motion(options):
    model, processor = tiny_unimo()
    whole = model.generate_motion(["a person jumps"], processor, **options)[0].joints
    parts = list(model.stream_motion("a person jumps", processor, **options))
    assert len(parts) > 2 and all(len(part) for part in parts)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_several_streams_are_each_its_own_motion():
    model, processor = tiny_unimo()
    texts, seeds, durations = ["a person jumps", "x", "a person jumps"], [5, 6, 7], [1.0, None, 2.0]
    joints = {row: [] for row in range(3)}
    thoughts, done = {}, []
    steps = list(model.stream_motions(texts, processor, durations, seeds))
    assert [] in steps  # while the model thinks
    for part in (part for parts in steps for part in parts):
        joints[part.request].append(part.joints)
        if part.thought is not None:
            assert part.request not in thoughts
            thoughts[part.request] = part.thought
        if part.done:
            done.append(part.request)
    assert sorted(done) == [0, 1, 2]
    for row in range(3):
        alone = model.generate_motion([texts[row]], processor, duration=durations[row], seed=seeds[row])[0]
        np.testing.assert_allclose(np.concatenate(joints[row]), alone.joints, atol=1e-5)
        assert thoughts[row] == alone.thought
    assert list(model.stream_motions([], processor)) == []


def test_a_stream_may_be_left():
    model, processor = tiny_unimo()
    stream = model.stream_motion("a person jumps", processor, seed=2)
    assert len(next(stream))
    stream.close()
    assert not any(module.training for module in model.modules())


def test_what_cannot_be_streamed_is_refused_at_once():
    model, processor = tiny_unimo()
    for text, options, message in (
        ("", {}, "not be blank"),
        (["a", "b"], {}, "got 2 texts"),
        ("a", {"duration": 20}, "0.2 to 9.8"),
        ("a", {"num_beams": 2}, "got num_beams"),
        ("a", {"seed": 1.5}, "seed must be an integer"),
        ("a", {"temperature": 0.0}, "temperature"),
    ):
        with pytest.raises(ValueError, match=message):
            model.stream_motion(text, processor, **options)
    with pytest.raises(ValueError, match="1 durations and 2 seeds for 2 texts"):
        model.stream_motions(["a", "b"], processor, [1.0], [1, 2])
