"""The directive ``{bench}``: what the benches of tests/bench/ measured.

``{bench} switch`` and ``{bench} life`` set our greenlet among all that can
stand in its place, ``{bench} gain`` sets it beside the greenlet package, and
``{bench} depth`` tells what becomes of both as the stack gets deeper.
These are of tests/bench/greenlet.py; loops.py has those of the other layers,
and ladders.py those that tell where the time of one round trip goes.
"""

from math import ceil, floor, log10

from docutils import nodes

import ladders
import loops
from cost import BENCHES, LEFT, ROW, WIDTH, Bench, bar, bars, canvas
from frame import placed
from swimlane import element, text, word

#: What the charts call each one, and whose colour it has.
PEERS = {
    "generator": ("generator", "quiet"),
    "ours": ("our greenlet", "greenlet"),
    "goroutine": ("goroutine", "quiet"),
    "greenlet": ("package greenlet", "greenlet"),
    "task": ("asyncio task", "quiet"),
    "thread": ("thread", "kernel"),
    "twin": ("our twin, on threads", "kernel"),
}
WORKS = {
    "shallow": "a switch",
    "900 Python frames": "below 900 functions",
    "250 KB of C stack": "with 250 KB of C",
    "750 KB of C stack": "with 750 KB of C",
    "create, run, die": "create, run, die",
}
#: Room right of the bars for a gain, then both figures.
GAIN_RIGHT = 212
MISSING = (
    "Our engine is not built on this machine, so there is nothing to "
    "compare: “pip install -e .” builds it where a C compiler is."
)


def among(values):
    """Return labels and kinds of those that have a value."""
    return {name: told for name, told in PEERS.items() if name in values}


def switch(figures):
    """Draw a switch of each one, with few and with many frames."""
    groups = [
        (heading, among(figures["ns"][work]), figures["ns"][work], "ns")
        for heading, work in (
            ("CPU time of a switch", "shallow"),
            ("the same below 900 functions", "900 Python frames"),
        )
    ]
    return bars("What a switch costs", groups)


def life(figures):
    """Draw birth, death, and waiting between them."""
    lives, waits = figures["ns"]["create, run, die"], figures["waits"]
    groups = [
        ("CPU time to create, run, die", among(lives), lives, "ns"),
        ("memory of one that waits", among(waits), waits, "KB"),
    ]
    return bars("What a life costs", groups)


def gain(figures):
    """Draw how many times less of everything ours takes."""
    rows = [
        (label, figures["faster"][work], figures["ns"][work], "ns")
        for work, label in WORKS.items()
    ]
    rows.append(("one that waits", figures["smaller"], figures["waits"], "KB"))
    svg = canvas("Our greenlet beside the package", ROW * (len(rows) + 2))
    word(svg, "heading", 0, ROW, "how many times less ours takes")
    most = max(times for _, times, _, _ in rows)
    for n, (label, times, values, unit) in enumerate(rows, 2):
        figure = f"{times:.2f} \N{MULTIPLICATION SIGN} ({pair(values, unit)})"
        bar(svg, ROW * n, label, "greenlet", times / most, figure, GAIN_RIGHT)
    x = LEFT + (WIDTH - LEFT - GAIN_RIGHT) / most  # here both are level
    level = f"M{x:.1f} {ROW * 2 - 20}V{ROW * (len(rows) + 1) + 12}"
    element(svg, "path", d=level, **{"class": "quiet line dash"})
    return svg


def pair(values, unit):
    """Return greenlet's figure, and what it becomes with ours."""
    few = max(values["ours"], values["greenlet"]) < 10
    before, after = (
        f"{values[name]:{'.1f' if few else ',.0f'}}"
        for name in ("greenlet", "ours")
    )
    return f"{before} → {after} {unit}"


# -- By depth: a panel for Python, one for C; a step up is ten times as much.

DECADE, STEP, LINE, GUTTER, MARK = 36, 88, 22, 36, 4
CURVES = {"ours": ("greenlet", "line"), "greenlet": ("quiet", "line dash")}
PANELS = {
    "Python": ("below so many functions of Python", "functions"),
    "C": ("below so many calls of sorted, each some frames of C", "sorts"),
}
BYTES = {"ours": "bytes saved, ours", "greenlet": "of the package"}


