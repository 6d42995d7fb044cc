"""The directive ``{conformance}``: how the peers' own tests end on ours.

It is given a peer, ``greenlet`` (the default) or ``gevent``, and draws a row
for each Python, or with ``:by-file:`` for each file of the peer's suite.

tests/conformance/PEER.py runs them, once for each state of what is tested,
and keeps the counts; `make conformance` adds those of other Pythons.  Where
evening's engine is not built, the page says so.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives

from cost import Bench
from frame import LIBRARY, placed

ROOT = Path(__file__).parents[2]
RUNNERS = ROOT / "tests/conformance"
PYTHON = "{}.{}".format(*sys.version_info)
#: What the figures of a peer's tests depend on, and where they are kept.
SHOWN = {
    "greenlet": [
        LIBRARY / "greenlet.py",
        RUNNERS / "left_out.toml",
    ],
    "gevent": [
        *LIBRARY.glob("*.py"),
        RUNNERS / "gevent.toml",
    ],
}
ALWAYS_SHOWN = [LIBRARY / "_slice.c", ROOT / "build/bench/conformance.json"]

NO_ENGINE = {
    peer: f"Here a table would say how {peer}'s own tests end, but evening's "
    "own engine is not built on the machine that made this page."
    for peer in SHOWN
}
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
FILE_COLUMNS = {"file": "file"} | {
    head: name
    for head, name in COLUMNS.items()
    if name not in ("python", "suite")
}


def ours_is_there(kept):
    """Return whether the counts of this Python are among the *kept* ones."""
    return PYTHON in kept


def counts(peer, ask):
    """Return the counts that *ask* is told, by Python; None without engine."""
    if find_spec("evening._slice") is None:
        return None
    return ask(RUNNERS / f"{peer}.py", enough=ours_is_there)


def by_python(kept):
    """Return a row for each Python, the oldest first."""
    return sorted(kept.values(), key=lambda one: release(one["python"]))


def by_file(kept):
    """Return a row for each file; its figures are this Python's."""
    return [
        {"file": f"test__{name}.py"} | figures
        for name, figures in kept[PYTHON]["files"].items()
    ]


def table(directive, columns, rows):
    """Return a table; only the words of its head are the translator's."""
    texts = [[str(one[name]) for name in columns.values()] for one in rows]
    widths = [
        max(map(len, column)) for column in zip(columns, *texts, strict=True)
    ]
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=width) for width in widths]
    words = [placed(directive, nodes.paragraph(w, w)) for w in columns]
    group += nodes.thead("", row(words))
    body = [row([nodes.paragraph("", t) for t in line]) for line in texts]
    group += nodes.tbody("", *body)
    return nodes.table("", group, classes=["conformance"])


def row(cells):
    """Return a row of the table."""
    return nodes.row("", *[nodes.entry("", cell) for cell in cells])


class Conformance(Bench):
    """``{conformance} PEER`` shows how the tests of a peer ended."""

    has_content = False
    optional_arguments = 1
    option_spec: ClassVar = {"by-file": directives.flag}

    def show(self):
        """Return the table, or one sentence where there is nothing to run."""
        peer = self.peer()
        for path in [*SHOWN[peer], *ALWAYS_SHOWN]:
            self.env.note_dependency(str(path))
        kept = counts(peer, self.figures)
        if kept is None:
            text = NO_ENGINE[peer]
            return [placed(self, nodes.paragraph(text, text))]
        if "by-file" in self.options:
            return [table(self, FILE_COLUMNS, by_file(kept))]
        return [table(self, COLUMNS, by_python(kept))]

    def peer(self):
        """Return whose tests are meant; stop where we don't have them."""
        peer = self.arguments[0] if self.arguments else "greenlet"
        if peer not in SHOWN:
            raise self.error(f"no suite of {peer!r}: {' or '.join(SHOWN)}")
        if peer == "greenlet" and "by-file" in self.options:
            raise self.error("only gevent's counts are kept by file")
        return peer


def release(version):
    """Return a version as numbers: 3.9 comes before 3.11."""
    return [int(part) for part in version.split(".")]


def setup(app):
    """Register the directive."""
    app.add_directive("conformance", Conformance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
