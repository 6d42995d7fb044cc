"""The deck's slides: their parts, code at stage size, steps through code.

Code is coloured at build, by the book's lexers and style, and gets the
largest type with which it fits its slide.  talk/_static/deck.js does the
steps.
"""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util._lines import parse_line_num_spec
from sphinx_revealjs._ext.notes import revealjs_notes
from sphinx_revealjs.writers import RevealjsSlideTranslator

from player import player

logger = logging.getLogger(__name__)

KINDS = {1: "title", 2: "opening", 3: "slide"}

# The room for code below a slide's title, in pixels of the 1280x720 stage;
# deck.css has the same measures.
WIDTH, HEIGHT = 1152, 584
COLUMNS = {"code": 800, "figure": 440}  # the column that takes code
CAPTION, PADDING = 34, 24
RUN, BESIDE_MEMORY = 620, 540  # the widths of code that is played
TALL, SHORT = 528, 384  # and the heights
NAME = 56  # of a greenlet that waits in a line of it
SIZES = range(28, 19, -1)  # pixels; below 20 nobody reads in the last row
ADVANCE = 0.61  # of a character
LEADING, TIGHT, BLANK = 1.26, 1.2, 0.35  # of a line, a run's line, no line


class DeckTranslator(RevealjsSlideTranslator):
    """Writes what sphinx-revealjs leaves out or leaves to JavaScript."""

    parts = 0

    def visit_section(self, node):
        """Give a slide its classes and its part, which it takes from above."""
        super().visit_section(node)
        if self.section_level > 3:
            return
        if "part" in node["classes"]:
            self.parts += 1
            node["part"] = f"{self.parts} {node[0].astext()}"
        elif "part" in node.parent:
            node["part"] = node.parent["part"]
            layer = [c for c in node.parent["classes"] if c != "part"]
            node["classes"] += layer
        classes = " ".join([KINDS[self.section_level], *node["classes"]])
        attributes = f'class="{classes}"'
        if "part" in node:
            attributes += f' data-part="{self.attval(node["part"])}"'
        if "part" in node["classes"]:
            attributes += f' data-number="{self.parts}"'
        tag = self.body.pop()
        self.body.append(tag.replace("<section", f"<section {attributes}", 1))

    def depart_document(self, node):
        """Close the sections that the parent class leaves open."""
        self.body.append("</section>\n" * self._nest_step)
        super().depart_document(node)

    def visit_literal_block(self, node):
        """Write coloured code, each line for itself."""
        language = node.get("language", "text")
        coloured = self.highlighter.highlight_block(
            node.astext(), language, location=node, nowrap=True
        )
        lines = coloured.rstrip("\n").split("\n")
        steps = lit_lines(node.get("data-line-numbers", ""), len(lines))
        arguments = node.get("highlight_args", {})
        always = arguments.get("hl_lines", ())
        rows = [
            row(
                line,
                [n for n, lit in enumerate(steps) if number in lit],
                number + 1 in always,
                line_id(number, arguments),
            )
            for number, line in enumerate(lines)
        ]
        if steps:  # the output comes after the last step
            node.parent["steps"] = True
        hidden = (
            "snippet-session" in node["classes"] and "steps" in node.parent
        )
        marks = '<span class="fragment step"></span>' * (len(steps) - 1)
        self.body.append(
            self.starttag(
                node, "div", "", CLASS="highlight" + " fragment" * hidden
            )
            + f"<pre><code>{''.join(rows)}</code></pre>{marks}</div>\n"
        )
        raise nodes.SkipNode


def row(line, steps, always, name):
    """Return the HTML of one *line*, lit in each of *steps*, or *always*."""
    classes = ["line"]
    if not line.strip():
        classes.append("blank")
    if always:
        classes.append("lit")
    lit = f' data-lit="{" ".join(map(str, steps))}"' if steps else ""
    return (
        f'<span class="{" ".join(classes)}"{name}{lit}>{line or " "}\n</span>'
    )


