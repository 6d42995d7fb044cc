"""The directives ``{piece}`` and ``{real}``: parts of files, never copies.

``{piece} hub Hub.wait`` shows our library, ``{real} gevent.hub Hub.run`` the
installed package at its version.  Both are Sphinx's own ``literalinclude``:
a name that is gone is its warning, with page and line.
"""

import importlib.metadata
import importlib.util
from pathlib import Path

from docutils import nodes
from sphinx.directives.code import LiteralInclude

from frame import LIBRARY, path_caption, placed


class Piece(LiteralInclude):
    """Show an object, or the lines that the options name, of our library."""

    required_arguments, optional_arguments = 1, 1

    def run(self):
        """Return the code under the path of its file."""
        path, label = self.locate(self.arguments[0])
        if len(self.arguments) > 1:
            self.options.setdefault("pyobject", self.arguments[1])
        if "lineno-start" not in self.options:
            self.options.setdefault("lineno-match", None)
        self.options.setdefault("language", language(path))
        # literalinclude takes a path that starts with / from the source folder
        self.arguments = [f"/{relative(path, Path(self.env.srcdir))}"]
        block, *rest = super().run()
        if isinstance(block, nodes.system_message):
            return [block, *rest]
        text = block.astext().rstrip()  # what :end-before: left before it
        block.rawsource, block[:] = text, [nodes.Text(text)]
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


def relative(path, folder):
    """Return *path* as seen from *folder*, upwards where need be."""
    return Path(*[".."] * len(folder.parts[1:]), *path.parts[1:]).as_posix()


def setup(app):
    """Register the directives."""
    app.add_directive("piece", Piece)
    app.add_directive("real", Real)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
