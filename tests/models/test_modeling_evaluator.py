"""Text-motion evaluator: published numbers, vectoriser, order and batch invariance, both objectives, refusals."""

import json

import numpy as np
import pytest
import torch

from modeling_unimo.checkpoint_conversion import evaluator_from_weights
from modeling_unimo.configuration_unimo import TextMotionEvaluatorConfig
from modeling_unimo.modeling_evaluator import POS_CLASSES, TextMotionEvaluatorModel

DIM = 35
WORDS = ["sos", "eos", "unk", "a", "person", "walk", "jump", "slowly", "left"]
ENCODERS = ("movement_encoder", "text_encoder", "motion_encoder")
CAPTIONS = [
    ["a/DET", "person/NOUN", "walk/VERB"],
    ["jump/VERB"],
    [],
    ["a/DET", "person/NOUN", "jump/VERB", "slowly/ADV"] * 6,
    ["unheard/NOUN", "of/ADP"],
]


def tiny(**values):
    settings = {
        "feature_dim": DIM,
        "movement_hidden_size": 16,
        "movement_latent_size": 16,
        "text_hidden_size": 16,
        "motion_hidden_size": 16,
        "embedding_size": 8,
        "word_embedding_size": 12,
        "vocabulary": WORDS,
        **values,
    }
    torch.manual_seed(0)
    model = TextMotionEvaluatorModel(TextMotionEvaluatorConfig(**settings)).eval()
    model.set_statistics(np.full(DIM, 0.1), np.full(DIM, 2.0))
    return model


def clips(lengths, dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, DIM, generator=generator, dtype=dtype) for length in lengths]


def padded(motions, fill=0.0):
    return torch.nn.utils.rnn.pad_sequence(motions, batch_first=True, padding_value=fill)


def inputs_of(arrays):
    text = [torch.from_numpy(arrays[key]).float() for key in ("word_embs", "pos_ohot")]
    return (*text, torch.from_numpy(arrays["cap_lens"])), (
        torch.from_numpy(arrays["motions"]).float(),
        torch.from_numpy(arrays["m_lens"]),
    )


