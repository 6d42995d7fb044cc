"""The directives ``{piece}`` and ``{real}``: parts of files, never copies.

``{piece} hub Hub.wait`` shows our library, ``{piece} _slice.c slice_save`` its
C file, ``{real} gevent.hub Hub.run`` the installed package at its version.
All are read as Sphinx's ``literalinclude`` reads, with its options: what is
gone is an error with page and line.
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.directives.code import LiteralInclude, LiteralIncludeReader
from sphinx.util.docutils import SphinxDirective

from c_regions import region
from frame import LIBRARY, path_caption, placed

OPTIONS = ("start-at", "start-after", "end-at", "end-before", "lines")


class Reader(LiteralIncludeReader):
    """Sphinx's reader of parts of files, who finds names in C too."""

    def pyobject_filter(self, lines, location=None):
        """Return the lines of the object that is asked for."""
        path, name = Path(self.filename), self.options.get("pyobject")
        if not name or path.suffix == ".py":
            return super().pyobject_filter(lines, location)
        start, end = region(path.read_text(self.encoding), name)
        self.lineno_start = start
        return lines[start - 1 : end]


class Piece(SphinxDirective):
    """Show an object, or the lines that the options name, of our library."""

    required_arguments, optional_arguments = 1, 1
    option_spec: ClassVar = {
        name: LiteralInclude.option_spec[name] for name in (*OPTIONS, "dedent")
    }

    def run(self):
        """Return the code under the path of its file."""
        path, label = self.locate(self.arguments[0])
        self.env.note_dependency(str(path))
        options = self.options | {"lineno-match": None}
        if len(self.arguments) > 1:
            options["pyobject"] = self.arguments[1]
        try:
            reader = Reader(path, options, self.config)
            text = reader.read(self.get_location())[0].rstrip()
        except ValueError as error:
            raise self.error(f"{label}: {error}") from None
        block = nodes.literal_block(text, text, language=language(path))
        block["linenos"] = True
        block["highlight_args"] = {"linenostart": reader.lineno_start}
        figure = nodes.container(classes=["snippet", self.name])
        figure["literal_block"] = True
        figure += path_caption(self, label)
        figure += placed(self, block)
        return [figure]

    def locate(self, module):
        """Return the file of *module* and what the caption calls it."""
        path = LIBRARY / with_suffix(module)
        if not path.exists():
            raise self.error(f"there is no lib/evening/{path.name}")
        return path, f"lib/evening/{path.name}"


class Real(Piece):
    """Show a piece of an installed package: ``{real} gevent.hub Hub.run``."""

    def locate(self, module):
        """Return the file in site-packages; its label tells the version."""
        name, _, rest = module.partition(".")
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise self.error(f"no package {name!r} is installed")
        folder = Path(spec.origin).parent
        path = folder / with_suffix(rest or "__init__")
        if not path.exists():
            raise self.error(f"{name} has no file {path.name}")
        version = importlib.metadata.version(name)
        return path, f"{name} {version}: {path.relative_to(folder.parent)}"


def with_suffix(module):
    """Return the path of *module*: dots are folders, .c and .cpp stay."""
    stem, dot, suffix = module.rpartition(".")
    if dot and suffix in ("c", "cpp", "h", "hpp", "pyx"):
        return f"{stem.replace('.', '/')}.{suffix}"
    return f"{module.replace('.', '/')}.py"


def language(path):
    """Return the name of the lexer for *path*."""
    return {".py": "python", ".pyx": "cython", ".c": "c"}.get(
        path.suffix, "c++"
    )


def setup(app):
    """Register the directives."""
    app.add_directive("piece", Piece)
    app.add_directive("real", Real)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
