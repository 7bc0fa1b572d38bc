"""Style sheet and script of the motion player that `visualization_unimo` puts into its HTML."""

STYLE = """
.unimo-player{--um-ink:#1c2430;--um-soft:#5b6675;--um-edge:#d5dbe3;--um-panel:#f7f9fb;--um-accent:#2f7acd;
--um-sky:#eef2f7;--um-far:#e3e8ee;--um-tile:#dde2e9;--um-line:#c3cad4;--um-shadow:rgba(40,50,64,.42);
--um-trail:#8a63c9;
margin:0;color:var(--um-ink);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;text-align:left}
@media (prefers-color-scheme:dark){.unimo-player{--um-ink:#e3e8ee;--um-soft:#9aa6b5;--um-edge:#343d49;
--um-panel:#1d232b;--um-accent:#6aaef5;--um-sky:#232a33;--um-far:#2b333d;--um-tile:#333c48;--um-line:#465161;
--um-shadow:rgba(0,0,0,.55);--um-trail:#b79bea}}
.unimo-player *{box-sizing:border-box}
.unimo-player .um-title{font-weight:600;font-size:16px;margin:0 0 2px}
.unimo-player .um-caption{margin:0 0 8px;color:var(--um-soft);overflow-wrap:anywhere}
.unimo-player .um-stage{display:flex;flex-wrap:wrap;gap:2px;border:1px solid var(--um-edge);border-bottom:0;
border-radius:10px 10px 0 0;overflow:hidden;background:var(--um-edge)}
.unimo-player .um-view{position:relative;flex:1 1 220px;min-width:0;background:var(--um-far)}
.unimo-player canvas{display:block;width:100%;max-height:110vw;cursor:grab;touch-action:pan-y;outline-offset:-3px}
.unimo-player canvas:active{cursor:grabbing}
.unimo-player canvas:focus-visible{outline:2px solid var(--um-accent)}
.unimo-player .um-label{position:absolute;left:10px;top:8px;max-width:calc(100% - 20px);padding:1px 7px;
border-radius:6px;background:var(--um-panel);color:var(--um-soft);font-size:12px;font-weight:600;pointer-events:none;
opacity:.92;overflow-wrap:anywhere}
.unimo-player .um-label:empty{display:none}
.unimo-player .um-bar{display:flex;flex-wrap:wrap;align-items:center;gap:6px 12px;padding:7px 9px;
border:1px solid var(--um-edge);border-radius:0 0 10px 10px;background:var(--um-panel)}
.unimo-player .um-group{display:flex;flex-wrap:wrap;align-items:center;gap:6px}
.unimo-player .um-times{flex:1 1 250px;flex-wrap:nowrap}
.unimo-player .um-bar button,.unimo-player .um-bar select{font:inherit;font-size:13px;line-height:1.2;height:30px;
margin:0;padding:0 9px;color:var(--um-ink);background:transparent;border:1px solid var(--um-edge);border-radius:7px;
cursor:pointer}
.unimo-player .um-bar select{padding:0 4px;background:var(--um-panel)}
.unimo-player .um-bar button:hover,.unimo-player .um-bar select:hover{border-color:var(--um-accent)}
.unimo-player .um-bar :focus-visible{outline:2px solid var(--um-accent);outline-offset:1px}
.unimo-player .um-bar button[aria-pressed=true]{border-color:var(--um-accent);color:var(--um-accent)}
.unimo-player .um-play{width:38px;padding:0!important;display:grid;place-items:center}
.unimo-player .um-play svg{width:14px;height:14px;fill:currentColor}
.unimo-player .um-line{position:relative;flex:1 1 60px;min-width:60px;display:grid}
.unimo-player .um-seek{width:100%;min-width:0;margin:0;accent-color:var(--um-accent);height:30px}
.unimo-player .um-mark{position:absolute;top:0;height:100%;border-left:2px solid var(--um-trail);opacity:.7;
pointer-events:none}
.unimo-player .um-now{position:absolute;left:10px;bottom:8px;max-width:calc(100% - 20px);padding:1px 7px;
border-radius:6px;background:var(--um-panel);color:var(--um-ink);font-size:13px;pointer-events:none;opacity:.92;
overflow-wrap:anywhere}
.unimo-player .um-now:empty{display:none}
.unimo-player .um-time{min-width:84px;color:var(--um-soft);font-size:13px;font-variant-numeric:tabular-nums;
white-space:nowrap;text-align:right}
"""