def test_published_small_network(golden, agrees):
    name, arrays = "evaluator_small", golden("evaluator_small")
    weights = {
        part: {
            k.removeprefix(f"sd/{part}/"): torch.from_numpy(v)
            for k, v in arrays.items()
            if k.startswith(f"sd/{part}/")
        }
        for part in ENCODERS
    }
    model = evaluator_from_weights(weights, name, WORDS, np.zeros((len(WORDS), 300), np.float32))[0].eval()
    text, motion = inputs_of(arrays)
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    with torch.no_grad():
        agrees(name, model.encode_text(*text), arrays["text_embedding"], 1e-4)
        agrees(name, model.encode_motion(*motion), arrays["motion_embedding"], 1e-4)
        agrees(name, model.encode_text(*(x[order] for x in text)), arrays["text_embedding"][order], 1e-4)
        agrees(name, model.encode_motion(*(x[order] for x in motion)), arrays["motion_embedding"][order], 1e-4)
        movements = model.movement_encoder(motion[0][..., :-4], motion[1])
        for row, length in enumerate(arrays["m_lens"] // 4):
            agrees(name, movements[row, :length], arrays["movements"][row, :length], 1e-4)
        # Each alone and cut to its own length is what the published code makes of it in its buffer of 196 frames.
        for row, length in enumerate(arrays["m_lens"]):
            alone = model.encode_motion(motion[0][row : row + 1, :length], motion[1][row : row + 1])
            agrees(name, alone[0], arrays["motion_embedding"][row], 1e-4)


def test_published_full_size(golden, agrees):
    name, arrays = "evaluator_fullsize", golden("evaluator_fullsize")
    weights = {}
    for (part, keys), seed in zip(json.loads(str(arrays["keys"])).items(), (6000, 6100, 6200), strict=True):
        weights[part] = {}
        for k, key in enumerate(sorted(keys)):
            g = np.random.RandomState(seed + k).standard_normal(keys[key])
            if len(keys[key]) == 1:
                g = 1 + 0.1 * g if key.endswith("weight") else 0.05 * g
            else:
                g = g / np.sqrt(np.prod(keys[key][1:]))
            weights[part][key] = torch.from_numpy(g.astype(np.float32))
    model = evaluator_from_weights(weights, name, WORDS, np.zeros((len(WORDS), 300), np.float32))[0].eval()
    published = TextMotionEvaluatorConfig(vocabulary=WORDS)
    assert model.config.to_diff_dict() == published.to_diff_dict()
    text, motion = inputs_of(golden("evaluator_small"))
    with torch.no_grad():
        agrees(name, model.encode_text(*text), arrays["text_embedding"], 1e-4)
        agrees(name, model.encode_motion(*motion), arrays["motion_embedding"], 1e-4)


def test_published_vectoriser(golden, agrees):
    name, arrays = "word_vectorizer", golden("word_vectorizer")
    words = json.loads(str(arrays["words"]))
    assert json.loads(str(arrays["pos_enum"])) == {pos: index for index, pos in enumerate(POS_CLASSES)}
    model = tiny(vocabulary=words, word_embedding_size=300)
    model.word_vectors.copy_(torch.from_numpy(arrays["vectors"]))
    batch = model.vectorize(json.loads(str(arrays["captions_tokens"])))
    agrees(name, model.word_vectors[batch["word_ids"]], arrays["word_embeddings"], 0)
    agrees(name, torch.nn.functional.one_hot(batch["pos_ids"], 15), arrays["pos_one_hots"], 0)
    assert np.array_equal(batch["text_lengths"], arrays["sent_lens"])
    probe = model.vectorize([[token] for token in json.loads(str(arrays["probe"]))])
    agrees(name, model.word_vectors[probe["word_ids"][:, 1]], arrays["probe_vec"], 0)
    agrees(name, torch.nn.functional.one_hot(probe["pos_ids"][:, 1], 15), arrays["probe_pos"], 0)


def test_vectoriser_by_hand():
    model = tiny()
    batch = model.vectorize([["a/DET", "walk/VERB", "left/ADJ", "what/PRON", "a/b/DET"]])
    assert batch["word_ids"].shape == (1, 22)
    assert batch["word_ids"][0, :8].tolist() == [0, 3, 5, 8, 2, 2, 1, 2]
    named = [POS_CLASSES[i] for i in batch["pos_ids"][0, :8]]
    assert named == ["OTHER", "DET", "Act_VIP", "Loc_VIP", "OTHER", "OTHER", "OTHER", "OTHER"]
    assert batch["text_lengths"].tolist() == [7]
    assert model.vectorize([["a/DET"] * 50])["text_lengths"].tolist() == [22]


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_batch_changes_nothing(dtype, atol, normalize):
    model = tiny(normalize_embeddings=normalize, max_motion_length=48).to(dtype)
    lengths = [40, 4, 17, 48, 47, 23, 60, 46, 5]  # some fill the buffer of 48, one is longer
    motions = clips(lengths, dtype)
    together = model.get_motion_features(motions, batch_size=4)
    assert together.shape == (9, 8)
    with torch.no_grad():
        normalised = [(m - model.motion_mean) / model.motion_std for m in motions]
        filled = model.encode_motion(padded(normalised, fill=7.0), torch.tensor(lengths))
        wide = torch.nn.functional.pad(padded(normalised), (0, 0, 0, 100))
        widest = model.encode_motion(wide, torch.tensor(lengths))
    torch.testing.assert_close(together, filled, rtol=0, atol=atol)
    torch.testing.assert_close(together, widest, rtol=0, atol=atol)
    for row, motion in enumerate(motions):
        torch.testing.assert_close(model.get_motion_features([motion])[0], together[row], rtol=0, atol=atol)
        torch.testing.assert_close(model.get_motion_features([motion.numpy()])[0], together[row], rtol=0, atol=atol)
    texts = model.get_text_features(CAPTIONS, batch_size=2)
    for row, caption in enumerate(CAPTIONS):
        torch.testing.assert_close(model.get_text_features([caption])[0], texts[row], rtol=0, atol=atol)
    if normalize:
        torch.testing.assert_close(texts.norm(dim=-1), torch.ones(5, dtype=dtype))


@pytest.mark.filterwarnings("error")
def test_arrays_of_datasets_are_read_only():
    model = tiny().eval()
    (motion,) = clips([24])
    array = motion.numpy()
    array.flags.writeable = False
    torch.testing.assert_close(model.get_motion_features([array]), model.get_motion_features([motion]))


@pytest.mark.parametrize("learned", [False, True])
def test_saved_and_loaded_it_scores_the_same(learned, tmp_path):
    model = tiny(learned_word_embeddings=learned, objective="infonce")
    model.save_pretrained(tmp_path)
    loaded = TextMotionEvaluatorModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.get_text_features(CAPTIONS), model.get_text_features(CAPTIONS))
    motions = clips([20, 33])
    assert torch.equal(loaded.get_motion_features(motions), model.get_motion_features(motions))
    assert ("word_vectors" in dict(loaded.named_parameters())) == learned


