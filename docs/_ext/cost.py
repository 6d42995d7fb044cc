"""Figures that a bench measured, drawn as bars; and the directive ``{cost}``.

A bench is a script of tests/bench/.  It runs once for a machine, for its
versions and for the engine that is built; what it says is kept in
build/bench/, so that all pages of one build show the same run.
"""

import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from drawing import drawing
from frame import framed, placed
from swimlane import element, text, word

ROOT = Path(__file__).parents[2]
BENCHES = ROOT / "tests/bench"
KEPT = ROOT / "build/bench"
TIMEOUT = 900  # seconds; the longest takes a minute where nothing else runs

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


# -- Taking the figures, once.


def measured_files():
    """Return what the figures come from: all benches, and the engine."""
    files = [path for path in sorted(BENCHES.iterdir()) if path.is_file()]
    engine = find_spec("evening._slice")
    return [*files, Path(engine.origin)] if engine else files


def key():
    """Return what changes when the figures would."""
    parts = [path.read_bytes() for path in measured_files()]
    about = sys.version, platform.node(), version("greenlet")
    parts += [part.encode() for part in about]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def wish(directive):
    """Return how to ask for figures: only who draws them waits for them.

    A site that is served does not, nor does a build that shows no charts;
    for translators' messages their words are collected.
    """
    app = directive.env.app
    draws = app.builder.format == "html" or app.builder.name == "gettext"
    return "--kept" if draws and not app.tags.has("serve") else "--found"


def figures(name, wish="--kept"):
    """Return what the bench *name* measured on this machine.

    The *wish* of "--found" takes no time: None where nothing was kept.
    """
    path = KEPT / f"{name}.json"
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        if kept["key"] == key():
            return kept["figures"]
    if wish == "--found":
        return None
    script = BENCHES / f"{name}.py"
    announce(script)
    measured = said(script, "--json")
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"key": key(), "figures": measured}
    path.write_text(json.dumps(kept), "utf-8")
    return measured


def answer(script, wish, enough=lambda figures: figures is not None):
    """Return the figures that *script* keeps.

    Where they are not *enough* it measures, but with the *wish* of "--found".
    """
    found = said(script, "--found")
    if wish == "--found" or enough(found):
        return found
    announce(script)
    return said(script, "--kept")


def said(script, wish):
    """Return what *script* says to a wish."""
    child = subprocess.run(
        [sys.executable, script, wish],
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    return json.loads(child.stdout)


def announce(script):
    """Say what the build now waits for."""
    print(
        f"measuring with {script.relative_to(ROOT)} (some minutes, once; "
        "`make serve` does it beside the site) ...",
        file=sys.stderr,
        flush=True,
    )


# -- Drawing them.


def bars(title, groups):
    """Return the SVG: groups of bars, each with its own scale.

    A group is a heading, the labels and kinds by name, the values by name,
    and their unit.
    """
    count = sum(len(names) for _, names, _, _ in groups)
    height = ROW * count + ROW * 3 // 2 * len(groups)
    svg = canvas(title, height)
    y = ROW
    for heading, names, values, unit in groups:
        word(svg, "heading", 0, y, heading)
        most = max(values[name] for name in names)
        for name, (label, kind) in names.items():
            y += ROW
            share = values[name] / most
            bar(svg, y, label, kind, share, amount(values[name], unit))
        y += ROW + ROW // 2
    return svg


def canvas(title, height):
    """Return an empty SVG, so high."""
    svg = element(None, "svg", viewBox=f"0 0 {WIDTH} {height}")
    element(svg, "title").text = title
    return svg


def amount(value, unit):
    """Return a figure with as many digits as it can bear."""
    return f"{value:.2g} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def bar(svg, y, label, kind, share, figure, right=RIGHT):
    """Draw one row: its words, its bar, its figure."""
    word(svg, "label", LEFT - 12, y, label)
    length = (WIDTH - LEFT - right) * share
    element(
        svg,
        "rect",
        x=LEFT,
        y=y - 13,
        width=f"{max(length, 1):.1f}",
        height=18,
        **{"class": f"bar {kind}"},
    )
    text(svg, "figure", LEFT + length + 8, y, figure)


# -- Showing them.

SOON = (
    "Here a figure or a table will stand. It is being measured; the page "
    "shows it as soon as it is there."
)


def soon(directive):
    """Return what stands for a figure that is not there yet.

    Another build may share what is read here, and draw it: it reads anew.
    """
    directive.env.note_reread()
    return [placed(directive, nodes.paragraph(SOON, SOON))]


class Bench(SphinxDirective):
    """Show what a bench measured; the body explains."""

    has_content = True

    def measured(self, name):
        """Return its figures, or raise an error that names page and line."""
        self.env.note_dependency(str(KEPT / f"{name}.json"))
        return self.told(
            lambda: figures(name, wish(self)), BENCHES / f"{name}.py"
        )

    def told(self, ask, script):
        """Return what *ask* gives, or raise what the bench's *script* said."""
        for path in measured_files():
            self.env.note_dependency(str(path))
        try:
            return ask()
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            raise self.error(
                f"tests/bench/{script.name} failed: {said}"
            ) from None

    def shown(self, svg, name):
        """Return the picture in a figure."""
        picture = drawing(svg=svg, name=name, words=["title", "tspan"])
        figure = framed(self, picture)
        figure["classes"].append("chart")
        return [figure]


class Cost(Bench):
    """``{cost}`` draws what switching and waiting cost."""

    def run(self):
        """Return a figure."""
        measured = self.measured("cost")
        if measured is None:
            return soon(self)
        switch, memory = measured["switch"], measured["memory"]
        groups = [
            ("CPU time there and back", SWITCHES, switch, "µs"),
            ("memory of one that waits", WAITS, memory, "KB"),
        ]
        return self.shown(
            bars("What it costs to switch and to wait", groups), "cost"
        )


def setup(app):
    """Register the directive."""
    app.add_directive("cost", Cost)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