SCRIPT = r"""
(function () {
"use strict";
if (window.UniMoPlayer) { window.UniMoPlayer.mountAll(); return; }
const C = __CONSTANTS__;
const FOV = 17 * Math.PI / 180;
const VIEWS = {"three-quarter": [38, 16], front: [0, 8], side: [90, 8], back: [180, 12], top: [0, 88]};
const NAMES = {"three-quarter": "Three-quarter", front: "Front", side: "Side", back: "Back", top: "Top"};
const PLAY = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 1.5v13l11-6.5z"/></svg>';
const PAUSE = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3 1.5h4v13H3zM9 1.5h4v13H9z"/></svg>';
const HINT = "Drag to turn; pinch, or wheel after a click, to zoom. Keys: space play, left and right step, " +
  "shift with arrows turn, + and - zoom, 0 reset, F follow, T trail.";
const clamp = (v, lo, hi) => v < lo ? lo : v > hi ? hi : v;
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

function decode(track) {
  const text = atob(track.data), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const whole = new Int16Array(bytes.buffer), out = new Float32Array(whole.length);
  for (let i = 0; i < whole.length; i++) out[i] = track.origin[i % 3] + whole[i] * track.step;
  return out;
}

// Root path smoothed over time: what the camera follows.
function smoothPath(joints, stride, frames, fps) {
  const sigma = 0.35 * fps, reach = Math.ceil(3 * sigma), weights = [];
  let total = 0;
  for (let k = -reach; k <= reach; k++) { const w = Math.exp(-0.5 * (k / sigma) ** 2); weights.push(w); total += w; }
  const out = new Float32Array(frames * 3);
  for (let t = 0; t < frames; t++) for (let c = 0; c < 3; c++) {
    let sum = 0;
    for (let k = -reach; k <= reach; k++) sum += weights[k + reach] * joints[clamp(t + k, 0, frames - 1) * stride + c];
    out[t * 3 + c] = sum / total;
  }
  return out;
}

class Track {
  constructor(source, fps, canvas) {
    Object.assign(this, source);
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.shape = C.bodies[source.body];
    this.stride = this.shape.joints * 3;
    this.data = "";
    this.hold(decode(source), fps);
    this.count = this.shape.joints + this.shape.between.length + this.shape.beyond.length;
    this.points = new Float32Array(this.count * 3);
    this.flat = new Float32Array(this.count * 4);
    this.raster = document.createElement("canvas");
    this.dim = document.createElement("canvas");
    this.soft = document.createElement("canvas");
  }

  // Show these joints from now on: all of a motion, or as much of it as there is.
  hold(joints, fps) {
    this.joints = joints;
    this.frames = joints.length / this.stride;
    this.path = smoothPath(this.joints, this.stride, this.frames, fps);
    const heights = Array.from({length: this.frames}, (_, t) => this.joints[t * this.stride + 1]);
    heights.sort((a, b) => a - b);
    const median = heights[heights.length >> 1];
    for (let t = 0; t < this.frames; t++) this.path[t * 3 + 1] = 0.5 * this.path[t * 3 + 1] + 0.4 * median;
    this.ground = -C.sole * this.scale;
    this.middle = [0, 0, 0];
    let low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
    this.reach = 0;
    for (let t = 0; t < this.frames; t++) for (let j = 0; j < this.shape.joints; j++) {
      let d = 0;
      for (let c = 0; c < 3; c++) {
        const v = this.joints[t * this.stride + j * 3 + c];
        low[c] = Math.min(low[c], v); high[c] = Math.max(high[c], v);
        d += (v - this.path[t * 3 + c]) ** 2;
      }
      this.reach = Math.max(this.reach, Math.sqrt(d));
    }
    for (let c = 0; c < 3; c++) this.middle[c] = 0.5 * (low[c] + high[c]);
    this.span = 0.5 * Math.hypot(high[0] - low[0], high[1] - low[1], high[2] - low[2]);
  }

  pose(frame) {
    const t = clamp(frame, 0, this.frames - 1), a = Math.floor(t), b = Math.min(a + 1, this.frames - 1), w = t - a;
    const n = this.stride, p = this.points, J = this.joints;
    for (let i = 0; i < n; i++) p[i] = J[a * n + i] * (1 - w) + J[b * n + i] * w;
    let k = n;
    for (const [i, j, s] of this.shape.between)
      for (let c = 0; c < 3; c++) p[k++] = p[i * 3 + c] + s * (p[j * 3 + c] - p[i * 3 + c]);
    for (const [i, j, length] of this.shape.beyond) {
      const x = p[i * 3] - p[j * 3], y = p[i * 3 + 1] - p[j * 3 + 1], z = p[i * 3 + 2] - p[j * 3 + 2];
      const s = length * this.scale / Math.max(Math.hypot(x, y, z), 1e-6);
      p[k++] = p[i * 3] + x * s; p[k++] = p[i * 3 + 1] + y * s; p[k++] = p[i * 3 + 2] + z * s;
    }
    const q = this.path;
    return [0, 1, 2].map(c => q[a * 3 + c] * (1 - w) + q[b * 3 + c] * w);
  }
}

class Camera {
  constructor(target, yaw, pitch, distance, width, height) {
    const cp = Math.cos(pitch), sp = Math.sin(pitch), cy = Math.cos(yaw), sy = Math.sin(yaw);
    this.right = [cy, 0, -sy];
    this.depth = [-sy * cp, -sp, -cy * cp];
    this.down = [sp * sy, -cp, sp * cy];
    const d = this.depth, r = this.right;
    this.at = target.map((v, i) => v - distance * d[i]);
    this.focal = 0.5 * Math.min(height, width * 1.1) / Math.tan(FOV);
    this.cx = width / 2; this.cy = height / 2; this.width = width; this.height = height;
    // Light from above, over the viewer's left shoulder.
    const light = [-0.5 * r[0] + 0.38 * sy, 1, -0.5 * r[2] + 0.38 * cy];
    const norm = Math.hypot(...light);
    this.light = light.map(v => v / norm);
    const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
    this.lit = [dot(this.light, r), dot(this.light, this.down), dot(this.light, d)];
  }
  see(x, y, z) {
    const a = x - this.at[0], b = y - this.at[1], c = z - this.at[2], R = this.right, D = this.down, F = this.depth;
    const depth = a * F[0] + b * F[1] + c * F[2];
    const k = this.focal / Math.max(depth, 0.05);
    return [this.cx + (a * R[0] + b * R[1] + c * R[2]) * k, this.cy + (a * D[0] + b * D[1] + c * D[2]) * k, depth, k];
  }
}

// A world segment on the ground, cut at the near plane; null if behind the camera.
function segment(cam, x0, z0, x1, z1, y) {
  const near = 0.15, a = cam.see(x0, y, z0), b = cam.see(x1, y, z1);
  if (a[2] < near && b[2] < near) return null;
  if (a[2] < near || b[2] < near) {
    const t = (near - a[2]) / (b[2] - a[2]), m = cam.see(x0 + t * (x1 - x0), y, z0 + t * (z1 - z0));
    return a[2] < near ? [m, b] : [a, m];
  }
  return [a, b];
}

function drawGround(ctx, cam, track, focus, colors) {
  const {width, height} = cam, y = track.ground;
  const sky = ctx.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, colors.sky); sky.addColorStop(1, colors.far);
  ctx.fillStyle = sky; ctx.fillRect(0, 0, width, height);
  const R = 7, ox = Math.round(focus[0]), oz = Math.round(focus[2]);
  const fade = (x, z) => clamp(1.25 - Math.hypot(x - focus[0], z - focus[2]) / (R - 1), 0, 1);
  ctx.fillStyle = colors.tile;
  for (let i = -R; i < R; i++) for (let j = -R; j < R; j++) {
    if ((ox + i + oz + j) & 1) continue;
    const x = ox + i, z = oz + j, a = fade(x + 0.5, z + 0.5);
    if (a <= 0) continue;
    const corners = [cam.see(x, y, z), cam.see(x + 1, y, z), cam.see(x + 1, y, z + 1), cam.see(x, y, z + 1)];
    if (corners.some(p => p[2] < 0.15)) continue;
    ctx.globalAlpha = a * 0.8;
    ctx.beginPath();
    corners.forEach((p, n) => n ? ctx.lineTo(p[0], p[1]) : ctx.moveTo(p[0], p[1]));
    ctx.fill();
  }
  ctx.strokeStyle = colors.line;
  ctx.lineWidth = 1;
  for (let axis = 0; axis < 2; axis++) for (let i = -R; i <= R; i++) for (let j = -R; j < R; j++) {
    const x = axis ? ox + i : ox + j, z = axis ? oz + j : oz + i;
    const a = fade(x + (axis ? 0 : 0.5), z + (axis ? 0.5 : 0));
    const s = a > 0 && segment(cam, x, z, axis ? x : x + 1, axis ? z + 1 : z, y);
    if (!s) continue;
    ctx.globalAlpha = a;
    ctx.beginPath(); ctx.moveTo(s[0][0], s[0][1]); ctx.lineTo(s[1][0], s[1][1]); ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

function drawTrail(ctx, cam, track, frame, fps, colors) {
  const y = track.ground, n = track.stride, J = track.joints, now = clamp(frame, 0, track.frames - 1);
  ctx.strokeStyle = ctx.fillStyle = colors.trail;
  ctx.lineWidth = 2; ctx.lineCap = "round";
  for (const past of [false, true]) {
    ctx.globalAlpha = past ? 0.9 : 0.28;
    ctx.beginPath();
    const from = past ? 0 : Math.floor(now), to = past ? Math.floor(now) : track.frames - 1;
    for (let t = from; t < to; t++) {
      const s = segment(cam, J[t * n], J[t * n + 2], J[(t + 1) * n], J[(t + 1) * n + 2], y);
      if (s) { ctx.moveTo(s[0][0], s[0][1]); ctx.lineTo(s[1][0], s[1][1]); }
    }
    ctx.stroke();
  }
  // A dot for every second, so that speed can be read off the path.
  for (let t = 0; t < track.frames; t += fps) {
    const i = Math.round(t), p = cam.see(J[i * n], y, J[i * n + 2]);
    if (p[2] < 0.15) continue;
    ctx.globalAlpha = i <= now ? 0.9 : 0.35;
    ctx.beginPath(); ctx.ellipse(p[0], p[1], 3, 2, 0, 0, 7); ctx.fill();
  }
  ctx.globalAlpha = 1;
}

function drawShadow(ctx, cam, track, colors) {
  // Drawn small, blurred and enlarged.
  const shrink = 4, w = Math.ceil(cam.width / shrink) + 1, h = Math.ceil(cam.height / shrink) + 1, L = cam.light;
  if (track.dim.width !== w || track.dim.height !== h) { track.dim.width = w; track.dim.height = h; }
  const dim = track.dim.getContext("2d"), P = track.points, y = track.ground;
  dim.setTransform(1, 0, 0, 1, 0, 0);
  dim.clearRect(0, 0, w, h);
  dim.setTransform(1 / shrink, 0, 0, 1 / shrink, 0, 0);
  dim.fillStyle = "#000";
  for (const [a, b, ra, rb] of track.shape.capsules) {
    const ends = [[a, ra], [b, rb]].map(([i, r]) => {
      const lift = (P[i * 3 + 1] - y) / L[1];
      return [P[i * 3] - L[0] * lift, P[i * 3 + 2] - L[2] * lift, r * track.scale];
    });
    // Outline of the two circles on the ground and the band between them.
    const [p, q] = ends, turn = Math.atan2(q[1] - p[1], q[0] - p[0]), outline = [];
    for (let k = 0; k <= 8; k++) {
      const angle = turn + Math.PI / 2 + Math.PI * k / 8;
      outline.push([p[0] + p[2] * Math.cos(angle), p[1] + p[2] * Math.sin(angle)]);
    }
    for (let k = 0; k <= 8; k++) {
      const angle = turn - Math.PI / 2 + Math.PI * k / 8;
      outline.push([q[0] + q[2] * Math.cos(angle), q[1] + q[2] * Math.sin(angle)]);
    }
    const seen = outline.map(o => cam.see(o[0], y, o[1]));
    if (seen.some(s => s[2] < 0.15)) continue;
    dim.beginPath();
    seen.forEach((s, n) => n ? dim.lineTo(s[0], s[1]) : dim.moveTo(s[0], s[1]));
    dim.fill();
  }
  // Nine shifted copies summed: a small blur that every browser has.
  const soft = track.soft;
  if (soft.width !== w || soft.height !== h) { soft.width = w; soft.height = h; }
  const mix = soft.getContext("2d");
  mix.globalCompositeOperation = "source-over";
  mix.clearRect(0, 0, w, h);
  mix.globalCompositeOperation = "lighter";
  mix.globalAlpha = 1 / 9;
  for (let i = -1; i <= 1; i++) for (let j = -1; j <= 1; j++) mix.drawImage(track.dim, i, j);
  mix.globalAlpha = 1;
  mix.globalCompositeOperation = "source-in";
  mix.fillStyle = colors.shadow;
  mix.fillRect(0, 0, w, h);
  ctx.imageSmoothingEnabled = true;
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(soft, 0, 0, w * shrink, h * shrink);
}

// The body: every limb a sphere swept along its bone, in closed form per pixel, with a depth buffer.
function drawBody(ctx, cam, track, density) {
  const F = track.flat, P = track.points;
  let left = 1e9, right = -1e9, top = 1e9, bottom = -1e9, big = 0;
  for (let i = 0; i < track.count; i++) {
    const s = cam.see(P[i * 3], P[i * 3 + 1], P[i * 3 + 2]);
    if (s[2] < 0.2) return;
    F[i * 4] = s[0]; F[i * 4 + 1] = s[1]; F[i * 4 + 2] = s[2]; F[i * 4 + 3] = s[3];
    left = Math.min(left, s[0]); right = Math.max(right, s[0]);
    top = Math.min(top, s[1]); bottom = Math.max(bottom, s[1]); big = Math.max(big, s[3]);
  }
  const pad = 0.115 * track.scale * big + 2;
  left = Math.max(Math.floor(left - pad), 0); top = Math.max(Math.floor(top - pad), 0);
  right = Math.min(Math.ceil(right + pad), cam.width); bottom = Math.min(Math.ceil(bottom + pad), cam.height);
  if (right <= left || bottom <= top) return;
  // At most about 0.3 megapixels a body, so that fine screens stay smooth.
  const q = Math.min(density, Math.sqrt(3e5 / ((right - left) * (bottom - top))));
  const w = Math.max(1, Math.round((right - left) * q)), h = Math.max(1, Math.round((bottom - top) * q));
  if (!track.depth || track.depth.length < w * h) {
    track.depth = new Float32Array(w * h);
    track.pixels = new Uint8ClampedArray(w * h * 4);
  }
  const depth = track.depth, out = track.pixels;
  depth.fill(1e9, 0, w * h); out.fill(0, 0, w * h * 4);
  const order = track.shape.capsules.map((c, i) => [F[c[0] * 4 + 2] + F[c[1] * 4 + 2], i]).sort((a, b) => b[0] - a[0]);
  for (const [, index] of order) {
    const [a, b, r0, r1, side] = track.shape.capsules[index], color = C.colors[side], rim = side ? 0.30 : 0.08;
    const ax = (F[a * 4] - left) * q, ay = (F[a * 4 + 1] - top) * q, az = F[a * 4 + 2];
    const bx = (F[b * 4] - left) * q, by = (F[b * 4 + 1] - top) * q, bz = F[b * 4 + 2];
    const ra = r0 * track.scale * F[a * 4 + 3] * q, rb = r1 * track.scale * F[b * 4 + 3] * q;
    const perMetre = cam.focal * q / (0.5 * (az + bz)), dr = rb - ra, dz = bz - az;
    let ux = bx - ax, uy = by - ay;
    const length = Math.max(Math.hypot(ux, uy), 1e-3);
    ux /= length; uy /= length;
    const rise = -dz * perMetre, lean = rise / Math.hypot(length, rise), rm = 0.5 * (ra + rb), rm2 = rm * rm;
    const widest = (Math.max(ra, rb) + 0.5) ** 2;
    const lu = cam.lit[0] * ux + cam.lit[1] * uy, lv = cam.lit[1] * ux - cam.lit[0] * uy, lw = cam.lit[2];
    const x0 = Math.max(Math.floor(Math.min(ax - ra, bx - rb) - 1), 0);
    const x1 = Math.min(Math.ceil(Math.max(ax + ra, bx + rb) + 1), w);
    const y0 = Math.max(Math.floor(Math.min(ay - ra, by - rb) - 1), 0);
    const y1 = Math.min(Math.ceil(Math.max(ay + ra, by + rb) + 1), h);
    for (let y = y0; y < y1; y++) {
      const py = y + 0.5 - ay;
      for (let x = x0; x < x1; x++) {
        const px = x + 0.5 - ax, across = py * ux - px * uy, sq = across * across;
        if (sq > widest) continue;
        const along = px * ux + py * uy;
        let t = (along + (sq < rm2 ? Math.sqrt(rm2 - sq) * lean : 0)) / length;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        const e = along - t * length, d2 = sq + e * e, r = ra + t * dr;
        if (d2 >= (r + 0.5) * (r + 0.5)) continue;
        const bulge = d2 < r * r ? Math.sqrt(r * r - d2) : 0, z = az + t * dz - bulge / perMetre, at = y * w + x;
        if (z >= depth[at]) continue;
        let cover = r - Math.sqrt(d2) + 0.5;
        if (cover > 1) cover = 1;
        if (cover > 0.5) depth[at] = z;
        let lit = 0.66 + 0.44 * (e * lu + across * lv - bulge * lw) / r;
        if (lit < 0.52) lit = 0.52;
        lit += (bulge / r - 1) * rim;
        const gloss = lit > 0.97 ? (lit - 0.97) * 420 : 0, o = at * 4;
        const R = color[0] * lit + gloss, G = color[1] * lit + gloss, B = color[2] * lit + gloss;
        const behind = out[o + 3] / 255 * (1 - cover), all = cover + behind;
        out[o] = (R * cover + out[o] * behind) / all;
        out[o + 1] = (G * cover + out[o + 1] * behind) / all;
        out[o + 2] = (B * cover + out[o + 2] * behind) / all;
        out[o + 3] = all * 255;
      }
    }
  }
  if (track.raster.width < w || track.raster.height < h) {
    track.raster.width = Math.max(w, track.raster.width); track.raster.height = Math.max(h, track.raster.height);
  }
  track.raster.getContext("2d").putImageData(new ImageData(out.subarray(0, w * h * 4), w, h), 0, 0);
  ctx.drawImage(track.raster, 0, 0, w, h, left, top, right - left, bottom - top);
}

class Player {
  constructor(root) {
    this.root = root;
    const source = JSON.parse(root.querySelector(".um-data").textContent);
    const canvases = root.querySelectorAll("canvas");
    this.fps = source.fps;
    this.segments = source.segments;
    this.tracks = source.tracks.map((t, i) => new Track(t, source.fps, canvases[i]));
    this.last = Math.max(...this.tracks.map(t => t.frames)) - 1;
    this.time = 0; this.speed = 1; this.playing = false; this.visible = false; this.wanted = !still.matches;
    this.follow = true; this.trail = true;
    this.readColors();
    this.buildBar();
    this.setView("three-quarter");
    this.tracks.forEach(t => this.listen(t.canvas));
    root.addEventListener("keydown", e => this.key(e));
    new ResizeObserver(() => { this.dirty = true; wake(); }).observe(root);
    new IntersectionObserver(entries => {
      const seen = entries[entries.length - 1];
      this.visible = seen.isIntersecting;
      if (seen.intersectionRatio >= 0.2 && this.wanted && !this.playing && this.last > 0) this.play(true);
      wake();
    }, {threshold: [0, 0.2], rootMargin: "60px"}).observe(root);
  }

  readColors() {
    const style = getComputedStyle(this.root);
    this.colors = {};
    for (const name of ["sky", "far", "tile", "line", "shadow", "trail"])
      this.colors[name] = style.getPropertyValue("--um-" + name).trim();
    this.dirty = true;
  }

  buildBar() {
    const bar = this.root.querySelector(".um-bar");
    bar.textContent = "";
    let group = bar;
    const make = (tag, props) => {
      const node = Object.assign(document.createElement(tag), props);
      group.append(node);
      return node;
    };
    const time = make("div", {className: "um-group um-times"}), tools = make("div", {className: "um-group"});
    group = time;
    this.button = make("button", {type: "button", className: "um-play", innerHTML: PLAY,
      onclick: () => { this.wanted = !this.playing; this.play(this.wanted); }});
    group = make("div", {className: "um-line"});
    // The thumb of a range input stops half its width, about 8 pixels, before either end.
    for (const [start] of this.segments) if (start > 0) {
      const share = Math.min(start * this.fps / Math.max(this.last, 1), 1);
      make("span", {className: "um-mark"}).style.left = `calc(8px + ${share} * (100% - 16px))`;
    }
    this.seek = make("input", {type: "range", className: "um-seek", min: 0, max: this.last, step: 1, value: 0,
      oninput: () => { this.wanted = false; this.play(false); this.go(+this.seek.value); }});
    this.seek.setAttribute("aria-label", "Time");
    group = time;
    this.clock = make("span", {className: "um-time"});
    group = tools;
    const speed = make("select", {title: "Speed", onchange: () => { this.speed = +speed.value; }});
    speed.setAttribute("aria-label", "Speed");
    for (const s of [0.25, 0.5, 1, 2]) speed.add(new Option(s + "\u00d7", s, s === 1, s === 1));
    this.views = make("select", {title: "View", onchange: () => this.setView(this.views.value)});
    this.views.setAttribute("aria-label", "View");
    for (const name in VIEWS) this.views.add(new Option(NAMES[name], name));
    this.followButton = make("button", {type: "button", textContent: "Follow", title: "Camera follows the body (F)",
      onclick: () => this.toggle("follow")});
    this.trailButton = make("button", {type: "button", textContent: "Trail", title: "Path of the root (T)",
      onclick: () => this.toggle("trail")});
    this.label();
    this.tracks.forEach(t => { t.canvas.title = HINT; });
    this.told = Object.assign(document.createElement("span"), {className: "um-now"});
    this.root.querySelector(".um-view").append(this.told);
  }

  label() {
    this.button.innerHTML = this.playing ? PAUSE : PLAY;
    this.button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.followButton.setAttribute("aria-pressed", this.follow);
    this.trailButton.setAttribute("aria-pressed", this.trail);
  }

  toggle(name) {
    this[name] = !this[name];
    if (name === "follow") this.zoom = 1;
    this.dirty = true; this.label(); wake();
  }

  setView(name) {
    const [azimuth, elevation] = VIEWS[name], [hx, hz] = this.tracks[0].heading;
    this.yaw = Math.atan2(hx, hz) - azimuth * Math.PI / 180;
    this.pitch = elevation * Math.PI / 180;
    this.zoom = 1; this.views.value = name; this.dirty = true;
    wake();
  }

  turn(dx, dy) {
    this.yaw -= dx; this.pitch = clamp(this.pitch + dy, 0.03, 1.55);
    this.dirty = true; wake();
  }

  scale(factor) { this.zoom = clamp(this.zoom * factor, 0.3, 6); this.dirty = true; wake(); }
  // A motion that is still being written: the joints so far, and whether more will come.
  show(joints, more) {
    this.tracks[0].hold(joints, this.fps);
    this.last = this.tracks[0].frames - 1;
    this.seek.max = this.last;
    this.more = more; this.dirty = true;
    wake();
  }
  play(on) {
    if (on && this.time >= this.last) this.time = 0;
    this.playing = on; this.rest = 0; this.label(); wake();
  }
  go(frame) { this.time = clamp(frame, 0, this.last); this.rest = 0; this.dirty = true; wake(); }

  listen(canvas) {
    const held = new Map();
    canvas.addEventListener("pointerdown", e => {
      held.set(e.pointerId, [e.clientX, e.clientY]); canvas.setPointerCapture(e.pointerId);
    });
    canvas.addEventListener("pointermove", e => {
      const before = held.get(e.pointerId);
      if (!before) return;
      if (held.size === 1) {
        this.turn((e.clientX - before[0]) * 0.01, (e.clientY - before[1]) * 0.01);
      } else {
        const other = [...held].find(([id]) => id !== e.pointerId)[1];
        const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
        const is = Math.hypot(e.clientX - other[0], e.clientY - other[1]);
        if (was > 0 && is > 0) this.scale(is / was);
      }
      held.set(e.pointerId, [e.clientX, e.clientY]);
    });
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, e => held.delete(e.pointerId));
    // Only after a click or tab, or with Ctrl: a page with many players must still scroll.
    canvas.addEventListener("wheel", e => {
      if (!e.ctrlKey && document.activeElement !== canvas) return;
      e.preventDefault();
      this.scale(Math.exp(-e.deltaY * 0.0015));
    }, {passive: false});
    canvas.addEventListener("dblclick", () => this.setView("three-quarter"));
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.tagName === "SELECT") return;
    const arrow = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key];
    if (arrow && e.shiftKey) this.turn(arrow[0] * 0.12, arrow[1] * -0.12);
    else if (e.target === this.seek) return;
    else if (e.key === " " && e.target.tagName !== "BUTTON") { this.wanted = !this.playing; this.play(this.wanted); }
    else if (arrow && arrow[0]) {
      this.wanted = false; this.play(false); this.go(Math.round(this.time) + arrow[0]);
    }
    else if (e.key === "+" || e.key === "=") this.scale(1.15);
    else if (e.key === "-") this.scale(1 / 1.15);
    else if (e.key === "0") this.setView("three-quarter");
    else if (e.key === "f" || e.key === "F") this.toggle("follow");
    else if (e.key === "t" || e.key === "T") this.toggle("trail");
    else return;
    e.preventDefault();
  }

  tick(seconds) {
    if (this.playing && this.visible) {
      if (this.time >= this.last && this.more) {
        this.rest = 0;
      } else if (this.time >= this.last) {
        // Hold the last pose for a moment, then start again.
        this.rest += seconds;
        if (this.rest > 0.7) { this.time = 0; this.rest = 0; this.dirty = true; }
      } else {
        this.time = Math.min(this.time + seconds * this.fps * this.speed, this.last);
        this.dirty = true;
      }
    }
    if (this.dirty && this.visible) this.draw();
    return this.visible && (this.playing || this.dirty);
  }

  draw() {
    this.dirty = false;
    const density = window.devicePixelRatio || 1;
    const reach = Math.max(...this.tracks.map(t => this.follow ? t.reach + 0.12 * t.scale : t.span + 0.3 * t.scale));
    for (const track of this.tracks) {
      const canvas = track.canvas, width = canvas.clientWidth, height = canvas.clientHeight;
      if (!width || !height) { this.dirty = true; continue; }
      const w = Math.round(width * density), h = Math.round(height * density);
      if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
      const ctx = track.context;
      ctx.setTransform(density, 0, 0, density, 0, 0);
      const at = track.pose(this.time), target = this.follow ? at : track.middle;
      const distance = Math.max(reach, 0.4 * track.scale) / Math.sin(FOV) / this.zoom;
      const cam = new Camera(target, this.yaw, this.pitch, distance, width, height);
      drawGround(ctx, cam, track, target, this.colors);
      if (this.trail) drawTrail(ctx, cam, track, this.time, this.fps, this.colors);
      drawShadow(ctx, cam, track, this.colors);
      drawBody(ctx, cam, track, density);
    }
    const now = Math.round(this.time);
    this.seek.value = now;
    const segment = this.segments.find(([start, end]) => this.time / this.fps >= start && this.time / this.fps < end);
    const told = segment ? segment[2] : "";
    if (this.told.textContent !== told) this.told.textContent = told;
    const text = (this.time / this.fps).toFixed(1) + " / " + (this.last / this.fps).toFixed(1) + " s";
    this.clock.textContent = text;
    this.seek.setAttribute("aria-valuetext", text);
  }
}

const players = [];
let asleep = true, before = 0;
function wake() { if (asleep) { asleep = false; before = performance.now(); requestAnimationFrame(loop); } }
function loop(now) {
  const seconds = clamp((now - before) / 1000, 0, 0.1);
  before = now;
  let busy = false;
  for (let i = players.length - 1; i >= 0; i--) {
    // A notebook throws outputs away.
    if (!players[i].root.isConnected) players.splice(i, 1);
    else if (players[i].tick(seconds)) busy = true;
  }
  if (busy) requestAnimationFrame(loop); else asleep = true;
}
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  players.forEach(p => p.readColors()); wake();
});
function mountAll() {
  document.querySelectorAll(".unimo-player:not([data-mounted])").forEach(root => {
    root.dataset.mounted = "";
    players.push(new Player(root));
  });
  wake();
}
window.UniMoPlayer = {mountAll, players};
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mountAll);
mountAll();
})();
"""