@pytest.mark.parametrize("objective", ["infonce", "margin"])
def test_it_learns_to_tell_pairs_apart(objective):
    model = tiny(
        objective=objective,
        normalize_embeddings=objective == "infonce",
        learned_word_embeddings=True,
        word_dropout=0.1,
    ).train()
    captions = [["person/NOUN", f"{verb}/VERB"] for verb in ("walk", "jump")]
    directions = clips([1, 1], seed=3)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        kinds = torch.arange(2 if objective == "margin" else 6) % 2
        text = model.vectorize([captions[kind] for kind in kinds])
        motion = torch.stack([directions[kind].expand(16, -1) for kind in kinds])
        motion = motion + 0.1 * torch.randn(motion.shape, generator=generator)
        output = model(**text, motion=motion, motion_lengths=torch.full((len(kinds),), 16), caption_ids=kinds)
        optimizer.zero_grad()
        output.loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
    model.eval()
    with torch.no_grad():
        output = model(**text, motion=motion, motion_lengths=torch.full((len(kinds),), 16))
    nearest = torch.cdist(output.text_embeddings, output.motion_embeddings).argmin(dim=1)
    assert torch.equal(nearest % 2, kinds)


def test_a_shared_caption_is_no_negative():
    model = tiny(objective="infonce")
    text, motion = torch.randn(2, 3, 8)
    swapped = motion[[1, 0, 2]]
    shared = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    distinct = torch.eye(3, dtype=torch.bool)
    torch.testing.assert_close(model._infonce(text, motion, shared), model._infonce(text, swapped, shared))
    assert abs(model._infonce(text, motion, distinct) - model._infonce(text, swapped, distinct)) > 0.1
    margin = tiny()
    far = torch.zeros(2, 8)
    assert margin._margin(far, far, torch.ones(2, 2, dtype=torch.bool)) < 1e-6
    assert margin._margin(far, far, torch.eye(2, dtype=torch.bool)) == pytest.approx(100, rel=1e-3)
    assert margin._margin(far[:1], far[:1], torch.ones(1, 1, dtype=torch.bool)) < 1e-6


def test_word_dropout_teaches_unk_and_spares_the_frame():
    model = tiny(learned_word_embeddings=True, word_dropout=1.0).train()
    text = model.vectorize([["walk/VERB", "jump/VERB"]])
    model._encode_words(**text).sum().backward()
    used = model.word_vectors.grad.abs().sum(dim=1) > 0
    assert {WORDS[i] for i in torch.nonzero(used).flatten()} == {"sos", "eos", "unk"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.get_text_features([]), "at least one caption"),
        (lambda m: m.get_text_features(["a/DET"]), "is a string"),
        (lambda m: m.get_text_features([["a/DET"], ["walk"]]), "'walk' of caption 1"),
        (lambda m: m.get_text_features([["/DET"]]), "'/DET'"),
        (lambda m: m.get_motion_features([]), "at least one motion"),
        (lambda m: m.get_motion_features([np.zeros((8, DIM)), np.zeros((8, 3))]), "motion 1 must have shape"),
        (lambda m: m.get_motion_features([np.zeros((3, DIM))]), "3 frames"),
        (lambda m: m.get_motion_features([np.full((8, DIM), np.nan)]), "NaN"),
        (lambda m: m.encode_motion(torch.zeros(1, 8, 3), torch.tensor([8])), "must have shape"),
        (lambda m: m.encode_motion(torch.zeros(1, 8, DIM), torch.tensor([9])), "must lie in 4..8; got 9"),
        (lambda m: m.encode_motion(torch.zeros(1, 8, DIM), torch.tensor([8, 8])), "lengths must have shape"),
        (lambda m: m.encode_text(torch.zeros(1, 4, 9), torch.zeros(1, 4, 15), torch.tensor([4])), "word_embeddings"),
        (lambda m: m.encode_text(torch.zeros(1, 4, 12), torch.zeros(1, 4, 3), torch.tensor([4])), "pos_one_hots"),
        (lambda m: m.encode_text(torch.zeros(1, 4, 12), torch.zeros(1, 4, 15), torch.tensor([0])), "got 0"),
        (lambda m: m.set_statistics(np.zeros(3), np.ones(3)), "mean must have shape"),
        (lambda m: m.set_statistics(np.zeros(DIM), np.zeros(DIM)), "positive"),
        (lambda m: m.set_statistics(np.full(DIM, np.nan), np.ones(DIM)), "finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(tiny())


def test_nothing_is_scored_without_statistics(tmp_path):
    model = TextMotionEvaluatorModel(tiny().config)
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no motion statistics"):
        TextMotionEvaluatorModel.from_pretrained(tmp_path).get_motion_features([np.zeros((8, DIM))])


def test_embeddings_come_without_dropout_and_leave_the_mode():
    model, motions = tiny(), clips([20, 33])
    expected = model.get_motion_features(motions), model.get_text_features(CAPTIONS)
    model.train()
    found = model.get_motion_features(motions), model.get_text_features(CAPTIONS)
    assert all(map(torch.equal, found, expected)) and model.training and model.movement_encoder.dropout.training
