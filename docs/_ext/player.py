"""The player: a recorded run that a reader steps through.

``{snippet} hub/two_sleepers`` with the option ``:trace:`` becomes one.  All
that can be seen is written here, at build, so that paper and a browser
without JavaScript have it too; docs/_static/player.js says what of it is
past, what is now, and what is still to come.
"""

from docutils import nodes
from sphinx import addnodes

from golden import read
from markup import ALL_WORDS, Markup, printed
from memory import moments
from sentences import SENTENCES


class player(nodes.General, nodes.Element, addnodes.translatable):
    """The golden trace of a snippet, around its code and session.

    ``first`` is the library whose run is shown first, ``moments`` are the
    slices of the stack, where there are any.  In the deck, a key leads to the
    next event of a kind in ``stops``, or of any kind, and each step in
    ``pages`` has a page of its own on paper.
    """

    def preserve_original_messages(self):
        """Do nothing: this file keeps them."""

    def extract_original_messages(self):
        """Return all that the player may say, except for names and values."""
        return list(self["words"].values())

    def apply_translated_message(self, original_message, translated_message):
        """Put the translation in the place of the original."""
        for key, words in self["words"].items():
            if words == original_message:
                self["words"][key] = translated_message


def shown_runs(trace, first):
    """Return the runs to show, the one on *first* before the other.

    The other one is left out where it is the same.
    """
    runs = trace["runs"]
    return {first: runs[first]} | {
        name: run for name, run in runs.items() if run != runs[first]
    }


def made(name, id_, *, first, predict, stops, pages):
    """Return the node that plays the snippet *name*, with that id.

    Raise ValueError where its golden trace is missing, or where it has not
    what the other arguments ask for.
    """
    trace = read(name)
    runs = trace["runs"]
    if first and first not in runs:
        raise ValueError(f"it is run on {' and '.join(runs)}, not {first!r}")
    for kind in stops:
        if not any(key.split()[0] == kind for key in SENTENCES):
            raise ValueError(f"no event is called {kind!r}")
    if predict and len(set(printed(runs["gevent"]))) < 2:
        raise ValueError("it prints too few lines to be predicted")
    of_stack = name.startswith("greenlet/")
    events = runs["evening"]["events"]
    return player(
        name=name,
        id=id_,
        trace=trace,
        first=first or ("evening" if of_stack else "gevent"),
        words=dict(ALL_WORDS),
        predict=predict,
        moments=moments(name, events) if of_stack else [],
        stops=stops,
        pages=pages,
    )


def markup(node, kinds=()):
    """Return the Markup of a player's node, with the events of *kinds*."""
    runs = shown_runs(node["trace"], node["first"])
    return Markup(
        node["name"], node["id"], runs, node["words"], node["moments"], kinds
    )


def visit_html(translator, node):
    """Begin the player; code and session follow."""
    translator.body.append(markup(node).open())


def depart_html(translator, node):
    """Write the rest of it."""
    shown = markup(node).rest(node["predict"], leads(translator, node))
    translator.body.append(shown)


def visit_slide(translator, node):
    """Begin the player; a slide has a fragment for each stop."""
    shown = markup(node, node["stops"])
    stops = shown.stops(shown.first)
    pages = f' data-pages="{node["pages"]}"' if node["pages"] else ""
    stop_at = f' data-stops="{",".join(map(str, stops))}"'
    translator.body += [
        shown.open(stop_at + pages),
        '<span class="fragment step"></span>' * len(stops),
    ]


def depart_slide(translator, node):
    """Write the rest of it, with the lanes of its stops only."""
    shown = markup(node, node["stops"])
    translator.body.append(shown.rest(words=leads(translator, node)))


def leads(translator, node):
    """Tell whether a player is the first of its page."""
    return node is next(translator.document.findall(player))


def leave(translator, node):
    """Write nothing of one's own: code and session stand for the run."""


def add_files(app, page, template, context, doctree):
    """Give a page the player's files where it has a player."""
    if doctree and any(doctree.findall(player)):
        app.add_css_file("player.css", priority=900)  # after the identity
        app.add_js_file("player.js", loading_method="defer")


def setup(app):
    """Register the node."""
    app.add_node(
        player,
        html=(visit_html, depart_html),
        revealjs=(visit_slide, depart_slide),
        text=(leave, leave),
        latex=(leave, leave),
    )
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
