"""Vertices of a body model of the user's own: against the published equations written out, and in written files."""

from pathlib import Path

import numpy as np
import pytest
from motions import rigid_body
from scipy.spatial.transform import Rotation

from benchmarks import amass_files as files
from modeling_unimo.export_unimo import save_motion
from modeling_unimo.smpl_mesh_unimo import load_body_mesh, smpl_vertices
from modeling_unimo.smpl_unimo import joints_from_smpl

KINDS = (24, 52, 55)


def whole_model(joints: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of a made-up body model with a surface."""
    random = np.random.default_rng(seed)
    arrays = files.body_model(joints=joints, vertices=2 * joints + 10, seed=seed)
    vertices = len(arrays["v_template"])
    weights = random.random((vertices, joints)) ** 4
    arrays["weights"] = weights / weights.sum(1, keepdims=True)
    arrays["posedirs"] = random.normal(0, 0.01, (vertices, 3, 9 * (joints - 1)))
    arrays["f"] = random.integers(0, vertices, (30, 3)).astype(np.uint32)
    return arrays


def by_matrices(arrays: dict, poses: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """Linear blend skinning over all joints of the model, vertex by vertex."""
    rest, parents = arrays["J_regressor"] @ arrays["v_template"], arrays["kintree_table"][0]
    result = np.empty((len(poses), len(arrays["v_template"]), 3))
    for frame, pose in enumerate(poses):
        turns = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix()
        surface = arrays["v_template"] + arrays["posedirs"] @ (turns[1:] - np.eye(3)).ravel()
        world = []
        for joint, turn in enumerate(turns):
            local = np.eye(4)
            local[:3, :3] = turn
            local[:3, 3] = rest[joint] - (rest[parents[joint]] if joint else 0)
            world.append(world[parents[joint]] @ local if joint else local)
        for joint, matrix in enumerate(world):
            world[joint] = matrix @ np.block([[np.eye(3), -rest[joint][:, None]], [np.zeros((1, 3)), 1]])
        blended = np.einsum("vj,jab->vab", arrays["weights"], np.array(world))
        result[frame] = np.einsum("vab,vb->va", blended[:, :3, :3], surface) + blended[:, :3, 3]
    return result + trans[:, None]


@pytest.mark.parametrize("joints", KINDS)
def test_vertices_follow_the_published_equations(tmp_path: Path, joints: int) -> None:
    random = np.random.default_rng(joints)
    arrays = whole_model(joints)
    mesh = load_body_mesh(files.save(tmp_path / "model.npz", arrays))
    poses, trans = np.zeros((35, 3 * joints)), random.normal(0, 1, (35, 3))
    poses[1:, :66] = random.normal(0, 1, (34, 66))
    vertices = smpl_vertices(mesh, poses, trans)
    assert vertices.dtype == np.float32
    np.testing.assert_allclose(vertices, by_matrices(arrays, poses, trans), atol=1e-5)


def test_a_written_file_holds_the_surface_of_its_own_parameters(tmp_path: Path) -> None:
    arrays = whole_model(24)
    path = files.save(tmp_path / "model.npz", arrays)
    joints = rigid_body(0, 12, 0.3)
    with np.load(save_motion(tmp_path / "a.smpl.npz", joints, output_fps=60, body_model=path)) as archive:
        stored = dict(archive)
    # Z up as the parameters, one row a frame of the file, whose joints the model's regressor finds where no pose
    # moves the surface.
    assert stored["vertices"].shape == (len(stored["poses"]), 58, 3) and np.array_equal(stored["faces"], arrays["f"])
    expected = by_matrices(arrays, stored["poses"][:, :72], stored["trans"])
    np.testing.assert_allclose(stored["vertices"], expected, atol=1e-5)
    read = joints_from_smpl(stored["poses"], stored["trans"], stored["betas"], path)[::3]
    np.testing.assert_allclose(read[:, 0], joints[: len(read), 0] @ [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-5)


def test_bad_models_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    def changed(**arrays) -> Path:
        whole = {key: value for key, value in (whole_model(24) | arrays).items() if value is not None}
        return files.save(tmp_path / "model.npz", whole)

    cases = [
        ({"weights": None, "f": None}, "model.npz: a body model without a surface: it lacks weights, f"),
        ({"weights": np.zeros((58, 7))}, r"weights has shape \(58, 7\), expected \(58, 24\)"),
        ({"f": np.array([[0, 1, 58]])}, "f names vertices beyond the 58 there are"),
    ]
    for arrays, message in cases:
        with pytest.raises(ValueError, match=message):
            save_motion(tmp_path / "a.smpl.npz", rigid_body(0, 9, 0.3), body_model=changed(**arrays))
    with pytest.raises(FileNotFoundError, match="no such body model"):
        save_motion(tmp_path / "a.smpl.npz", rigid_body(0, 9, 0.3), body_model=tmp_path / "none.npz")
    with pytest.raises(ValueError, match="body_model applies to .smpl.npz, not to .glb"):
        save_motion(tmp_path / "a.glb", rigid_body(0, 9, 0.3), body_model=tmp_path / "model.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
