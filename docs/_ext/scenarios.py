"""The directive ``{scenarios}``: what tests/hostile.py proves, as a list.

A scenario's name is a sentence; the list is read from the file.
"""

import ast
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

HOSTILE = Path(__file__).parents[2] / "tests/hostile.py"


def sentences():
    """Return the names of the scenarios as sentences."""
    tree = ast.parse(HOSTILE.read_text("utf-8"))
    return [
        node.name.replace("_", " ")
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(d) == "scenario" for d in node.decorator_list)
    ]


class Scenarios(SphinxDirective):
    """``{scenarios}`` lists the hostile scenarios of layer 1."""

    def run(self):
        """Return a list of sentences."""
        self.env.note_dependency(str(HOSTILE))
        items = [
            nodes.list_item("", nodes.paragraph("", sentence))
            for sentence in sentences()
        ]
        return [nodes.bullet_list("", *items, classes=["scenarios"])]


def setup(app):
    """Register the directive."""
    app.add_directive("scenarios", Scenarios)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
