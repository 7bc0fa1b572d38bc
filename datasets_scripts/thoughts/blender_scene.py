"""Draws one job inside Blender: run by Blender's own Python, never imported by this package.

`blender --background --factory-startup --python blender_scene.py -- FOLDER`, or `python blender_scene.py FOLDER` where
that Python has the `bpy` module. FOLDER holds what `blender_render` wrote: `job.json`, `points.npy` (F,P,3),
`capsules.npy` (C,5) and `paths.npy` (V,F,3), in metres, Y up. The answer is `frames.npy` (F,H,W*V,3) uint8, RGB; a
line "frame I of N" is printed after each frame. Runs with Blender 3.4 and later; needs nothing but `bpy` and the numpy
that comes with it.
"""

import json
import math
import os
import sys

import bpy
import numpy as np

AROUND = 24
"""Vertices around a limb."""

CAP = np.radians([-89.0, -70.0, -50.0, -30.0, -12.0, 0.0])
"""Where the rings of a rounded end lie, from its pole to its equator."""

SKY = (0.807, 0.851, 0.921)
TILE, DARK_TILE = (0.72, 0.74, 0.78), (0.60, 0.62, 0.67)


def _z_up(vectors):
    """World coordinates (...,3) with Y up as Blender's, with Z up.

    Args:
        vectors: (..., 3) with Y up.
    """
    return np.stack([vectors[..., 0], -vectors[..., 2], vectors[..., 1]], axis=-1)


def _linear(color):
    """sRGB of 0..255 as the linear RGBA that materials take.

    Args:
        color: three numbers of 0 to 255.
    """
    share = np.asarray(color, np.float64) / 255
    return (*np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).tolist(), 1.0)


def _limb_vertices(points, capsules):
    """Vertices (C * rings * AROUND, 3) of all limbs of one pose: spheres swept along tapering bones.

    Args:
        points: (J, 3) joints.
        capsules: (C, 5) two joints, the radii there, and the colour of each limb.
    """
    start, end = points[capsules[:, 0].astype(int)], points[capsules[:, 1].astype(int)]
    axis = end - start
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = np.where(length > 1e-6, axis / np.maximum(length, 1e-6), [0.0, 0.0, 1.0])
    helper = np.where(np.abs(axis[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(axis, u)
    turn = 2 * np.pi * np.arange(AROUND) / AROUND
    around = u[:, None] * np.cos(turn)[:, None] + v[:, None] * np.sin(turn)[:, None]
    rings = []
    for centre, radius, angles in ((start, capsules[:, 2], CAP), (end, capsules[:, 3], -CAP[::-1])):
        for angle in angles:
            middle = centre + axis * (radius * np.sin(angle))[:, None]
            rings.append(middle[:, None] + around * (radius * np.cos(angle))[:, None, None])
    return np.stack(rings, axis=1).reshape(-1, 3)


def _limb_faces(count):
    """Quads (N,4) between the rings of `count` limbs, in the order of `_limb_vertices`, and each quad's limb (N,).

    Args:
        count: how many.
    """
    rings = 2 * len(CAP)
    ring, place = np.meshgrid(np.arange(rings - 1), np.arange(AROUND), indexing="ij")
    following = (place + 1) % AROUND
    quads = np.stack(
        [
            ring * AROUND + place,
            ring * AROUND + following,
            (ring + 1) * AROUND + following,
            (ring + 1) * AROUND + place,
        ],
        axis=-1,
    ).reshape(-1, 4)
    offsets = np.arange(count) * rings * AROUND
    return (quads[None] + offsets[:, None, None]).reshape(-1, 4), np.repeat(np.arange(count), len(quads))


def _material(name, color, roughness=0.55):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = color
    shader.inputs["Roughness"].default_value = roughness
    return made


def _ground_material():
    """Tiles of a metre that melt into the sky far away."""
    made = bpy.data.materials.new("ground")
    made.use_nodes = True
    tree = made.node_tree
    tree.nodes.clear()
    add = tree.nodes.new
    place, shift, tiles = add("ShaderNodeNewGeometry"), add("ShaderNodeVectorMath"), add("ShaderNodeTexChecker")
    # Half a tile up: the plane lies on a border between two layers of the pattern otherwise.
    shift.operation, shift.inputs[1].default_value = "ADD", (0.0, 0.0, 0.5)
    tiles.inputs["Scale"].default_value = 1.0
    tiles.inputs["Color1"].default_value, tiles.inputs["Color2"].default_value = (*TILE, 1.0), (*DARK_TILE, 1.0)
    near, far, mix, output = (
        add("ShaderNodeBsdfDiffuse"),
        add("ShaderNodeEmission"),
        add("ShaderNodeMixShader"),
        add("ShaderNodeOutputMaterial"),
    )
    far.inputs["Color"].default_value = (*SKY, 1.0)
    distance, fade = add("ShaderNodeCameraData"), add("ShaderNodeMapRange")
    fade.inputs["From Min"].default_value, fade.inputs["From Max"].default_value = 9.0, 24.0
    link = tree.links.new
    link(place.outputs["Position"], shift.inputs[0])
    link(shift.outputs["Vector"], tiles.inputs["Vector"])
    link(tiles.outputs["Color"], near.inputs["Color"])
    link(distance.outputs["View Distance"], fade.inputs["Value"])
    link(fade.outputs["Result"], mix.inputs["Fac"])
    link(near.outputs["BSDF"], mix.inputs[1])
    link(far.outputs["Emission"], mix.inputs[2])
    link(mix.outputs["Shader"], output.inputs["Surface"])
    return made


def _build_figure(capsules, colors):
    mesh = bpy.data.meshes.new("figure")
    faces, limb = _limb_faces(len(capsules))
    vertices = len(capsules) * 2 * len(CAP) * AROUND
    mesh.vertices.add(vertices)
    mesh.loops.add(faces.size)
    mesh.polygons.add(len(faces))
    mesh.loops.foreach_set("vertex_index", faces.ravel().astype(np.int32))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 4, dtype=np.int32))
    # Where Blender derives it from the starts (4.1 and later), the property is read-only.
    if not mesh.polygons[0].bl_rna.properties["loop_total"].is_readonly:
        mesh.polygons.foreach_set("loop_total", np.full(len(faces), 4, np.int32))
    for side, color in enumerate(colors):
        mesh.materials.append(_material(f"side {side}", _linear(color)))
    mesh.polygons.foreach_set("material_index", capsules[limb, 4].astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.update(calc_edges=True)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("figure", mesh))
    return mesh


def _build_ground(height, middle, reach):
    mesh = bpy.data.meshes.new("ground")
    x, y = float(middle[0]), float(middle[1])
    corners = [(x - reach, y - reach), (x + reach, y - reach), (x + reach, y + reach), (x - reach, y + reach)]
    mesh.from_pydata([(a, b, height) for a, b in corners], [], [(0, 1, 2, 3)])
    mesh.materials.append(_ground_material())
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("ground", mesh))


