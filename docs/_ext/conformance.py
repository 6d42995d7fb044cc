"""The directive ``{conformance}``: how greenlet's own tests end on ours.

tests/conformance/greenlet.py runs them, once for each state of the engine,
and keeps the counts; `make conformance` adds those of other Pythons.  Where
evening's engine is not built, the page says so.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from frame import placed

ROOT = Path(__file__).parents[2]
RUNNER = ROOT / "tests/conformance/greenlet.py"
SHOWN = [
    ROOT / "lib/evening/_slice.c",
    ROOT / "lib/evening/greenlet.py",
    ROOT / "tests/conformance/left_out.toml",
    ROOT / "build/conformance.json",
]

NO_ENGINE = (
    "Here a table would say how greenlet's own tests end, but evening's own "
    "engine is not built on the machine that made this page."
)
#: The heads of the columns, and what the counts call them.
COLUMNS = {
    "Python": "python",
    "suite": "suite",
    "tests": "total",
    "passed": "passed",
    "left out": "left_out",
    "skipped": "skipped",
    "failed": "failed",
}


def counts():
    """Return the counts that hold, by Python; None without the engine."""
    if find_spec("evening._slice") is None:
        return None
    child = subprocess.run(
        [sys.executable, RUNNER, "--kept"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return json.loads(child.stdout)


def table(directive, kept):
    """Return a table; only the words of its head are the translator's."""
    texts = [[str(one[name]) for name in COLUMNS.values()] for one in kept]
    widths = [
        max(map(len, column)) for column in zip(COLUMNS, *texts, strict=True)
    ]
    group = nodes.tgroup(cols=len(COLUMNS))
    group += [nodes.colspec(colwidth=width) for width in widths]
    words = [placed(directive, nodes.paragraph(w, w)) for w in COLUMNS]
    group += nodes.thead("", row(words))
    body = [row([nodes.paragraph("", t) for t in line]) for line in texts]
    group += nodes.tbody("", *body)
    return nodes.table("", group, classes=["conformance"])


def row(cells):
    """Return a row of the table."""
    return nodes.row("", *[nodes.entry("", cell) for cell in cells])


class Conformance(SphinxDirective):
    """``{conformance}`` shows a row for each Python that ran the suite."""

    def run(self):
        """Return the table, or one sentence where there is nothing to run."""
        for path in SHOWN:
            self.env.note_dependency(str(path))
        try:
            kept = counts()
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            raise self.error(f"{RUNNER.name} failed: {said}") from None
        if kept is None:
            return [placed(self, nodes.paragraph(NO_ENGINE, NO_ENGINE))]
        rows = sorted(kept.values(), key=lambda one: release(one["python"]))
        return [table(self, rows)]


def release(version):
    """Return a version as numbers: 3.9 comes before 3.11."""
    return [int(part) for part in version.split(".")]


def setup(app):
    """Register the directive."""
    app.add_directive("conformance", Conformance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
