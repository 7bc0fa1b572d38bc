"""The player: what the HTML holds, that texts stay texts, refusals, and that a browser runs it."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from html_reader import Reader

from bodies import standing, travel
from modeling_unimo.bodies_unimo import BODIES
from modeling_unimo.visualization_unimo import page_html, player_assets, player_html, save_html

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'single' <!-- \u2028 走 😀"


def decoded(track: dict) -> np.ndarray:
    whole = np.frombuffer(base64.b64decode(track["data"]), "<i2").reshape(track["frames"], -1, 3)
    return whole * track["step"] + track["origin"]


def walk(frames: int = 30) -> np.ndarray:
    return travel(standing(frames), np.linspace(0.0, 4.0, frames), np.linspace(0.0, 1.0, frames))


def test_all_tracks_are_inside_to_the_millimetre():
    motions = [walk(30), walk(21), walk(1)]
    tracks = [{"joints": joints, "label": f"motion {i}"} for i, joints in enumerate(motions)]
    page = Reader(player_html(tracks, fps=20, title="Walking", caption="a person walks")).check()
    (data,) = page.data()
    assert data["fps"] == 20 and len(data["tracks"]) == 3 == len(page.tags("canvas"))
    for i, (joints, track) in enumerate(zip(motions, data["tracks"], strict=True)):
        assert track["label"] == f"motion {i}" and track["frames"] == len(joints)
        assert np.abs(decoded(track) - joints).max() <= 0.0005 + 1e-9
    assert "Walking" in page.texts and "a person walks" in page.texts


def test_motion_far_from_the_origin_or_far_travelled_keeps_its_shape():
    far = walk() + [700.0, 0.0, -900.0]
    (data,) = Reader(player_html([{"joints": far, "label": ""}])).data()
    assert np.abs(decoded(data["tracks"][0]) - far).max() <= 0.0011
    long = travel(standing(50), np.linspace(0.0, 300.0, 50))
    (data,) = Reader(player_html([{"joints": long, "label": ""}])).data()
    assert np.abs(decoded(data["tracks"][0]) - long).max() <= 0.006


def test_texts_stay_texts():
    tracks = [{"joints": walk(3), "label": NASTY}, {"joints": walk(3), "label": "plain"}]
    page = Reader(page_html(player_html(tracks, title=NASTY, caption=NASTY), NASTY)).check()
    assert not page.tags("img")
    # Data, and the one script of the player.
    assert len(page.tags("script")) == 2
    assert page.texts.count(NASTY) == 4  # page title, title, caption, label
    assert page.data()[0]["tracks"][0]["label"] == NASTY
    assert NASTY.split("&")[0] in page.tags("canvas")[0]["aria-label"]


def test_the_page_needs_nothing_from_outside(tmp_path):
    page = save_html(tmp_path / "walk.html", [{"joints": walk(), "label": "a"}], title="Walk").read_text("utf-8")
    assert not re.search(r"https?://|@import|\burl\(|\bsrc\s*=|\bfetch\(|XMLHttpRequest|<link", page)
    assert len(page) < 100_000
    assert [p.name for p in tmp_path.iterdir()] == ["walk.html"]
    html = Reader(page).check()
    assert html.tags("html")[0]["lang"] == "en" and any("viewport" in m.get("name", "") for m in html.tags("meta"))


def test_assets_can_stand_once_for_many_players():
    fragment = player_html([{"joints": walk(5), "label": "a"}], assets=False)
    assert "<style" not in fragment and len(Reader(fragment).tags("script")) == 1
    page = fragment * 3 + player_assets()
    assert len(Reader(page).check().data()) == 3
    assert "__CONSTANTS__" not in player_assets()
    for count, body in BODIES.items():
        constants = json.loads(re.search(r"const C = (\{.*?\});\n", player_assets())[1])
        assert constants["bodies"][str(count)]["capsules"] == [list(c) for c in body.capsules]


def test_every_control_is_reachable_by_keyboard():
    page = Reader(player_html([{"joints": walk(5), "label": "a"}])).check()
    canvas = page.tags("canvas")[0]
    assert canvas["tabindex"] == "0" and canvas["role"] == "img" and "0.2 seconds" in canvas["aria-label"]
    script = player_assets()
    for name in ('"Time"', '"Speed"', '"View"', '"Pause"', "prefers-reduced-motion", "focus-visible", '"ArrowLeft"'):
        assert name.strip('"') in script


def test_equal_motion_gives_equal_bytes():
    tracks = [{"joints": walk(), "label": "a"}]
    assert player_html(tracks) == player_html(tracks)


def broken(kind: str) -> np.ndarray:
    joints = walk(4)
    if kind == "nan":
        joints[2, 3] = np.nan
    return {"nan": joints, "joints": joints[:, :17], "empty": joints[:0], "flat": joints[0]}[kind]


@pytest.mark.parametrize(
    ("kind", "message"), [("nan", "NaN"), ("joints", "shape"), ("empty", "no frames"), ("flat", "shape")]
)
def test_broken_motion_is_refused_by_name(kind, message, tmp_path):
    tracks = [{"joints": walk(4), "label": "good"}, {"joints": broken(kind), "label": "bad one"}]
    with pytest.raises(ValueError, match=f"track 1 'bad one'.*{message}"):
        player_html(tracks)
    with pytest.raises(ValueError):
        save_html(tmp_path / "x.html", tracks)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tracks": []}, "non-empty"),
        ({"tracks": {"joints": np.zeros((1, 22, 3))}}, "non-empty list"),
        ({"tracks": [np.zeros((1, 22, 3))]}, "track 0 is ndarray"),
        ({"tracks": [{"label": "x"}]}, "track 0 is dict"),
        ({"fps": 0}, "fps must be > 0, got 0"),
        ({"fps": float("nan")}, "fps must be > 0, got nan"),
        ({"height": 5}, "height must be .*, got 5"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        player_html(**({"tracks": [{"joints": standing(2), "label": "a"}]} | arguments))


def test_the_script_parses(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to parse the script with")
    path = tmp_path / "player.js"
    path.write_text(re.search(r"<script>(.*)</script>", player_assets(), re.S)[1], encoding="utf-8")
    subprocess.run([node, "--check", str(path)], check=True, capture_output=True, timeout=300)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROBE = """
<pre id="probe"></pre><script>
const key = (k, shiftKey) => UniMoPlayer.players[0].tracks[0].canvas.dispatchEvent(
  new KeyboardEvent("keydown", {key: k, shiftKey: !!shiftKey, bubbles: true}));
// It plays once the browser has seen it, which a busy machine may be late to do.
let waited = 0;
const waiting = setInterval(() => {
  if (!UniMoPlayer.players[0].playing && ++waited < 150) return;
  clearInterval(waiting);
  const p = UniMoPlayer.players[0], o = {players: UniMoPlayer.players.length, plays: p.playing};
  key(" "); o.paused = !p.playing;
  p.go(10); key("ArrowRight"); o.frame = p.time;
  const yaw = p.yaw; key("ArrowLeft", true); o.turned = p.yaw - yaw;
  key("+"); o.zoom = p.zoom; key("0"); o.reset = p.zoom; key("f"); o.follow = p.follow;
  p.draw();
  const found = p.tracks.map(t => {
    const pixels = t.context.getImageData(0, 0, t.canvas.width, t.canvas.height).data;
    let blue = 0, orange = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      if (pixels[i + 2] > pixels[i] + 60) blue++;
      if (pixels[i] > pixels[i + 2] + 60) orange++;
    }
    return [blue, orange];
  });
  o.colours = found; o.errors = errors; o.label = p.seek.getAttribute("aria-valuetext");
  document.getElementById("probe").textContent = JSON.stringify(o);
}, 100);
</script>
"""


@pytest.mark.slow
def test_a_browser_plays_it(tmp_path):
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}) to run the player in")
    tracks = [{"joints": walk(40), "label": "a"}, {"joints": walk(25), "label": "b"}]
    page = page_html(player_html(tracks) + PROBE, "probe")
    page = page.replace("</head>", "<script>errors=[];onerror=m=>errors.push(m)</script></head>")
    path = Path(tmp_path) / "probe.html"
    path.write_text(page, encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --dump-dom --window-size=1000,700 --virtual-time-budget=20000"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = json.loads(re.search(r'<pre id="probe">(\{.*?\})</pre>', shown)[1])
    assert found["errors"] == [] and found["players"] == 1 and found["plays"] and found["paused"]
    assert found["frame"] == 11 and found["label"] == "0.6 / 1.9 s"
    assert found["turned"] == pytest.approx(0.12) and found["zoom"] > 1 == found["reset"] and not found["follow"]
    for blue, orange in found["colours"]:
        assert blue > 150 and orange > 150