def _build_light():
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = 2.5, 0.07
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_mode = "QUATERNION"
    bpy.context.scene.collection.objects.link(lamp)
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    # What the camera sees of the sky is brighter than what it sheds, or the shadow would be lost in it.
    tree = world.node_tree
    tree.nodes.clear()
    add = tree.nodes.new
    seen, shed, path, mix, output = (
        add("ShaderNodeBackground"),
        add("ShaderNodeBackground"),
        add("ShaderNodeLightPath"),
        add("ShaderNodeMixShader"),
        add("ShaderNodeOutputWorld"),
    )
    seen.inputs["Color"].default_value = shed.inputs["Color"].default_value = (*SKY, 1.0)
    shed.inputs["Strength"].default_value = 0.5
    tree.links.new(path.outputs["Is Camera Ray"], mix.inputs["Fac"])
    tree.links.new(shed.outputs["Background"], mix.inputs[1])
    tree.links.new(seen.outputs["Background"], mix.inputs[2])
    tree.links.new(mix.outputs["Shader"], output.inputs["Surface"])
    bpy.context.scene.world = world
    return lamp


def _build_camera(width):
    lens = bpy.data.cameras.new("camera")
    lens.sensor_fit, lens.sensor_width = "HORIZONTAL", 36.0
    lens.clip_start, lens.clip_end = 0.05, 1000.0
    camera = bpy.data.objects.new("camera", lens)
    camera.rotation_mode = "QUATERNION"
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    return camera


def _quaternion(right, up, back):
    """The rotation whose local X, Y and Z are these world directions."""
    from mathutils import Matrix

    return Matrix(np.stack([right, up, back], axis=1).tolist()).to_quaternion()


def _use_cycles(job):
    """Cycles on the processor: the one engine that needs neither GPU nor display."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples, scene.cycles.seed = job["samples"], 0
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 2
    scene.cycles.use_denoising = False
    scene.render.threads_mode, scene.render.threads = "FIXED", job["threads"]
    scene.render.use_persistent_data = True
    scene.render.resolution_x, scene.render.resolution_y = job["width"], job["height"]
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"


def _take_picture(path, height, width):
    """(H,W,3) uint8 of the scene as it is."""
    bpy.context.scene.render.filepath = path
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(path)
    values = np.empty(height * width * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    os.remove(path)
    # Blender counts rows from the bottom.
    return np.rint(values.reshape(height, width, 4)[::-1, :, :3] * 255).astype(np.uint8)


def _draw(folder):
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
        job = json.load(file)
    points, capsules, paths = (
        np.load(os.path.join(folder, f"{name}.npy")).astype(np.float64) for name in ("points", "capsules", "paths")
    )
    points, paths = _z_up(points), _z_up(paths)
    height, width, shots = job["height"], job["width"], job["shots"]
    for existing in list(bpy.data.objects):
        bpy.data.objects.remove(existing)
    _use_cycles(job)
    mesh = _build_figure(capsules, job["colors"])
    middle = points.reshape(-1, 3).mean(axis=0)
    _build_ground(job["ground"], middle, 200.0 + float(np.abs(points - middle).max()))
    lamp, camera = _build_light(), _build_camera(width)
    shape = (len(points), height, width * len(shots), 3)
    frames = np.lib.format.open_memmap(os.path.join(folder, "frames.npy"), "w+", np.uint8, shape)
    for index, pose in enumerate(points):
        mesh.vertices.foreach_set("co", _limb_vertices(pose, capsules).ravel().astype(np.float32))
        mesh.update()
        for place, shot in enumerate(shots):
            right, down, depth = _z_up(np.asarray(shot["axes"]))
            camera.location = paths[place, index]
            camera.rotation_quaternion = _quaternion(right, -down, -depth)
            camera.data.lens = shot["focal"] * camera.data.sensor_width / width
            light = _z_up(np.asarray(shot["light"]))
            aside = np.cross(light, [0.0, 1.0, 0.0] if math.fabs(light[1]) < 0.9 else [1.0, 0.0, 0.0])
            aside /= np.linalg.norm(aside)
            lamp.rotation_quaternion = _quaternion(aside, np.cross(light, aside), light)
            picture = _take_picture(os.path.join(folder, "frame.png"), height, width)
            frames[index, :, place * width : (place + 1) * width] = picture
        print(f"frame {index + 1} of {len(points)}", flush=True)
    frames.flush()


if __name__ == "__main__":
    _draw(sys.argv[-1])
