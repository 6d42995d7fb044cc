"""The directive ``{snippet}``: a file of snippets/, shown and run.

It shows the snippet's code and, below it, the session of its docstring.
The doctest builder runs that session on each library.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util._lines import parse_line_num_spec
from sphinx.util.docutils import SphinxDirective

import player
from frame import captioned, note_library, path_caption, placed
from golden import golden
from run_snippet import SNIPPETS, libraries


@dataclass
class Snippet:
    """A snippet's parts, each as the lines of its file."""

    path: Path
    title: str
    session: str
    session_line: int
    code: str
    code_line: int
    tree: ast.Module

    @classmethod
    def read(cls, path):
        """Read the file at *path*; raise ValueError if a part is missing."""
        source = path.read_text("utf-8")
        tree = ast.parse(source, path)
        docstring = ast.get_docstring(tree)
        title, blank, session = (docstring or "").partition("\n\n")
        if not blank or ">>>" not in session:
            raise ValueError("its docstring needs a title and a session")
        lines = source.splitlines()
        end = tree.body[0].end_lineno
        while end < len(lines) and not lines[end].strip():
            end += 1
        start = next(n for n, line in enumerate(lines, 1) if ">>>" in line)
        return cls(
            path,
            title,
            session,
            start,
            "\n".join(lines[end:]),
            end + 1,
            tree,
        )

    @property
    def whole(self):
        """The code's first line in the file, and the code."""
        return self.code_line, self.code

    def piece(self, name):
        """Return the first line and the code of a function or class.

        Its *name* may be dotted.
        """
        node = self.tree
        for part in name.split("."):
            try:
                node = next(
                    child
                    for child in ast.walk(node)
                    if getattr(child, "name", None) == part
                )
            except StopIteration:
                raise ValueError(f"it has no piece {name!r}") from None
        lines = self.path.read_text("utf-8").splitlines()
        lines = lines[node.lineno - 1 : node.end_lineno]
        code = "\n".join(line[node.col_offset :] for line in lines)
        return node.lineno, code


class SnippetDirective(SphinxDirective):
    """``{snippet} hub/two_sleepers`` shows and runs that snippet."""

    required_arguments = 1
    has_content = True  # the caption of a run
    option_spec: ClassVar = {
        "piece": directives.unchanged_required,
        "emphasize": directives.unchanged_required,
        "steps": directives.unchanged_required,
        "no-output": directives.flag,
        "stops": directives.unchanged_required,  # the deck's: kinds of events
        "trace": directives.unchanged,  # its golden trace is played
        "predict": directives.flag,  # the player asks for the output first
    }

    def run(self):
        """Return the figure, or an error that names page and line."""
        name = self.arguments[0]
        path = SNIPPETS / f"{name}.py"
        self.env.note_dependency(str(path))
        try:
            snippet = Snippet.read(path)
            piece = self.options.get("piece")
            first, code = snippet.piece(piece) if piece else snippet.whole
            emphasized = (
                parse_line_num_spec(
                    self.options.get("emphasize", ""), len(code.splitlines())
                )
                if "emphasize" in self.options
                else []
            )
            traced = self.player(name) if "trace" in self.options else None
        except FileNotFoundError:
            raise self.error(f"there is no snippets/{name}.py") from None
        except (SyntaxError, ValueError, TimeoutExpired) as error:
            raise self.error(f"snippets/{name}.py: {error}") from None

        figure = nodes.container(classes=["snippet"], literal_block=True)
        figure += path_caption(self, f"snippets/{name}.py")
        blocks = [
            self.code_block(code, emphasized),
            self.session_block(snippet, name),
        ]
        if traced:
            number_lines(blocks[0], traced["id"], first)
            traced.extend(blocks)
            blocks = [placed(self, traced), *captioned(self)]
            figure["classes"].append("traced")
        figure += blocks
        return [figure]

    def player(self, name):
        """Return the player of the snippet's golden trace."""
        self.env.note_dependency(str(golden(name)))
        note_library(self)
        return player.made(
            name,
            self.player_id(name),
            first=self.options["trace"],
            predict="predict" in self.options,
            stops=self.options.get("stops", "").split(),
            pages=self.options.get("steps", ""),
        )

    def player_id(self, name):
        """Return an id that no other player of the page has."""
        id_ = name.replace("/", "-")
        count = self.env.temp_data.get(id_, 0) + 1
        self.env.temp_data[id_] = count
        return f"{id_}-{count}" if count > 1 else id_

    def code_block(self, code, emphasized):
        """Return the code; the deck steps through its lines."""
        block = nodes.literal_block(code, code, language="python")
        block["linenos"] = False
        block["classes"].append("snippet-code")
        if emphasized:
            block["highlight_args"] = {"hl_lines": [n + 1 for n in emphasized]}
        if "steps" in self.options and "trace" not in self.options:
            block["data-line-numbers"] = self.options["steps"]
        return placed(self, block)

    def session_block(self, snippet, name):
        """Return the session, or a comment; both make the builder run it."""
        test = "\n".join(
            f">>> print(check({name!r}, {library!r}), end='')"
            for library in libraries(name)
        )
        if "trace" in self.options:
            test += f"\n>>> print(check_trace({name!r}), end='')"
        if "no-output" in self.options:
            block = nodes.comment(snippet.session, snippet.session)
        else:
            block = nodes.literal_block(
                snippet.session, snippet.session, language="pycon"
            )
            block["linenos"] = False
            block["classes"].append("snippet-session")
        block["testnodetype"], block["test"] = "doctest", test
        block.source, block.line = str(snippet.path), snippet.session_line
        return block


def number_lines(block, id_, first):
    """Give each line of *block* an id that ends with its number."""
    args = block.setdefault("highlight_args", {})
    args["linespans"] = f"{id_}-line"
    args["linenostart"] = first


USED = re.compile(r"^\s*`{3,}\{snippet\} (\S+)((?:\n\s*:.*)*)", re.M)


def used(folder):
    """Return the names of the snippets that the pages of *folder* show."""
    return sorted(
        {
            name
            for page in Path(folder).rglob("*.md")
            for name, _ in USED.findall(page.read_text("utf-8"))
        }
    )


def traced(folder):
    """Return the names of those that are shown with ``:trace:``."""
    return sorted(
        {
            name
            for page in Path(folder).rglob("*.md")
            for name, options in USED.findall(page.read_text("utf-8"))
            if ":trace:" in options
        }
    )


def setup(app):
    """Register the directive."""
    app.add_directive("snippet", SnippetDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
