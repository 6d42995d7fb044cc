"""What stands around the things that a page shows: figures and captions."""

from docutils import nodes


def placed(directive, node):
    """Return *node*, told where it stands; an included page is named too."""
    node.source = directive.state_machine.reporter.source
    node.line = directive.lineno
    return node


def path_caption(directive, path):
    """Return a caption that names a file."""
    caption = nodes.caption("", "", nodes.literal(path, path))
    return placed(directive, caption)


def framed(directive, picture):
    """Return *picture* in a figure, with the directive's body as caption."""
    figure = nodes.figure("", placed(directive, picture), classes=["drawing"])
    text = nodes.Element()
    directive.state.nested_parse(
        directive.content, directive.content_offset, text
    )
    if text.children:
        caption = nodes.caption("", "", *text[0].children)
        caption.source, caption.line = text[0].source, text[0].line
        caption.rawsource = text[0].rawsource
        figure += caption
    return figure
