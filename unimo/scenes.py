"""Animated skeletons of scene files: USD through usd-core, FBX through Blender in a process of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modeling_unimo.blender_unimo import run_script

USD_SUFFIXES = (".usd", ".usda", ".usdc")
_USD_BEGINNINGS = (b"#usda ", b"PXR-USDC")
_FBX_BEGINNING = b"Kaydara FBX Binary"
_FEWEST = 12  # joints of a skeleton that may be a body
_MOST_FRAMES = 200_000
_FROM_FBX = """
import json, sys, bpy, numpy
# Blender 3.4 asks for a name that Debian's numpy for it has dropped.
vars(numpy).setdefault("bool", bool)
source, target, fewest = sys.argv[sys.argv.index("--") + 1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.fbx(filepath=source)
scene = bpy.context.scene
bodies = [item for item in bpy.data.objects if item.type == "ARMATURE" and len(item.pose.bones) >= int(fewest)]
moving = [item for item in bodies if item.animation_data and item.animation_data.action]
found = {"skeletons": [item.name for item in moving or bodies], "moving": bool(moving)}
if len(moving) == 1:
    first, last = moving[0].animation_data.action.frame_range
    bones = sorted(moving[0].pose.bones, key=lambda bone: len(bone.parent_recursive))
    places = {bone.name: place for place, bone in enumerate(bones)}
    found["names"] = list(places)
    found["parents"] = [places[bone.parent.name] if bone.parent else -1 for bone in bones]
    found["fps"] = scene.render.fps / scene.render.fps_base
    rows = []
    for frame in range(int(first), round(last) + 1):
        scene.frame_set(frame)
        rows.append([tuple(moving[0].matrix_world @ bone.head) for bone in bones])
    numpy.save(target + ".npy", numpy.array(rows))
with open(target, "w", encoding="utf-8") as file:
    json.dump(found, file)
"""


@dataclass
class AnimatedSkeleton:
    """A skeleton in motion.

    Attributes:
        names: the joints, parents before their children.
        parents: their indices; -1 for the root.
        positions: (T, J, 3) metres, in the world.
        fps: frames per second.
        up: the world's axis that points up.
        offsets: (J, 3) from each joint's parent to it in the first frame.
    """

    names: list[str]
    parents: list[int]
    positions: np.ndarray
    fps: float
    up: str
    offsets: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        first = self.positions[0]
        self.offsets = first - np.where(np.array(self.parents)[:, None] < 0, 0.0, first[self.parents])


def even_times(times: np.ndarray) -> tuple[np.ndarray, float]:
    """Keyframes' times as even ones: from the first to the last by their median step, and that step.

    Args:
        times: (K,) rising.

    Returns:
        (T,) times, and the step between them.

    Raises:
        ValueError: fewer than 2 times, or so uneven that there would be more frames than any motion has.
    """
    if len(times) < 2:
        raise ValueError("its animation has fewer than 2 frames")
    step = float(np.median(np.diff(times)))
    count = (times[-1] - times[0]) / step
    if not count < _MOST_FRAMES:
        raise ValueError(
            f"its keyframes lie from {times[0]:g} to {times[-1]:g} by {step:g}; export it with sampled ones"
        )
    return times[0] + np.arange(round(count) + 1) * step, step


def read_usd_skeleton(path: Path) -> AnimatedSkeleton:
    """The one animated skeleton (UsdSkel) of a USD stage.

    Args:
        path: `.usd`, `.usda` or `.usdc`.

    Returns:
        The skeleton with its motion.

    Raises:
        ImportError: usd-core is not installed.
        ValueError: it is no USD file, or holds no animated skeleton or several.
    """
    try:
        from pxr import Tf, Usd, UsdGeom, UsdSkel
    except ImportError as error:
        raise ImportError("USD files need usd-core: pip install 'unimo[usd]'") from error

    with path.open("rb") as file:
        beginning = file.read(8)
    if not beginning.startswith(_USD_BEGINNINGS):
        raise ValueError(f"is not a USD file: it begins with {beginning!r}")
    try:
        stage = Usd.Stage.Open(str(path))
        cache = UsdSkel.Cache()
        for prim in stage.Traverse():
            if prim.IsA(UsdSkel.Root):
                cache.Populate(UsdSkel.Root(prim), Usd.PrimDefaultPredicate)
        queries = [
            cache.GetSkelQuery(UsdSkel.Skeleton(prim)) for prim in stage.Traverse() if prim.IsA(UsdSkel.Skeleton)
        ]
        bodies = [query for query in queries if query and len(query.GetJointOrder()) >= _FEWEST]
        moving = [query for query in bodies if query.GetAnimQuery() and _times(query)]
        names = [str(query.GetPrim().GetPath()) for query in moving or bodies]
        _check_one(names, bool(moving))
        query = moving[0]
        times, step = even_times(np.array(sorted(_times(query)), dtype=np.float64))
        positions = np.empty((len(times), len(query.GetJointOrder()), 3))
        place = UsdGeom.Xformable(query.GetPrim())
        for frame, time in enumerate(times.tolist()):
            local = np.array(query.ComputeJointSkelTransforms(time))[:, 3, :3]  # row vectors: the last row moves
            world = np.array(place.ComputeLocalToWorldTransform(time))
            positions[frame] = local @ world[:3, :3] + world[3, :3]
    except Tf.ErrorException as error:
        raise ValueError(f"usd-core cannot read it ({str(error).strip().splitlines()[-1].strip()})") from error
    return AnimatedSkeleton(
        [str(joint).rpartition("/")[2] for joint in query.GetJointOrder()],
        list(query.GetTopology().GetParentIndices()),
        positions * UsdGeom.GetStageMetersPerUnit(stage),
        stage.GetTimeCodesPerSecond() / step,
        UsdGeom.GetStageUpAxis(stage).lower(),
    )


def read_fbx_skeleton(path: Path) -> AnimatedSkeleton:
    """The one animated skeleton of an FBX file, sampled by Blender at each of its frames.

    Args:
        path: the file.

    Returns:
        The skeleton with its motion.

    Raises:
        FileNotFoundError: no Blender.
        BlenderError: it failed.
        ValueError: it is no binary FBX file, or holds no animated skeleton or several.
    """
    import json

    with path.open("rb") as file:
        beginning = file.read(len(_FBX_BEGINNING))
    if beginning != _FBX_BEGINNING:
        raise ValueError(f"is not a binary FBX file: it begins with {beginning!r}; text FBX is not read")
    with tempfile.TemporaryDirectory(prefix="unimo-fbx-") as name:
        made = Path(name, "skeleton.json")
        run_script(_FROM_FBX, (str(path.resolve()), str(made), str(_FEWEST)), made, "read the file")
        found: dict[str, Any] = json.loads(made.read_text(encoding="utf-8"))
        _check_one(found["skeletons"], found["moving"])
        positions = np.load(f"{made}.npy", allow_pickle=False)
    if len(positions) < 2:
        raise ValueError("its animation has fewer than 2 frames")
    return AnimatedSkeleton(found["names"], found["parents"], positions, found["fps"], "z")


def _check_one(names: list[str], moving: bool) -> None:
    if not names:
        raise ValueError(f"holds no skeleton of {_FEWEST} or more joints")
    if not moving:
        raise ValueError(f"no animation in it moves the skeleton ({', '.join(names)})")
    if len(names) > 1:
        raise ValueError(f"holds {len(names)} moving skeletons ({', '.join(names)}); keep one of them in the file")


def _times(query: Any) -> list[float]:
    return query.GetAnimQuery().GetJointTransformTimeSamples()
