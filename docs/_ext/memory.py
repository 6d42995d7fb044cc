"""The directive ``{memory}``: the stack and the heap at each switch of a run.

The run is real, on evening's own engine.  After each switch the engine says
of every greenlet where its slice lies and how many bytes of it are in the
heap; the figure and the table show these numbers.  Where that engine is not
built, the page says so.  ``python memory.py FILE`` is the child that
``recorded`` starts.
"""

import contextlib
import functools
import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from drawing import drawing
from frame import framed, note_library, placed
from record import Recorder, from_child, load, run_session
from run_snippet import SNIPPETS
from slices import Figure, number, title

ENGINE = "slice"
HIGHEST = 2**64 - 1  # where a main greenlet's slice begins

NO_ENGINE = (
    "Here the stack and the heap of this run would be drawn, but evening's "
    "own engine is not built on the machine that made this page."
)
TABLE = (
    "The same in numbers: bytes, and addresses counted from where the main "
    "greenlet was first left."
)


def record(path):
    """Return the steps of a run; None where the engine is not built."""
    try:
        from evening.trace.stand_in import stand_in

        stand_in("evening")
    except ImportError:
        return None
    from evening import greenlet as layer

    module, names = load(path), weakref.WeakKeyDictionary()
    out = Recorder()

    def step(origin, target):
        for greenlet in origin, target:
            if greenlet is not None and greenlet not in names:
                names[greenlet] = name_of(greenlet, module, names.values())
        out.steps.append(
            {
                "origin": None if origin is None else names[origin],
                "target": names[target],
                "slices": slices(names),
                "printed": [],
            }
        )

    with contextlib.redirect_stdout(out):
        step(None, layer.getcurrent())
        layer.settrace(lambda _, pair: step(*pair))
        try:
            run_session(module)
        finally:
            layer.settrace(None)
    return from_first(with_printed(out.steps))


def name_of(greenlet, module, taken):
    """Return what the snippet calls a greenlet, or what the greenlet calls."""
    if greenlet.parent is None:
        return "main"
    for name, value in vars(module).items():
        if value is greenlet:
            return name
    name = getattr(getattr(greenlet, "run", None), "__name__", "greenlet")
    count = sum(given.split()[0] == name for given in taken)
    return f"{name} {count + 1}" if count else name


def slices(names):
    """Return start, stop and saved bytes of each greenlet that has a slice."""
    return {
        name: [
            greenlet._stack_start,
            greenlet._stack_stop,
            greenlet._stack_saved,
        ]
        for greenlet, name in names.items()
        if greenlet._stack_start
    }


def with_printed(steps):
    """Return the steps, each with what was printed after it."""
    told = []
    for step in steps:
        if isinstance(step, dict):
            told.append(step)
        else:
            told[-1]["printed"].append(step)
    return told


def from_first(steps):
    """Return the steps with addresses relative to where main was first left.

    None is what has no address: a main greenlet's old end, and its new one as
    long as it was not left.
    """
    (main,) = steps[0]["slices"].values()
    main[0] = None
    first = steps[1]["slices"]["main"][0] if len(steps) > 1 else 0
    for step in steps:
        for ends in step["slices"].values():
            ends[:2] = [
                None if end in (None, HIGHEST) else end - first
                for end in ends[:2]
            ]
    return steps


@functools.cache
def recorded(name):
    """Return the steps of the snippet *name*, from a child."""
    return from_child(__file__, name, EVENING_ENGINE=ENGINE)


