"""The role ``{step}``: a link to a step of a run that the page plays.

``{step}`main goes to the hub <hub-two_sleepers@5 switch>``` names the player,
the step, and the kind of event that the words tell of.  Where another event
has come to that place, the build says so.
"""

import re

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from player import player

logger = logging.getLogger(__name__)

LINK = re.compile(r"(.+) <([\w-]+)@(\d+) (\w+)>", re.S)


class Step(SphinxRole):
    """Links its words to a step."""

    def run(self):
        """Return the link, or an error that names page and line."""
        found = LINK.fullmatch(self.text)
        if not found:
            message = self.inliner.reporter.error(
                f"a step is `words <player@number event>`, not {self.text!r}",
                line=self.lineno,
            )
            return [], [message]
        words, name, step, kind = found.groups()
        link = nodes.reference(
            self.rawtext, words, internal=True, refuri=f"#{name}@{step}"
        )
        link["step"] = name, int(step), kind
        self.set_source_info(link)
        return [link], []


def check(app, doctree):
    """Warn of links to what is not there, or not what the page tells."""
    played = {one["id"]: one for one in doctree.findall(player)}
    for link in doctree.findall(nodes.reference):
        if "step" in link:
            name, step, kind = link["step"]
            happens = event_of(played.get(name), step)
            if happens != kind:
                logger.warning(
                    "step %s of %s: the page tells of %s, and it is %s",
                    *(step, name, kind, happens or "nowhere on this page"),
                    location=link,
                )


def event_of(node, step):
    """Return the kind of an event of a player's first run, or None."""
    events = node["trace"]["runs"][node["first"]]["events"] if node else []
    return events[step - 1]["event"] if 0 < step <= len(events) else None


def setup(app):
    """Register the role."""
    app.add_role("step", Step())
    app.connect("doctree-read", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
