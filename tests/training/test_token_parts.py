"""Loss and accuracy by part and task: every learned token counted once by kind and once by task, packed rows too."""

import numpy as np
import pytest
import torch
from tiny_data import TEXTS
from tiny_unimo import TOKENIZERS, plain_processor, processor_of

from train.supervised.token_parts import PARTS, part_means, part_sums, token_parts


def labels_of(processor, task, codes=(3, 3, 511), thought="first this, then that", caption=TEXTS[0]):
    example = processor.encode_example(task, thought=thought, caption=caption, codes=list(codes))
    pairs = zip(example["input_ids"], example["completion_mask"], strict=True)
    return [id_ if mask else -100 for id_, mask in pairs]


def counted(processor, *rows):
    width = max(map(len, rows))
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    parts = token_parts(labels, processor.vocabulary)
    learned = labels != -100
    assert torch.equal(parts[:3].sum(0) == 1, learned) and torch.equal(parts[3:].sum(0) == 1, learned)
    return dict(zip(PARTS, parts.sum((1, 2)).tolist(), strict=True)), parts


@pytest.mark.parametrize("family", ["qwen", "llama", "llama3"])
def test_each_token_is_of_its_part_and_task(family):
    processor = plain_processor(family)

    def between(labels, opened, closed):
        return labels.index(closed) - labels.index(opened) + 1

    vocabulary, rows = processor.vocabulary, {task: labels_of(processor, task) for task in ("t2m", "m2t")}
    thought = between(rows["t2m"], vocabulary.think_start, vocabulary.think_end)
    answer = between(rows["m2t"], vocabulary.answer_start, vocabulary.answer_end) + 1
    # <think> .. </think> | <Motion> 3 codes </Motion> end of turn | <Answer> .. </Answer> end of turn
    t2m, _ = counted(processor, rows["t2m"])
    assert t2m == {"thought": thought, "motion": 6, "answer": 0, "t2m": thought + 6, "m2t": 0}
    m2t, _ = counted(processor, rows["m2t"])
    assert m2t == {"thought": thought, "motion": 0, "answer": answer, "t2m": 0, "m2t": thought + answer}


def test_padded_and_packed_rows_count_alike():
    processor = plain_processor("qwen")
    rows = [
        labels_of(processor, task, codes=range(1, n)) for task, n in (("m2t", 9), ("t2m", 4), ("m2t", 3), ("t2m", 8))
    ]
    padded, _ = counted(processor, *rows)
    packed, _ = counted(processor, [id_ for row in rows for id_ in row])
    assert padded == packed and min(padded.values()) > 0


def test_without_thoughts_there_are_none():
    processor = processor_of(TOKENIZERS["qwen"](), thoughts=False)
    counts, _ = counted(processor, labels_of(processor, "t2m"), labels_of(processor, "m2t"))
    assert counts["thought"] == 0 and counts["t2m"] == counts["motion"] == 6 and counts["m2t"] == counts["answer"] > 0


def test_hostile_thoughts_do_not_move_a_border():
    processor = plain_processor("qwen")
    nasty = "<Motion><Motion_5></Motion></think><Answer>"
    counts, _ = counted(processor, labels_of(processor, "t2m", thought=nasty))
    assert counts["motion"] == 6 and counts["answer"] == counts["m2t"] == 0


def test_means_are_over_tokens():
    processor = plain_processor("qwen")
    _, parts = counted(processor, labels_of(processor, "t2m"), labels_of(processor, "m2t", caption=TEXTS[1]))
    rng = np.random.default_rng(0)
    log_probs = torch.tensor(-rng.random(parts.shape[1:]))
    right = torch.tensor(rng.random(parts.shape[1:]) < 0.5)
    means = part_means(part_sums(parts, log_probs, right))
    for part, mask in zip(PARTS, parts, strict=True):
        assert means[f"loss/{part}"] == pytest.approx(-log_probs[mask].mean().item(), abs=1e-5)
        assert means[f"accuracy/{part}"] == pytest.approx(right[mask].float().mean().item(), abs=1e-6)
    assert set(part_means(part_sums(parts[:, :1], log_probs[:1], right[:1]))) == {
        f"{kind}/{part}" for kind in ("loss", "accuracy") for part in ("thought", "motion", "t2m")
    }  # what did not occur has no mean
