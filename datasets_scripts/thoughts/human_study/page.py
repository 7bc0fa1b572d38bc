"""The page on which one rater fills in a sheet: two texts and two views of each motion, the second view covered until
the first is marked. It keeps the marks in the browser and saves them as the CSV sheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from modeling_unimo.visualization_unimo import page_html

SCORES = {1: "not at all", 2: "little", 3: "half", 4: "mostly", 5: "fully"}
COLUMNS = ("rater", "row", "view", "choice", "score", "wrong")
MOST_WRONG = 20


@dataclass(frozen=True)
class PageRow:
    """One motion on a page: its name, texts A and B, and (view, file) in the order they are shown."""

    name: str
    texts: tuple[str, str]
    films: tuple[tuple[str, str], tuple[str, str]]


def rater_page(rater: str, study: str, rows: Sequence[PageRow]) -> str:
    """The page of `rater`; `study` names the sheet in the browser's memory."""
    scale = "; ".join(f"{score} {words}" for score, words in SCORES.items())
    sections = "".join(_section(number, row) for number, row in enumerate(rows, start=1))
    order = [[row.name, view] for row in rows for view, _ in row.films]
    data = json.dumps({"rater": rater, "study": study, "order": order, "columns": COLUMNS}).replace("<", "\\u003c")
    body = (
        f"<main><header><h1>Which text fits the motion?</h1><p>Sheet of <b>{escape(rater)}</b>, {len(rows)} motions, "
        "each shown twice. Look at one view as often as you like and mark it before you go on to the other; judge "
        "each by what <em>that</em> view shows. The person's left arm and leg are blue, the right ones orange.</p><ol>"
        "<li><b>Which text fits?</b> A or B. Where you cannot tell, guess.</li>"
        f"<li><b>How well does it fit?</b> How much of that text is right: {scale}.</li>"
        "<li><b>How many of its statements are wrong?</b> A number, 0 where all are right.</li></ol></header>"
        f'{sections}</main><footer><span id="progress" aria-live="polite"></span>'
        '<button type="button" id="save">Save my sheet</button></footer>'
        f'<script type="application/json" id="sheet">{data}</script><script>{_SCRIPT}</script>'
    )
    return page_html(body, f"Sheet of {rater}", _STYLE)


def _section(number: int, row: PageRow) -> str:
    texts = "".join(
        f'<p class="text"><b>{letter}</b><span dir="auto">{escape(text)}</span></p>'
        for letter, text in zip("AB", row.texts, strict=True)
    )
    columns = "".join(_column(row.name, view, file) for view, file in row.films)
    return (
        f'<section id="{row.name}"><h2>{number}</h2><div class="texts">{texts}</div>'
        f'<div class="columns">{columns}</div></section>'
    )


def _column(name: str, view: str, file: str) -> str:
    group = f"{name}.{view}"
    if file.endswith(".mp4"):
        film = f'<video src="{escape(file)}" loop muted autoplay playsinline controls></video>'
    else:
        film = f'<img src="{escape(file)}" alt="the motion">'
    choices = "".join(
        f'<label><input type="radio" name="{group}.choice" value="{letter}">{letter}</label>' for letter in "AB"
    )
    scores = "".join(
        f'<label title="{words}"><input type="radio" name="{group}.score" value="{score}">{score}</label>'
        for score, words in SCORES.items()
    )
    return (
        f'<div class="view" data-view="{group}">{film}<fieldset><legend>Which text fits?</legend>{choices}</fieldset>'
        f"<fieldset><legend>How well does it fit?</legend>{scores}</fieldset>"
        f'<fieldset><legend>Wrong statements</legend><input type="number" min="0" max="{MOST_WRONG}" step="1" '
        f'name="{group}.wrong" aria-label="number of wrong statements"></fieldset></div>'
    )


_STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--edge:#d5dbe3;--panel:#fff;--ground:#f2f5f8;--accent:#2f7acd}
@media (prefers-color-scheme:dark){:root{--ink:#e3e8ee;--soft:#9aa6b5;--edge:#343d49;--panel:#1b2128;--ground:#12161b}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:900px;margin:0 auto;padding:20px 16px 90px}h1{font-size:23px;margin:0 0 6px;color:var(--ink)}
header{color:var(--soft)}
section{background:var(--panel);border:1px solid var(--edge);border-radius:12px;padding:12px 16px;margin:0 0 18px}
h2{font-size:15px;margin:0;color:var(--soft)}
.text{display:flex;gap:10px;margin:6px 0;overflow-wrap:anywhere}.text b{color:var(--accent)}
.columns{display:grid;grid-template-columns:1fr 1fr;gap:18px;margin-top:10px}
.view{position:relative}video,img{width:100%;display:block;border-radius:8px;background:var(--edge)}
fieldset{border:0;padding:0;margin:8px 0 0;display:flex;flex-wrap:wrap;gap:4px 14px;align-items:center}
legend{float:left;width:170px;padding:0;font-size:13.5px;color:var(--soft)}
label{cursor:pointer;white-space:nowrap}input[type=number]{width:64px;font:inherit}
.view.covered>*{visibility:hidden}
.view.covered:after{content:"Mark the other view first";position:absolute;inset:0;display:grid;place-items:center;
border:2px dashed var(--edge);border-radius:8px;color:var(--soft)}
.done{outline:2px solid #1c7c3f;outline-offset:6px;border-radius:6px}
footer{position:fixed;inset:auto 0 0 0;background:var(--panel);border-top:1px solid var(--edge);padding:10px 16px;
display:flex;gap:18px;justify-content:center;align-items:center}
button{font:inherit;padding:5px 14px;border-radius:8px;border:1px solid var(--accent);background:var(--accent);
color:#fff;cursor:pointer}
"""

_SCRIPT = r"""
(function () {
"use strict";
const sheet = JSON.parse(document.getElementById("sheet").textContent), key = "unimo-sheet-" + sheet.study;
const items = ["choice", "score", "wrong"];
let marks = {};
// A browser may forbid storage for pages opened from a folder; the sheet then lasts as long as the page.
try { marks = JSON.parse(localStorage.getItem(key) || "{}"); } catch (error) { marks = {}; }
const whole = group => items.every(item => marks[group + "." + item]);
function show() {
  let done = 0;
  document.querySelectorAll(".columns").forEach(columns => {
    const [first, second] = columns.querySelectorAll(".view");
    for (const view of [first, second]) {
      const ready = whole(view.dataset.view);
      done += ready;
      view.classList.toggle("done", ready);
    }
    second.classList.toggle("covered", !whole(first.dataset.view));
  });
  document.getElementById("progress").textContent = done + " of " + sheet.order.length + " views marked";
}
function csv() {
  const lines = [sheet.columns.join(",")];
  for (const [row, view] of sheet.order)
    lines.push([sheet.rater, row, view, ...items.map(item => marks[row + "." + view + "." + item] || "")].join(","));
  return lines.join("\r\n") + "\r\n";
}
document.querySelectorAll("input").forEach(input => {
  const value = marks[input.name];
  if (value) { if (input.type === "radio") input.checked = input.value === value; else input.value = value; }
});
document.addEventListener("input", event => {
  const input = event.target;
  if (input.type === "number" && !input.validity.valid) delete marks[input.name];
  else marks[input.name] = input.value;
  try { localStorage.setItem(key, JSON.stringify(marks)); } catch (error) { /* see above */ }
  show();
});
document.getElementById("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"}));
  link.download = sheet.rater + ".csv";
  link.click();
};
window.unimoSheet = {csv, marks};
show();
})();
"""