def depth(figures):
    """Draw time and bytes of a switch as the stack gets deeper."""
    decades = range(*span(figures["depths"]))
    high = DECADE * (len(decades) - 1) + ROW * 6
    svg = canvas("What a switch costs by depth", high * len(PANELS))
    for n, (kind, words) in enumerate(PANELS.items()):
        panel(svg, high * n + ROW, words, figures["depths"][kind], decades)
    return svg


def span(depths):
    """Return the powers of ten between which all times are."""
    times = [
        nanoseconds
        for rows in depths.values()
        for row in rows
        for nanoseconds in row["ns"].values()
    ]
    return floor(log10(min(times))), ceil(log10(max(times))) + 1


def panel(svg, y, words, rows, decades):
    """Draw a heading, the curves of both engines, and figures below them."""
    heading, unit = words
    word(svg, "heading", 0, y, heading)
    top = y + ROW * 3 // 2  # a curve's name goes above it
    ground = top + DECADE * (len(decades) - 1)
    for n, power in enumerate(decades):
        rung(svg, ground - DECADE * n, power, len(rows))
    heights = {
        name: [
            ground - DECADE * (log10(row["ns"][name]) - decades[0])
            for row in rows
        ]
        for name in CURVES
    }
    for name, kinds in CURVES.items():
        curve(svg, kinds, heights[name])
    # Ours is the lower: its name goes below, where the line begins.
    low, high = heights["ours"][0] + 20, heights["greenlet"][-1] - 12
    last = LEFT + STEP * (len(rows) - 1)
    word(svg, "over", LEFT, low, PEERS["ours"][0])
    word(svg, "end over", last, high, PEERS["greenlet"][0])
    below(svg, ground + ROW, unit, rows)


def rung(svg, y, power, count):
    """Draw the line of one power of ten."""
    right = LEFT + STEP * (count - 1)
    element(
        svg,
        "path",
        d=f"M{LEFT} {y}H{right}",
        opacity=0.3,
        **{"class": "quiet"},
    )
    text(svg, "label quiet", LEFT - GUTTER, y + 5, f"{10**power:,} ns")


def curve(svg, kinds, heights):
    """Draw one engine's line, with a mark at each depth."""
    mark, line = kinds
    places = [(LEFT + STEP * n, f"{y:.1f}") for n, y in enumerate(heights)]
    way = "M" + "L".join(f"{x} {y}" for x, y in places)
    element(svg, "path", d=way, **{"class": f"{mark} {line}"})
    for x, y in places:
        element(svg, "circle", cx=x, cy=y, r=MARK, **{"class": mark})


def below(svg, y, unit, rows):
    """Write depths and bytes, each below its mark."""
    lines = {unit: [row["depth"] for row in rows]} | {
        label: [row["bytes"][name] for row in rows]
        for name, label in BYTES.items()
    }
    for n, (label, values) in enumerate(lines.items()):
        height = y + LINE * n
        word(svg, "label quiet", LEFT - GUTTER, height, label)
        for column, value in enumerate(values):
            x = LEFT + STEP * column
            text(svg, "middle quiet", x, height, f"{value:,}")


PICTURES = {"switch": switch, "life": life, "gain": gain, "depth": depth}


class Measured(Bench):
    """``{bench} gain`` draws one of the pictures; its body explains."""

    required_arguments = 1

    def show(self):
        """Return a figure, or a sentence where there is no engine."""
        (name,) = self.arguments
        for others in loops, ladders:
            if name in others.NAMES:
                return others.show(self, name)
        if name not in PICTURES:
            known = ", ".join([*PICTURES, *loops.NAMES, *ladders.NAMES])
            raise self.error(f"{{bench}} {name}: take one of {known}")
        measured = self.figures(BENCHES / "greenlet.py")
        if "missing" in measured:
            return [placed(self, nodes.paragraph(MISSING, MISSING))]
        return self.shown(PICTURES[name](measured), f"bench-{name}")


def setup(app):
    """Register the directive."""
    app.add_directive("bench", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
