"""The directive ``{length}``: how many lines of code a layer has, here, there.

A line counts if there is code on it: not a blank one, nor one of a comment or
of a docstring.
"""

import ast
import io
import tokenize
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from conformance import table
from frame import note_library

LIBRARY = Path(__file__).parents[2] / "lib/evening"

#: Where gevent keeps what a layer of ours has.  Its first is in C++, in the
#: package greenlet; below the second lies libev.
SAME_LAYERS = {
    "greenlet": [],
    "core": [
        "_ffi/callback",
        "_ffi/loop",
        "_ffi/watcher",
        "libev/corecffi",
        "libev/watcher",
    ],
    "hub": [
        "_abstract_linkable",
        "_greenlet_primitives",
        "_hub_local",
        "_hub_primitives",
        "_waiter",
        "exceptions",
        "greenlet",
        "hub",
        "timeout",
    ],
    "socket": ["_socket3", "_socketcommon", "socket"],
    "event": ["event"],
}
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
TELLING = ast.Module, ast.ClassDef, ast.FunctionDef  # may have a docstring


def lines_with_code(text):
    """Return the numbers of the lines on which there is code or a string."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def code_lines(path):
    """Return how many lines of code the file at *path* has."""
    text = path.read_text("utf-8")
    lines = lines_with_code(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, TELLING) and ast.get_docstring(node) is not None:
            told = node.body[0]
            lines.difference_update(range(told.lineno, told.end_lineno + 1))
    return len(lines)


def ours(layer):
    """Return how many lines of code a layer of ours has."""
    return code_lines(LIBRARY / f"{layer}.py")


def theirs(layer):
    """Return how many gevent has for it, in Python."""
    (package,) = find_spec("gevent").submodule_search_locations
    return sum(
        code_lines(Path(package, f"{name}.py")) for name in SAME_LAYERS[layer]
    )


def lengths():
    """Return a row for each layer, and their sum."""
    rows = [
        {"layer": layer, "ours": ours(layer), "theirs": theirs(layer) or "C++"}
        for layer in SAME_LAYERS
    ]
    total = [sum(map(count, SAME_LAYERS)) for count in (ours, theirs)]
    return [*rows, dict(zip(rows[0], ["Σ", *total], strict=True))]


class Length(SphinxDirective):
    """``{length}`` compares the lengths in a table."""

    def run(self):
        """Return the table."""
        note_library(self)
        columns = {
            "lines of code": "layer",
            "evening": "ours",
            f"gevent {version('gevent')}": "theirs",
        }
        return [table(self, columns, lengths())]


def setup(app):
    """Register the directive."""
    app.add_directive("length", Length)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
