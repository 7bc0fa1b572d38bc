"""Rotations: against the published numbers, against each other, and at their poles."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from motions import compose

from modeling_unimo import rotations_unimo as rotations

FIXTURE = Path(__file__).parents[1] / "fixtures" / "published_motion.npz"
EULER_ORDERS = ["".join(order) for order in itertools.permutations("xyz")]


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    """The published arrays that are made of random numbers only, and so may lie in the repository."""
    with np.load(FIXTURE, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def worst(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.asarray(a, dtype=np.float64) - b).max())


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_rotation_helpers_match_published(published, agrees, kind) -> None:
    d = {key.removeprefix("rotations/"): kind(value) for key, value in published.items() if "rotations/" in key}
    name = "rotations"
    agrees(name, rotations.quaternion_multiply(d["q"], d["q2"]), d["qmul"], 1e-5)
    agrees(name, rotations.quaternion_inverse(d["q"]), d["qinv"], 1e-5)
    agrees(name, rotations.quaternion_rotate(d["q"], d["v"]), d["qrot"], 1e-5)
    agrees(name, rotations.quaternion_between(d["v"], d["v2"]), d["qbetween"], 1e-5)
    agrees(name, rotations.quaternion_to_matrix(d["q"]), d["matrix"], 1e-5)
    agrees(name, rotations.matrix_to_quaternion(d["matrix"]), d["matrix_to_quat"], 1e-5)
    agrees(name, rotations.quaternion_continuous(d["qfix_in"]), d["qfix_out"], 1e-6)


@pytest.mark.parametrize("order", EULER_ORDERS)
def test_euler_angles_match_published(published, agrees, order: str) -> None:
    angles = np.degrees(rotations.quaternion_to_euler(published["rotations/q"].astype(np.float64), order))
    agrees("rotations, Euler degrees", angles, published[f"rotations/qeuler_deg_{order}"], 2e-2)


@pytest.mark.parametrize("order", EULER_ORDERS)
def test_euler_angles_compose_to_the_rotation_poles_included(order: str) -> None:
    random = np.random.default_rng(2)
    q = random.normal(size=(200, 4))
    right_angles = np.array(list(itertools.product((-1, 0, 1), repeat=4)), dtype=np.float64)
    q = np.concatenate((q, right_angles[np.abs(right_angles).sum(-1) > 0]))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    angles = rotations.quaternion_to_euler(q, order)
    parts = []
    for letter, angle in zip(order, angles.T, strict=True):
        part = np.zeros((len(angle), 4))
        part[:, 0], part[:, 1 + "xyz".index(letter)] = np.cos(angle / 2), np.sin(angle / 2)
        parts.append(part)
    assert worst(rotations.quaternion_to_matrix(compose(*parts)), rotations.quaternion_to_matrix(q)) < 1e-9


def test_matrix_to_quaternion_in_all_four_cases() -> None:
    q = np.random.default_rng(4).normal(size=(2000, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    q = np.concatenate((q, np.eye(4)))
    again = rotations.matrix_to_quaternion(rotations.quaternion_to_matrix(q))
    assert worst(np.abs((again * q).sum(-1)), 1) < 1e-12


def test_rotation_between_opposite_and_zero_vectors() -> None:
    random = np.random.default_rng(6).normal(size=(50, 3))
    vectors = np.concatenate((random, np.eye(3), -np.eye(3)))
    q = rotations.quaternion_between(vectors, -vectors)
    np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1)
    assert worst(rotations.quaternion_rotate(q, vectors), -vectors) < 1e-12
    for u, v in ((np.zeros(3), np.ones(3)), (np.ones(3), np.zeros(3)), (np.zeros(3), np.zeros(3))):
        np.testing.assert_allclose(rotations.quaternion_between(u, v), (1, 0, 0, 0), atol=1e-12)


@pytest.mark.parametrize("angle", [1e-1, 1e-3, 1e-5])
def test_rotation_between_nearly_opposite_vectors_is_accurate(angle: float) -> None:
    v = np.array([[-np.cos(angle), np.sin(angle), 0]], dtype=np.float32)
    q = rotations.quaternion_between(np.array([[1, 0, 0]], dtype=np.float32), v)
    assert worst(rotations.quaternion_rotate(q, np.array([[1, 0, 0]], dtype=np.float32)), v) < 1e-6


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="permutation"):
        rotations.quaternion_to_euler(np.ones((3, 4)), "xyx")
    with pytest.raises(ValueError, match="last dimension of 4"):
        rotations.quaternion_inverse(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"\(\.\.\., 3, 3\)"):
        rotations.matrix_to_quaternion(np.ones((3, 4)))
    with pytest.raises(ValueError, match="array of numbers"):
        rotations.quaternion_inverse(np.array(["a"] * 4))
