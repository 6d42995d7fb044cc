"""The directive ``{drawing}``: an SVG that is part of the page.

The picture's words stay words: they are translated with the page, found by
its search, and take the page's colours, in dark mode and in print too.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from frame import framed

FIGURES = Path(__file__).parents[1] / "_figures"
SVG = "http://www.w3.org/2000/svg"
WORDS = ["title", "desc", "text", "tspan"]

ET.register_namespace("", SVG)


class drawing(nodes.General, nodes.Element, addnodes.translatable):
    """An SVG element tree.

    The text of the elements that *words* names is the translator's.
    """

    def words(self):
        """Yield the elements that hold words."""
        for element in self["svg"].iter():
            named = element.tag.removeprefix(f"{{{SVG}}}") in self["words"]
            if named and element.text and element.text.strip():
                yield element

    def preserve_original_messages(self):
        """Do nothing: the file keeps them."""

    def extract_original_messages(self):
        """Return the words in the order of the file."""
        return [element.text.strip() for element in self.words()]

    def apply_translated_message(self, original_message, translated_message):
        """Put the translation where the original stands."""
        for element in self.words():
            if element.text.strip() == original_message:
                element.text = translated_message


class Drawing(SphinxDirective):
    """``{drawing} stack`` shows docs/_figures/stack.svg; its body explains."""

    required_arguments = 1
    has_content = True

    def run(self):
        """Return a figure, or an error that names page and line."""
        path = FIGURES / f"{self.arguments[0]}.svg"
        self.env.note_dependency(str(path))
        try:
            svg = ET.parse(path).getroot()
        except FileNotFoundError:
            raise self.error(
                f"there is no docs/_figures/{path.name}"
            ) from None
        except ET.ParseError as error:
            raise self.error(f"docs/_figures/{path.name}: {error}") from None
        return [framed(self, drawing(svg=svg, name=path.stem, words=WORDS))]


def visit_html(translator, node):
    """Write the SVG; ids get the drawing's name, a page may hold several."""
    svg = node["svg"]
    svg.set("role", "img")
    svg.set("class", f"drawing-{node['name']}")
    title = svg.find(f"{{{SVG}}}title")
    if title is not None:
        title.set("id", f"{node['name']}-title")
        svg.set("aria-labelledby", title.get("id"))
    translator.body.append(written(svg))
    raise nodes.SkipNode


def written(svg):
    """Return an SVG as HTML has it, without what only XML needs."""
    xml = ET.tostring(svg, encoding="unicode")
    return xml.replace(f' xmlns="{SVG}"', "").replace(" />", "/>")


def skip(translator, node):
    """Leave the picture out: this builder has no place for it."""
    raise nodes.SkipNode


def setup(app):
    """Register directive and node."""
    app.add_node(
        drawing,
        html=(visit_html, None),
        revealjs=(visit_html, None),
        text=(skip, None),
        latex=(skip, None),
    )
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
