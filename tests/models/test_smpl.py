"""Joints from SMPL parameters: against the published equations written out, for every kind of model and batch."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
from scipy.sparse import csc_matrix
from scipy.spatial.transform import Rotation

from benchmarks import amass_files as files
from modeling_unimo import joints_from_smpl, load_body_model
from modeling_unimo.skeletons_unimo import HUMANML3D

KINDS = {24: "SMPL", 52: "SMPL-H", 55: "SMPL-X"}


def by_matrices(arrays: dict, poses: np.ndarray, trans: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """The chain of 4x4 transforms over all joints of the model, vertices and all: slow and plain."""
    vertices = arrays["v_template"] + arrays["shapedirs"][..., : len(betas)] @ betas
    rest, parents = arrays["J_regressor"] @ vertices, arrays["kintree_table"][0]
    joints = np.empty((len(poses), len(rest), 3))
    for frame, pose in enumerate(poses):
        world = []
        for joint, vector in enumerate(pose.reshape(-1, 3)):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_rotvec(vector).as_matrix()
            local[:3, 3] = rest[joint] - (rest[parents[joint]] if joint else 0)
            world.append(world[parents[joint]] @ local if joint else local)
            joints[frame, joint] = world[joint][:3, 3]
    return joints[:, :22] + trans[:, None]


@pytest.mark.parametrize("kind", KINDS)
def test_joints_follow_the_published_chain(tmp_path, kind: int) -> None:
    rng = np.random.default_rng(kind)
    arrays = files.body_model(joints=kind)
    path = files.save(tmp_path / "model.npz", arrays)
    poses, trans, betas = rng.normal(0, 2, (5, 3 * kind)), rng.normal(0, 1, (5, 3)), rng.normal(0, 1, 10)
    poses[0] = 0
    expected = by_matrices(arrays, poses, trans, betas)
    np.testing.assert_allclose(joints_from_smpl(poses, trans, betas, path), expected, atol=1e-12)
    assert load_body_model(path).kind == KINDS[kind]


def test_any_batch_gives_what_each_body_gives_alone(tmp_path) -> None:
    rng = np.random.default_rng(0)
    path = files.save(tmp_path / "model.npz", files.body_model())
    poses, trans, betas = rng.normal(size=(2, 3, 7, 52, 3)), rng.normal(size=(2, 3, 7, 3)), rng.normal(size=(2, 3, 16))
    together = joints_from_smpl(poses, trans, betas, path)
    assert together.shape == (2, 3, 7, 22, 3)
    for place in np.ndindex(2, 3):
        alone = joints_from_smpl(poses[place], trans[place], betas[place][:10], path)
        np.testing.assert_allclose(together[place], alone, atol=1e-12)


def test_without_a_model_a_person_of_average_size_stands() -> None:
    joints = joints_from_smpl(np.zeros((2, 66)))
    lengths = np.linalg.norm(joints[0, 1:] - joints[0, list(HUMANML3D.parents[1:])], axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(HUMANML3D.default_offsets[1:], axis=-1), rtol=1e-6)
    names = HUMANML3D.joint_names.index
    assert joints[0, names("head"), 1] > joints[0, names("pelvis"), 1] > joints[0, names("left_ankle"), 1]
    assert joints[0, names("left_wrist"), 0] > 0.6


def chumpy_pickle(arrays: dict, monkeypatch, protocol: int) -> bytes:
    """A model as SMPL's site offers it: chumpy variables and a sparse regressor, pickled by Python 2."""
    variable = type("Ch", (), {"__module__": "chumpy.ch"})
    module = types.ModuleType("chumpy.ch")
    module.Ch = variable
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    shapedirs = variable()
    shapedirs.x = arrays["shapedirs"]
    return pickle.dumps(
        {**arrays, "shapedirs": shapedirs, "J_regressor": csc_matrix(arrays["J_regressor"])}, protocol=protocol
    )


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_pickled_model_is_read_without_running_its_classes(tmp_path, monkeypatch, protocol: int) -> None:
    arrays = files.body_model(joints=24)
    (tmp_path / "model.pkl").write_bytes(chumpy_pickle(arrays, monkeypatch, protocol))
    files.save(tmp_path / "model.npz", arrays)
    pickled, plain = load_body_model(tmp_path / "model.pkl"), load_body_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(pickled.rest_joints, plain.rest_joints)
    np.testing.assert_array_equal(pickled.shape_directions, plain.shape_directions)


class _Runs:
    def __reduce__(self):
        return os.system, ("touch broken-out",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: pickle.dumps({"v_template": _Runs()}), r"refers to posix\.system|refers to nt\.system"),
        (lambda: pickle.dumps({"v_template": np.zeros((3, 3))})[:-9], "damaged pickle"),
        (lambda: pickle.dumps([1, 2]), "not a dictionary"),
        (lambda: pickle.dumps({"v_template": np.zeros((3, 3))}), "lacks shapedirs"),
        (lambda: pickle.dumps(files.body_model(joints=16)), "MANO is not a whole-body model"),
    ],
)
def test_other_pickles_are_refused(tmp_path, monkeypatch, content, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pkl").write_bytes(content())
    with pytest.raises(ValueError, match=message):
        load_body_model(tmp_path / "model.pkl")
    assert not (tmp_path / "broken-out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"poses": np.zeros((4, 63))}, "K >= 22"),
        ({"poses": np.zeros((4, 66)), "trans": np.zeros((5, 3))}, "trans must have shape"),
        ({"poses": np.zeros((4, 66)), "betas": np.zeros((3, 10))}, "betas must have shape"),
        ({"poses": np.zeros((4, 66)), "body_model": "absent.npz"}, "no such body model"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        joints_from_smpl(**arguments)


def test_nan_stays_with_the_joints_that_it_turns() -> None:
    poses = np.zeros((1, 66))
    poses[0, 3 * HUMANML3D.joint_names.index("left_knee")] = np.nan
    spoilt = np.isnan(joints_from_smpl(poses)).any(-1)[0]
    assert {HUMANML3D.joint_names[j] for j in np.flatnonzero(spoilt)} == {"left_ankle", "left_foot"}