def moments(name, events):
    """Return the steps of ``recorded``, placed among the *events* of a trace.

    Each has in ``at`` how many events are over by then, calls everybody as
    the trace does, and does not tell what will be printed.  Raise ValueError
    where the two runs are not the same.
    """
    steps = recorded(name) or []
    moves = [
        (n, event["target"])
        for n, event in enumerate(events, 1)
        if event["event"] in ("switch", "throw", "die")
    ]
    if steps and len(moves) != len(steps) - 1:
        raise ValueError(
            f"its golden trace has {len(moves)} switches, and its run has "
            f"{len(steps) - 1}"
        )
    moves.insert(0, (0, "main"))
    names = {
        step["target"]: target
        for step, (_, target) in zip(steps, moves, strict=False)
    }
    return [
        {
            "at": at,
            "origin": names.get(step["origin"]),
            "target": target,
            "slices": {names[n]: one for n, one in step["slices"].items()},
            "printed": [],
        }
        for step, (at, target) in zip(steps, moves, strict=False)
    ]


class Memory(SphinxDirective):
    """``{memory} greenlet/ring`` draws its run's memory; its body explains."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"no-table": directives.flag}  # for a slide

    def run(self):
        """Return what to show, or an error that names page and line."""
        name = self.arguments[0]
        path = SNIPPETS / f"{name}.py"
        self.env.note_dependency(str(path))
        note_library(self)
        if not path.exists():
            raise self.error(f"there is no snippets/{name}.py")
        try:
            steps = recorded(name)
        except (ValueError, subprocess.TimeoutExpired) as error:
            raise self.error(f"snippets/{name}.py: {error}") from None
        return self.show(name, steps)

    def show(self, name, steps):
        """Return figure and table."""
        if steps is None:
            return [self.words(NO_ENGINE)]
        picture = drawing(
            svg=Figure(steps).draw(name),
            name=f"memory-{name.replace('/', '-')}",
            words=["title", "tspan"],
        )
        figure = framed(self, picture)
        figure["classes"] += ["swimlane", "memory"]
        if "no-table" in self.options:
            return [figure]
        words = self.words(TABLE)
        words["classes"].append("memory")
        return [figure, words, self.table(steps)]

    def table(self, steps):
        """Return the numbers of the figure, a row for each slice."""
        names = ["greenlet", "stack_stop", "stack_start", "stack_saved"]
        group = nodes.tgroup("", cols=1 + len(names))
        group += [nodes.colspec(colwidth=1) for _ in range(1 + len(names))]
        group += nodes.thead("", self.header(["switch", *names]))
        group += nodes.tbody("", *self.rows(steps))
        return nodes.table("", group, classes=["memory"])

    def header(self, names):
        """Return the table's first row."""
        row = nodes.row()
        for name in names:
            if "_" in name:
                field = nodes.paragraph("", "", nodes.literal(name, name))
                row += nodes.entry("", field, classes=["number"])
            else:
                row += nodes.entry("", self.words(name))
        return row

    def rows(self, steps):
        """Yield a row for each slice that there is after each switch."""
        for step in steps:
            slices = step["slices"].items()
            for n, (name, (start, stop, saved)) in enumerate(slices):
                row = nodes.row(classes=[] if n else ["first"])
                if n == 0:
                    row += self.switch(step)
                row += nodes.entry("", nodes.paragraph("", name))
                row += self.number(stop, "highest")
                row += self.number(start, "not left yet")
                row += self.number(saved)
                yield row

    def switch(self, step):
        """Return the cell that tells who switches, beside all slices."""
        if step["origin"] is None:
            cell = self.words("start")
        else:
            cell = nodes.paragraph("", title(step))
        return nodes.entry("", cell, morerows=len(step["slices"]) - 1)

    def number(self, value, otherwise=""):
        """Return the cell of a number, or of the words where there is none."""
        if value is None:
            cell = self.words(otherwise)
        else:
            cell = nodes.paragraph("", number(value))
        return nodes.entry("", cell, classes=["number"])

    def words(self, words):
        """Return a paragraph that a translator will find."""
        return placed(self, nodes.paragraph(words, words))


def setup(app):
    """Register the directive."""
    app.add_directive("memory", Memory)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    json.dump(record(Path(sys.argv[1])), sys.__stdout__)
