"""The directive ``{watch}``: the real run of a snippet, as a figure."""

import subprocess

from sphinx.util.docutils import SphinxDirective

from drawing import drawing
from frame import framed, note_library
from record import recorded
from run_snippet import SNIPPETS
from swimlane import draw


class Recording(SphinxDirective):
    """Shows what was recorded of a snippet's run; its body explains."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return what to show, or an error that names page and line."""
        name = self.arguments[0]
        path = SNIPPETS / f"{name}.py"
        self.env.note_dependency(str(path))
        note_library(self)
        if not path.exists():
            raise self.error(f"there is no snippets/{name}.py")
        try:
            return self.show(name)
        except (ValueError, subprocess.TimeoutExpired) as error:
            raise self.error(f"snippets/{name}.py: {error}") from None


class Watch(Recording):
    """``{watch} hub/two_sleepers`` draws that snippet's run."""

    def show(self, name):
        """Return the figure."""
        run = recorded(name)
        svg = draw(f"The run of {name}", run["lanes"], run["steps"])
        name = name.replace("/", "-")
        figure = framed(self, drawing(svg=svg, name=name, words=["title"]))
        figure["classes"].append("swimlane")
        return [figure]


def setup(app):
    """Register the directive."""
    app.add_directive("watch", Watch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
