"""Figures that a bench measured, drawn as bars; and the directive ``{cost}``.

A bench is a script of tests/bench/.  It runs once for a machine, for its
versions and for the engine that is built, and keeps what it measured; here
is asked for it.
"""

import functools
import json
import subprocess
import sys
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


# -- Asking for figures: a script of tests/ keeps its own.


def wish(app):
    """Return how to ask for figures: only who draws them waits for them.

    A site that is served does not, nor does a build that shows no charts;
    for translators' messages their words are collected.
    """
    draws = app.builder.format == "html" or app.builder.name == "gettext"
    return "--kept" if draws and not app.tags.has("serve") else "--found"


def there(figures):
    """Return whether there are any."""
    return figures is not None


@functools.cache
def answer(script, wish, enough=there):
    """Return the figures that *script* keeps.

    Where they are not *enough* it measures, but with the *wish* of "--found".
    """
    found = said(script, "--found")
    if wish == "--found" or enough(found):
        return found
    print(
        f"measuring with {script.relative_to(ROOT)} (some minutes, once; "
        "`make serve` does it beside the site) ...",
        file=sys.stderr,
        flush=True,
    )
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


def sources(script):
    """Return what figures depend on: the script's folder, and the engine."""
    files = [path for path in script.parent.iterdir() if path.is_file()]
    engine = find_spec("evening._slice")
    kept = KEPT / f"{script.stem}.json"
    return [*files, kept, *([Path(engine.origin)] if engine else [])]


class NotYet(Exception):
    """The figures are not there, and this build doesn't wait for them."""


class Bench(SphinxDirective):
    """Show what a bench measured; the body explains."""

    has_content = True

    def run(self):
        """Return what is shown, or what stands for it until it is there.

        Another build may share what is read now, and draw it: it reads anew.
        """
        try:
            return self.show()
        except NotYet:
            self.env.note_reread()
            return [placed(self, nodes.paragraph(SOON, SOON))]

    def figures(self, script, enough=there):
        """Return what the *script* measured; raise NotYet if it has not.

        Where it fails, raise an error that names page and line.
        """
        for path in sources(script):
            self.env.note_dependency(str(path))
        try:
            figures = answer(script, wish(self.env.app), enough)
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            name = script.relative_to(ROOT)
            raise self.error(f"{name} failed: {said}") from None
        if not enough(figures):
            raise NotYet
        return figures

    def shown(self, svg, name):
        """Return the picture in a figure."""
        picture = drawing(svg=svg, name=name, words=["title", "tspan"])
        figure = framed(self, picture)
        figure["classes"].append("chart")
        return [figure]


class Cost(Bench):
    """``{cost}`` draws what switching and waiting cost."""

    def show(self):
        """Return a figure."""
        measured = self.figures(BENCHES / "cost.py")
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
