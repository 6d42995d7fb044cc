"""The directive ``{timeline}``: a golden trace, as the command prints it."""

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from evening.trace.timeline import timeline
from frame import placed
from golden import LIBRARIES, golden, read


class Timeline(SphinxDirective):
    """``{timeline} hub/kill`` prints that snippet's run, on gevent."""

    required_arguments = 1
    option_spec: ClassVar = {
        "on": lambda library: directives.choice(library, LIBRARIES),
    }

    def run(self):
        """Return the text, or an error that names page and line."""
        name = self.arguments[0]
        path = golden(name)
        self.env.note_dependency(str(path))
        if not path.exists():
            raise self.error(
                f"there is no snippets/{name}.trace.json: show the snippet "
                "with :trace:, then `make accept`"
            )
        try:
            runs = read(name)["runs"]
        except ValueError as error:
            raise self.error(f"snippets/{name}.py: {error}") from None
        text = "\n".join(timeline(runs[self.options.get("on", "gevent")]))
        block = nodes.literal_block(text, text, language="text")
        block["linenos"] = False
        return [placed(self, block)]


def setup(app):
    """Register the directive."""
    app.add_directive("timeline", Timeline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
