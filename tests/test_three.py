"""GLB files in three.js, in Chromium without a window: where a web page shows the joints, and the body around them.

Needs Chromium, and the npm package `three` in a folder of NODE_PATH.
"""

import base64
import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from motions import rigid_body

from modeling_unimo.export_unimo import save_motion
from modeling_unimo.joint_names_unimo import JOINT_NAMES
from modeling_unimo.skeletons_unimo import HUMANML3D

SECONDS = 400
PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<script type="importmap">
{"imports": {"three": "/three/build/three.module.js", "three/addons/": "/three/examples/jsm/"}}
</script>
<script type="module">
import * as THREE from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
const { frames, fps, names } = await (await fetch('/asked.json')).json();
const answer = {};
try {
  const gltf = await new GLTFLoader().loadAsync('/clip.glb');
  const scene = gltf.scene, point = new THREE.Vector3();
  const mixer = new THREE.AnimationMixer(scene), action = mixer.clipAction(gltf.animations[0]);
  action.setLoop(THREE.LoopOnce); action.clampWhenFinished = true; action.play();
  const bones = names.map(name => scene.getObjectByName(THREE.PropertyBinding.sanitizeNodeName(name)));
  const meshes = []; scene.traverse(item => { if (item.isSkinnedMesh) meshes.push(item); });
  answer.joints = []; answer.points = [];
  for (let frame = 0; frame < frames; frame++) {
    mixer.setTime(frame / fps);
    scene.updateMatrixWorld(true);
    answer.joints.push(bones.map(bone => bone.getWorldPosition(point).toArray()));
    answer.points.push(meshes.flatMap(mesh => {
      const count = mesh.geometry.attributes.position.count;
      return Array.from({ length: Math.ceil(count / 7) }, (_, place) =>
        mesh.getVertexPosition(7 * place, point).applyMatrix4(mesh.matrixWorld).toArray());
    }));
  }
  const stage = new THREE.Scene(), camera = new THREE.PerspectiveCamera(40, 1, 0.1, 50);
  stage.background = new THREE.Color(0xffffff);
  stage.add(scene, new THREE.HemisphereLight(0xffffff, 0x888888, 3));
  const centre = new THREE.Vector3(...answer.joints.at(-1)[0]);
  camera.position.copy(centre).add(new THREE.Vector3(1.5, 0.7, 2.5)); camera.lookAt(centre);
  const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true });
  renderer.setSize(400, 400); document.body.append(renderer.domElement); renderer.render(stage, camera);
  answer.picture = renderer.domElement.toDataURL('image/png').split(',')[1];
} catch (error) { answer.error = String(error); }
await fetch('/answer', { method: 'POST', body: JSON.stringify(answer) });
</script>
"""


class Served(SimpleHTTPRequestHandler):
    """A folder, and a place to send the answer to."""

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()
        self.server.answered.set()  # type: ignore[attr-defined]

    def log_message(self, *values: object) -> None:
        """Says nothing."""


def shown(folder: Path, three: Path, chromium: str) -> dict:
    """What the page found in `folder`/clip.glb."""
    (folder / "page.html").write_text(PAGE, encoding="utf-8")
    shutil.copytree(three, folder / "three", ignore=shutil.ignore_patterns("fonts", "textures", "*.min.js"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Served, directory=str(folder)))
    server.answer, server.answered = {}, threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    browser = subprocess.Popen(
        [
            chromium, "--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
            f"--user-data-dir={folder / 'profile'}", f"http://127.0.0.1:{server.server_port}/page.html",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.answered.wait(SECONDS), "the page did not answer"  # type: ignore[attr-defined]
        return server.answer  # type: ignore[attr-defined]
    finally:
        browser.terminate()
        browser.wait(30)
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_joints_and_body_lie_where_they_are_in_three_js(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    folders = [Path(folder, "three") for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    three = next((folder for folder in folders if (folder / "build").is_dir()), None)
    if chromium is None or three is None:
        pytest.skip("needs Chromium, and the npm package three in a folder of NODE_PATH")
    joints, fps = rigid_body(3, 40, 0.5), 30
    save_motion(tmp_path / "clip.glb", joints, fps=fps, names="mixamo")
    asked = {"frames": len(joints), "fps": fps, "names": JOINT_NAMES["mixamo"]}
    (tmp_path / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    answer = shown(tmp_path, three, chromium)
    assert "error" not in answer, answer["error"]
    assert np.linalg.norm(np.array(answer["joints"]) - joints, axis=-1).max() < 1e-3
    # Every point of the body's surface goes with the bones: no further from a joint than half a bone and its girth.
    points = np.array(answer["points"])
    away = np.linalg.norm(points[:, :, None] - joints[:, None], axis=-1).min(2)
    bones = np.linalg.norm(joints - joints[:, [0, *HUMANML3D.parents[1:]]], axis=-1)
    assert points.shape[1] > 50 and away.max() < bones.max() / 2 + 0.2
    (tmp_path / "picture.png").write_bytes(base64.b64decode(answer["picture"]))
    assert (tmp_path / "picture.png").stat().st_size > 2000  # a blank page is smaller