def line_id(number, arguments):
    """Return the attribute that names a line for the player, or nothing."""
    if "linespans" not in arguments:
        return ""
    number += arguments["linenostart"]
    return f' id="{arguments["linespans"]}-{number}"'


def lit_lines(steps, count):
    """Return the sets of lines that ``1-3|5`` lights, the first line is 0."""
    return [
        set(parse_line_num_spec(step, count))
        for step in steps.split("|")
        if step
    ]


class FitCode(SphinxPostTransform):
    """Sets the size of each snippet's code, and the place of its session."""

    default_priority = 700
    builders = ("revealjs",)

    def run(self):
        """Write style and class, which MyST's container puts into its tag."""
        for node in self.document.findall(nodes.container):
            if "traced" in node["classes"]:
                fit_run(node)
            elif "snippet" in node["classes"]:
                size, place = fitted(node)
                node["style"] = f"--code-size: {size}px"
                node["classes"].append(place)


def fitted(node):
    """Return the size of type for a snippet, and its session's place."""
    blocks = [
        b.astext().splitlines() for b in node.findall(nodes.literal_block)
    ]
    width, height = room(node)
    below = height - CAPTION  # else the caption is in the slide's foot
    for size in SIZES:
        wide = [
            max(map(len, b)) * ADVANCE * size + 2 * PADDING for b in blocks
        ]
        high = [rows_high(b) * LEADING * size + PADDING for b in blocks]
        if len(blocks) > 1 and sum(wide) <= width and max(high) <= height:
            return size, "beside"
        if max(wide) <= width and sum(high) <= below:
            return size, "below"
    logger.warning("this code is too large for its slide", location=node[0])
    return size, "below"


def fit_run(node):
    """Set the size of type of code that is played, and its place.

    High code takes the whole height: what else is shown stands beside it.
    """
    run = next(node.findall(player))
    lines = run[0].astext().splitlines()
    widest, highest = (BESIDE_MEMORY, TALL) if run["moments"] else (RUN, SHORT)
    for size in SIZES:
        wide = max(map(len, lines)) * ADVANCE * size + 2 * PADDING + NAME
        high = rows_high(lines) * TIGHT * size + PADDING
        if wide <= widest and high <= highest:
            break
    if high > SHORT:
        node["classes"].append("tall")
    if wide > RUN or high > TALL:
        logger.warning("this code is too large to be played", location=run[0])
    node["style"] = f"--code-size: {size}px"


def rows_high(lines):
    """Return the height of *lines*, in lines; blank ones are lower."""
    return sum(1 if line.strip() else BLANK for line in lines)


def room(node):
    """Return the width and height that the slide has for a snippet."""
    width, height = WIDTH, HEIGHT
    while not isinstance(node.parent, nodes.section):
        if "columns" in node.parent["classes"]:
            half = (WIDTH - PADDING) // 2
            width = next(
                (COLUMNS[c] for c in node.parent["classes"] if c in COLUMNS),
                half,
            )
        node = node.parent
    height -= sum(taken(other) for other in node.parent if other is not node)
    return width, height


def taken(block):
    """Return about how much of a slide's height *block* takes."""
    if isinstance(block, nodes.paragraph):
        return 62 + 42 * (len(block.astext()) // 75)
    if isinstance(block, (nodes.bullet_list, nodes.enumerated_list)):
        return 20 + 54 * len(block)
    if "snippet" in block.get("classes", ()):
        rows = rows_high(block[1].astext().splitlines())
        return CAPTION + 2 * PADDING + 35 * rows
    return 0


def visit_notes(translator, node):
    """Write the speaker's notes, a paragraph for each of theirs."""
    translator.body.append('<aside class="notes">\n')


def depart_notes(translator, node):
    """End the notes."""
    translator.body.append("</aside>\n")


def setup(app):
    """Register translator, transform and notes."""
    app.setup_extension("sphinx_revealjs")
    app.add_node(
        revealjs_notes, override=True, revealjs=(visit_notes, depart_notes)
    )
    app.set_translator("revealjs", DeckTranslator, override=True)
    app.add_post_transform(FitCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
