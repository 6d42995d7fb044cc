"""The directive ``{cost}``: what switching and waiting cost, measured.

The figures come from tests/bench/cost.py.  They are taken once for a machine
and its versions, then kept in build/cost.json, so that all pages of one build
show the same run.
"""

import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from drawing import drawing
from frame import framed
from swimlane import element

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "tests/bench/cost.py"
KEPT = ROOT / "build/cost.json"

#: What the chart calls each way, and whose colour it has.
SWITCHES = {
    "call": ("call a function", "quiet"),
    "generator": ("resume a generator", "quiet"),
    "greenlet": ("switch to a greenlet", "greenlet"),
    "thread": ("wake a thread", "kernel"),
}
WAITS = {
    "greenlet": ("a greenlet waits", "greenlet"),
    "thread": ("a thread waits", "kernel"),
}
WIDTH, ROW, LEFT, RIGHT = 560, 32, 170, 84


def figures():
    """Return what the bench measured on this machine with these versions."""
    parts = BENCH.read_text("utf-8"), sys.version, platform.node()
    key = hashlib.sha256(
        "".join([*parts, version("greenlet")]).encode()
    ).hexdigest()
    if KEPT.exists():
        kept = json.loads(KEPT.read_text("utf-8"))
        if kept["key"] == key:
            return kept
    child = subprocess.run(
        [sys.executable, BENCH, "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    measured = json.loads(child.stdout) | {"key": key}
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(measured), "utf-8")
    return measured


def chart(measured):
    """Return the SVG: two groups of bars, each with its own scale."""
    height = ROW * (len(SWITCHES) + len(WAITS) + 3)
    svg = element(None, "svg", viewBox=f"0 0 {WIDTH} {height}")
    element(svg, "title").text = "What it costs to switch and to wait"
    y = ROW
    for heading, names, values, unit in (
        ("CPU time there and back", SWITCHES, measured["switch"], "µs"),
        ("memory of one that waits", WAITS, measured["memory"], "KB"),
    ):
        word(svg, heading, 0, y, "heading")
        most = max(values.values())
        for name, (label, kind) in names.items():
            y += ROW
            bar(svg, y, label, kind, values[name], unit, most)
        y += ROW + ROW // 2
    return svg


def bar(svg, y, label, kind, value, unit, most):
    """Draw one row: its words, its bar, its figure."""
    word(svg, label, LEFT - 12, y, "label")
    length = (WIDTH - LEFT - RIGHT) * value / most
    element(
        svg,
        "rect",
        x=LEFT,
        y=y - 13,
        width=f"{max(length, 1):.1f}",
        height=18,
        **{"class": f"bar {kind}"},
    )
    figure = element(svg, "text", x=f"{LEFT + length + 8:.1f}", y=y)
    figure.set("class", "figure")
    figure.text = (
        f"{value:.2g} {unit}" if value < 10 else f"{value:.0f} {unit}"
    )


def word(svg, text, x, y, kind):
    """Write words that a translator will find: only they are tspans."""
    line = element(svg, "text", x=x, y=y, **{"class": kind})
    element(line, "tspan").text = text


class Cost(SphinxDirective):
    """``{cost}`` draws the chart; its body explains."""

    has_content = True

    def run(self):
        """Return a figure, or an error that names page and line."""
        self.env.note_dependency(str(BENCH))
        try:
            measured = figures()
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            raise self.error(f"tests/bench/cost.py failed: {said}") from None
        picture = drawing(
            svg=chart(measured), name="cost", words=["title", "tspan"]
        )
        figure = framed(self, picture)
        figure["classes"].append("chart")
        return [figure]


def setup(app):
    """Register the directive."""
    app.add_directive("cost", Cost)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
