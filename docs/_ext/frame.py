"""What stands around the things that a page shows: figures and captions."""

from pathlib import Path

from docutils import nodes

LIBRARY = Path(__file__).parents[2] / "lib/evening"


def placed(directive, node):
    """Return *node*, told where it stands; an included page is named too."""
    node.source = directive.state_machine.reporter.source
    node.line = directive.lineno
    return node


def note_library(directive):
    """Have the page read anew when the library changes: it shows a run."""
    for kind in ("*.py", "*.c", "*.so"):
        for path in LIBRARY.glob(kind):
            directive.env.note_dependency(str(path))


def path_caption(directive, path):
    """Return a caption that names a file."""
    caption = nodes.caption("", "", nodes.literal(path, path))
    caption["translatable"] = False
    return placed(directive, caption)


def framed(directive, picture):
    """Return *picture* in a figure, with the directive's body as caption."""
    figure = nodes.figure("", placed(directive, picture), classes=["drawing"])
    figure += captioned(directive)
    return figure


def captioned(directive):
    """Return the directive's body as a caption, in a list; it may be empty."""
    text = nodes.Element()
    directive.state.nested_parse(
        directive.content, directive.content_offset, text
    )
    if not text.children:
        return []
    caption = nodes.caption("", "", *text[0].children)
    caption.source, caption.line = text[0].source, text[0].line
    caption.rawsource = text[0].rawsource
    return [caption]
