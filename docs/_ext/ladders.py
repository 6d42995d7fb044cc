"""What tests/bench/ladder.py measured of a round trip, for ``{bench}``.

``{bench} peel`` takes gevent's cost off in layers, ``{bench} ladder`` climbs
from a slow way to wait up to ours, and ``{bench} alarms`` tells what timeouts
cost.
"""

from docutils import nodes

import loops
from cost import BENCHES, ROW, bar, canvas
from frame import placed
from swimlane import word

SCRIPT = BENCHES / "ladder.py"
MINUS = "\N{MINUS SIGN}"

#: What the charts call each rung, and whose colour it has.
GEVENT = {"gevent": ("gevent as it is", "hub")}
PEEL = GEVENT | {
    "one send": ("one send", "quiet"),
    "bare send": ("the bare send", "quiet"),
    "wait first": ("wait, then try", "quiet"),
    "hub.wait": ("no questions", "quiet"),
    "switch": ("no meeting point", "quiet"),
}
LADDER = {
    "ask each time": ("ask at each wait", "quiet"),
    "level": ("a level, asked once", "quiet"),
    "edge": ("an edge", "quiet"),
    "remember": ("short reads noted", "quiet"),
    "shipped": ("no detour: evening", "greenlet"),
    "own engine": ("on our own engine", "greenlet"),
}
BARE = {"bare epoll loop": ("a loop in Python", "loop")}
ALARMS = {
    "gevent": ("gevent", "hub"),
    "gevent, timeouts": ("gevent, timeouts", "hub"),
    "shipped": ("evening on greenlet", "greenlet"),
    "alarms, timeouts": ("an alarm each time", "quiet"),
    "shipped, timeouts": ("evening, timeouts", "greenlet"),
}
CHARTS = {
    "peel": ("gevent's cost, peeled", PEEL),
    "ladder": ("The ladder", GEVENT | LADDER | BARE),
    "alarms": ("What timeouts cost", ALARMS),
}
NAMES = [*CHARTS]
HEADING = "CPU time of a round trip, both ends in one process"
OLD = "CPU time of a round trip, of another version of the library"
#: Room right of the bars for a figure, and for what a step saves.
RIGHT = 130


def chart(name, measured):
    """Return a bar for each rung; None where one is missing that we need."""
    title, rungs = CHARTS[name]
    medians = measured["medians"]
    present = {rung: told for rung, told in rungs.items() if rung in medians}
    if len(present) < 2:
        return None
    svg = canvas(title, ROW * (len(present) + 2))
    word(svg, "heading", 0, ROW, HEADING if measured["current"] else OLD)
    most = max(medians[rung] for rung in present)
    steps = {} if name == "alarms" else measured["saved"]
    for n, (rung, (label, kind)) in enumerate(present.items(), 2):
        median = medians[rung]
        figure = told(median, steps.get(rung))
        bar(svg, ROW * n, label, kind, median / most, figure, RIGHT)
    return svg


def told(median, step):
    """Return a figure, and in brackets what became of it by a step."""
    figure = f"{median:.1f} µs"
    if step is None:
        return figure
    change = f"{-step:+.1f}".replace("-", MINUS)
    return f"{figure} ({change})"


def show(directive, name):
    """Return the nodes of one of the names."""
    measured = directive.figures(SCRIPT)
    svg = chart(name, measured)
    if svg is not None:
        return directive.shown(svg, f"bench-{name}")
    return [placed(directive, nodes.paragraph(loops.ABSENT, loops.ABSENT))]
