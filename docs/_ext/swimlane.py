"""Draw a recorded run: a lane for each actor, a row for each step."""

import xml.etree.ElementTree as ET
from itertools import pairwise

from drawing import SVG

LANE, ROW, HEAD, CHARACTER = 104, 28, 44, 8


def draw(title, lanes, steps):
    """Return an SVG element.

    *lanes* maps an actor's name to its kind (greenlet, hub, loop, kernel),
    *steps* are ``(lane, text)`` pairs in the order of the run.
    """
    names = list(lanes)
    middle = {name: LANE * n + LANE // 2 for n, name in enumerate(names)}
    height = HEAD + ROW * len(steps) + ROW // 2
    reach = [middle[lane] + 16 + CHARACTER * len(text) for lane, text in steps]
    width = max([LANE * len(names), *reach])
    svg = element(None, "svg", viewBox=f"0 0 {width} {height}")
    svg.set("style", f"width: {width / 16:.2f}rem")
    element(svg, "title").text = title
    element(svg, "desc").text = "; ".join(
        f"{lane}: {text}" if text else lane for lane, text in steps
    )
    for name in names:
        draw_lane(svg, name, lanes[name], middle[name], height)
    rows = [
        (middle[lane], HEAD + ROW * n + ROW // 2)
        for n, (lane, _) in enumerate(steps)
    ]
    for (x1, y1), (x2, y2) in pairwise(rows):
        draw_way(svg, x1, y1, x2, y2)
    for (lane, text), (x, y) in zip(steps, rows, strict=True):
        draw_actor(svg, lanes[lane], x, y, 4)
        if text:
            label = element(
                svg, "text", x=x + 12, y=y + 4, **{"class": "step"}
            )
            label.text = text
    return svg


def draw_lane(svg, name, kind, x, height):
    """Draw an actor's name, its sign and the line below it."""
    lane = element(svg, "g", **{"class": f"lane {kind}"})
    element(lane, "path", d=f"M{x} {HEAD - 8}V{height}")
    draw_actor(lane, kind, x, HEAD - 12, 6)
    label = element(lane, "text", x=x, y=18)
    label.set("text-anchor", "middle")
    label.text = name


def draw_actor(svg, kind, x, y, size):
    """Draw the sign of *kind*: its shape tells it as well as its colour."""
    if kind == "hub":
        element(svg, "circle", cx=x, cy=y, r=size, **{"class": "hub"})
    elif kind == "loop":
        element(svg, "circle", cx=x, cy=y, r=size, **{"class": "loop ring"})
    elif kind == "kernel":
        element(
            svg,
            "path",
            d=f"M{x - size} {y}H{x + size}",
            **{"class": "kernel ground"},
        )
    else:
        element(
            svg,
            "rect",
            x=x - size,
            y=y - size,
            width=2 * size,
            height=2 * size,
            rx=size // 2,
            **{"class": "greenlet"},
        )


def draw_way(svg, x1, y1, x2, y2):
    """Draw how control went from one row to the next."""
    if x1 == x2:
        element(svg, "path", d=f"M{x1} {y1 + 4}V{y2 - 4}", **{"class": "runs"})
        return
    over, tip = y2 - ROW // 2, y2 - 6  # above the row's words
    element(
        svg,
        "path",
        d=f"M{x1} {y1 + 4}V{over}H{x2}V{tip - 4}",
        **{"class": "switches"},
    )
    element(
        svg,
        "path",
        d=f"M{x2} {tip}l-4-6h8z",
        **{"class": "head"},
    )


def element(parent, tag, **attributes):
    """Return a new SVG element, below *parent* where there is one."""
    strings = {
        key.replace("_", "-"): f"{value}" for key, value in attributes.items()
    }
    if parent is None:
        return ET.Element(f"{{{SVG}}}{tag}", strings)
    return ET.SubElement(parent, f"{{{SVG}}}{tag}", strings)


def text(svg, kind, x, y, words):
    """Write what needs no translator."""
    line = element(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", **{"class": kind})
    line.text = words
    return line


def word(svg, kind, x, y, words):
    """Write words that a translator will find: only they are tspans."""
    element(text(svg, kind, x, y, ""), "tspan").text = words
