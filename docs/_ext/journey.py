"""The directive ``{journey}``: a byte's way through the layers, as it went.

``stations()`` runs a real ``recv`` on evening, in a child process, and
returns the functions it came through.  tests/test_journey.py asserts them,
the page draws them.  ``python journey.py`` is the child.
"""

import functools
import json
import subprocess
import sys
from collections import deque

from sphinx.util.docutils import SphinxDirective

from drawing import drawing
from frame import framed, note_library
from swimlane import draw

#: The lanes of the figure, from the application down to the kernel.
LANES = {
    "socket": "greenlet",
    "hub": "hub",
    "greenlet": "greenlet",
    "core": "loop",
    "kernel": "kernel",
}


def record():
    """Let a greenlet read a byte that comes later; return its stations."""
    import socket as standard

    from evening import core, hub, socket, spawn

    steps = []

    def note(lane, owner, name, text=None, before=lambda: None):
        original = getattr(owner, name)
        text = text or original.__qualname__

        @functools.wraps(original)
        def noted(*args):
            before()
            steps.append((lane, text))
            return original(*args)

        setattr(owner, name, noted)

    class Queue(deque):
        def append(self, one):
            if isinstance(one, hub.Greenlet):
                steps.append(("core", "queue.append"))
            super().append(one)

    def read():
        steps.clear()
        data = reader.recv(1)
        return [*steps, ("socket", f"recv: {data!r}")]

    core.deque = Queue  # of which the loop makes its queue
    backend = type(core.default_backend())
    mine, peer = standard.socketpair()
    reader = socket.socket(fileno=mine.detach())
    reader.hub.loop._fd_reify()  # what the loop asks for its own sake
    note("socket", socket.socket, "recv")
    note("kernel", socket, "recv", "recv")
    note("hub", socket, "wait_on_readiness")
    note("core", core.Loop, "fd_change")
    note("core", core.Callback, "switch")
    note("greenlet", reader.hub.loop, "home", "Loop.home")
    note("core", core.Loop, "_fd_reify")
    note("kernel", backend, "modify")
    note("kernel", backend, "poll", before=lambda: peer.send(b"x"))
    note("core", core.Loop, "_run_callbacks")
    note("greenlet", hub.Greenlet, "switch")
    return spawn(read).get()


def stations():
    """Return the stations of one run, ``(lane, function)``, from a child."""
    child = subprocess.run(
        [sys.executable, "-X", "utf8", __file__],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [tuple(step) for step in json.loads(child.stdout)]


class Journey(SphinxDirective):
    """``{journey}`` draws the stations; its body explains."""

    has_content = True

    def run(self):
        """Return a figure, or an error that names page and line."""
        note_library(self)
        try:
            steps = stations()
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            raise self.error(f"the journey's run failed: {said}") from None
        svg = draw("The journey of a byte", LANES, steps)
        picture = drawing(svg=svg, name="journey", words=["title"])
        figure = framed(self, picture)
        figure["classes"].append("swimlane")
        return [figure]


def setup(app):
    """Register the directive."""
    app.add_directive("journey", Journey)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    json.dump(record(), sys.stdout)
