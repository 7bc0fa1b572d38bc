"""A rigid motion as a USD stage: UsdSkel skeleton, animation and the figure they move, through usd-core."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .bodies_unimo import SIDE_COLORS
from .figure_unimo import INFLUENCES, skinned_figure
from .gltf_unimo import linear_color
from .rigid_motion_unimo import RigidMotion
from .skeletons_unimo import Skeleton


def save_usd(path: Path, motion: RigidMotion, fps: float, names: Sequence[str], extras: Mapping[str, Any]) -> None:
    """Write a rigid motion as `.usda` (text) or `.usd` (binary): metres, Y up, one time code a frame.

    Args:
        path: the file.
        motion: the motion.
        fps: its frames per second.
        names: of the joints; what USD takes in no name becomes "_".
        extras: texts stored as custom data of the stage.

    Raises:
        ImportError: usd-core is not installed.
    """
    try:
        from pxr import Gf, Sdf, Usd, UsdGeom, UsdSkel, Vt
    except ImportError as error:
        raise ImportError("USD files need usd-core: pip install 'unimo[usd]'") from error

    figure = skinned_figure(motion)
    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(fps)
    stage.SetFramesPerSecond(fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(len(motion.rotations) - 1)
    root = UsdSkel.Root.Define(stage, "/motion")
    stage.SetDefaultPrim(root.GetPrim())
    root.GetPrim().SetCustomData({"unimo": dict(extras)})

    skeleton = UsdSkel.Skeleton.Define(stage, "/motion/skeleton")
    joints = joint_paths(motion.skeleton, names)
    rest = figure.rest_joints
    offsets = np.concatenate((rest[:1], motion.offsets[1:]))
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateBindTransformsAttr([_translation(Gf, place) for place in rest])
    skeleton.CreateRestTransformsAttr([_translation(Gf, place) for place in offsets])
    _animate(stage, skeleton, joints, motion, offsets, (UsdSkel, Vt))

    mesh = UsdGeom.Mesh.Define(stage, "/motion/body")
    triangles = np.concatenate(figure.triangles)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(figure.points.astype(np.float32)))
    mesh.CreateFaceVertexCountsAttr([3] * len(triangles))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.ravel().astype(np.int32)))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(figure.normals.astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(UsdGeom.Boundable.ComputeExtentFromPlugins(mesh, Usd.TimeCode.Default()))
    colors = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("displayColor", Sdf.ValueTypeNames.Color3fArray, "uniform")
    sides = np.repeat(np.arange(len(SIDE_COLORS)), [len(part) for part in figure.triangles])
    linear = np.array([linear_color(color) for color in SIDE_COLORS], dtype=np.float32)
    colors.Set(Vt.Vec3fArray.FromNumpy(linear[sides]))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    influences = binding.CreateJointIndicesPrimvar(False, INFLUENCES)
    influences.Set(Vt.IntArray.FromNumpy(figure.joints.ravel().astype(np.int32)))
    weights = binding.CreateJointWeightsPrimvar(False, INFLUENCES)
    weights.Set(Vt.FloatArray.FromNumpy(figure.weights.ravel()))
    if not stage.GetRootLayer().Export(str(path)):
        raise OSError(f"{path}: usd-core could not write it")


def joint_paths(skeleton: Skeleton, names: Sequence[str]) -> list[str]:
    """The joints as UsdSkel names them: each by its path from the root.

    Args:
        skeleton: The skeleton.
        names: Names of its joints.

    Returns:
        One path a joint.
    """
    paths: list[str] = [""] * skeleton.num_joints
    for joint in (0, *skeleton.order):
        name = re.sub(r"\W", "_", names[joint])
        paths[joint] = f"{paths[skeleton.parents[joint]]}/{name}" if joint else name
    return paths


def _translation(gf: Any, place: np.ndarray) -> Any:
    return gf.Matrix4d().SetTranslate(gf.Vec3d(*map(float, place)))


def _animate(
    stage: Any, skeleton: Any, joints: list[str], motion: RigidMotion, offsets: np.ndarray, library: tuple[Any, Any]
) -> None:
    usd_skel, vt = library
    animation = usd_skel.Animation.Define(stage, "/motion/skeleton/animation")
    animation.CreateJointsAttr(joints)
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    animation.CreateScalesAttr(vt.Vec3hArray.FromNumpy(np.ones((len(joints), 3), np.float16)))
    moved = np.repeat(offsets[None].astype(np.float32), len(motion.rotations), 0)
    moved[:, 0] = motion.root_positions
    turned = motion.rotations.astype(np.float32)[..., [1, 2, 3, 0]]  # numpy's order of usd's quaternions
    for frame in range(len(moved)):
        translations.Set(vt.Vec3fArray.FromNumpy(moved[frame]), frame)
        rotations.Set(vt.QuatfArray.FromNumpy(turned[frame]), frame)
    binding = usd_skel.BindingAPI.Apply(skeleton.GetPrim())
    binding.CreateAnimationSourceRel().SetTargets([animation.GetPath()])
