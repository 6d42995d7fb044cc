"""Draw a run's stack and heap: a column for each switch.

Older addresses are above, as in the talk's figure, and a byte is as high in
the heap, which is below, as in the stack.
"""

from swimlane import element, text, word

LEFT, BOX, GAP = 76, 104, 28  # the addresses; a column; between two columns
HEAD, OLDEST, POINTER = 52, 62, 56  # its words; main's own data; the sp
BYTES, BYTE = 330, 0.16  # all bytes together, and one, are at most so high
HEAP = 12  # around what is in the heap
ROW, CHARACTER = 18, 8.5


class Figure:
    """The figure of *steps*, which are as ``memory.recorded`` returns them."""

    def __init__(self, steps):
        self.steps = steps
        slices = [one for step in steps for one in step["slices"].values()]
        known = {end for one in slices for end in one[:2]} - {None} | {0}
        self.ends = sorted(known, reverse=True)
        earlier = [{}, *(step["slices"] for step in steps)]
        heaps = [in_heap(*pair) for pair in zip(steps, earlier, strict=False)]
        heap = max(sum(size for *_, size in pieces) for pieces in heaps)
        size = self.ends[0] - self.ends[-1] + heap
        self.scale = min(BYTE, BYTES / max(size, 1))
        self.box = max(BOX, CHARACTER * longest(steps))
        self.width = LEFT + len(steps) * (self.box + GAP)
        rows = max(len(step["printed"]) for step in steps)
        self.top = HEAD + ROW * max(rows - 1, 0)
        self.bottom = self.y(self.ends[-1]) + POINTER
        room = HEAP * (max(map(len, heaps)) + 1)
        self.height = self.bottom + heap * self.scale + max(room, 2 * ROW)

    def y(self, offset):
        """Return where an address is; without one, where the oldest is."""
        if offset is None:
            return self.top
        return self.top + OLDEST + (self.ends[0] - offset) * self.scale

    def draw(self, name):
        """Return the SVG element."""
        size = f"0 0 {self.width:.0f} {self.height:.0f}"
        svg = element(None, "svg", viewBox=size)
        svg.set("style", f"width: {self.width / 16:.2f}rem")
        element(svg, "title").text = f"Stack and heap in the run of {name}"
        self.draw_scale(svg)
        before = {}
        for n, step in enumerate(self.steps):
            self.draw_column(svg, n, step, before)
            before = step["slices"]
        return svg

    def draw_column(self, svg, n, step, before):
        """Draw a step beside the one before it."""
        left = LEFT + GAP / 2 + n * (self.box + GAP)
        Column(self, svg, left, step, before).draw()

    def draw_scale(self, svg):
        """Draw what the columns share: the addresses, and the heap."""
        x, last = LEFT - 6, self.top + 32
        size = self.width, self.height - self.bottom
        rect(svg, "heap", 0, self.bottom, *size)
        word(svg, "name end", x, self.top + 14, "stack")
        word(svg, "quiet end", x, self.top + 33, "older")
        for end in self.ends:
            path(svg, "scale", f"M{x + 4} {self.y(end):.1f}H{self.width:.0f}")
            if self.y(end) > last + 14:
                last = self.y(end)
                text(svg, "code end", x, last + 5, number(end))
        word(svg, "quiet end", x, last + 32, "newer")
        word(svg, "name end", x, self.bottom + 27, "heap")


class Moments(Figure):
    """All steps in one place: the player shows one at a time.

    Each step tells with ``at`` the event from which on it is true.
    """

    def __init__(self, steps):
        super().__init__(steps)
        self.width = LEFT + self.box + 2 * GAP

    def draw_column(self, svg, n, step, before):
        """Draw a step in the place of the one before it."""
        group = element(svg, "g", data_at=step["at"])
        super().draw_column(group, 0, step, before)


class Column:
    """One step: who goes on, and where everybody's bytes are by then."""

    def __init__(self, figure, svg, left, step, before):
        self.figure, self.svg, self.step = figure, svg, step
        self.slices, self.before = step["slices"], before
        self.left, self.right = left, left + figure.box
        self.middle = left + figure.box / 2

    def draw(self):
        """Draw it, from its words down to the heap."""
        self.draw_head()
        for x in (self.left, self.right):
            edge = f"M{x:.1f} {self.figure.top + 6}V{self.figure.bottom - 10}"
            path(self.svg, "quiet line", edge)
        for name, (start, _, size) in self.slices.items():
            if size:
                self.draw_gap(name, start, start + size)
        for name, (start, stop, size) in self.slices.items():
            self.draw_slice(name, (start or 0) + size, stop)
        for name in self.before:
            if name not in self.slices:
                self.draw_end(name)
        self.draw_pointer()
        self.draw_heap()

    def draw_head(self):
        """Write who switches to whom, and what the one who goes on prints."""
        if self.step["origin"] is None:
            word(self.svg, "name middle", self.middle, 18, "start")
        else:
            text(self.svg, "name middle", self.middle, 18, title(self.step))
        for n, said in enumerate(self.step["printed"]):
            row = text(self.svg, "code middle", self.middle, 38 + n * ROW, "")
            if n == 0:
                prints = element(row, "tspan", **{"class": "plain"})
                prints.text, prints.tail = "prints", f" {said}"
            else:
                row.text = said

    def draw_slice(self, name, start, stop):
        """Draw what of a slice is in its place in the stack."""
        now = " now" if name == self.step["target"] else ""
        high, low = self.figure.y(stop), self.figure.y(start)
        if stop is None:
            tooth = self.figure.box / 16
            tear = f"l{tooth:.2f} -6l{tooth:.2f} 6" * 8
            edge = f"M{self.left} {high + 6}{tear}V{low:.1f}H{self.left}Z"
            path(self.svg, f"greenlet{now}", edge)
            y = (high + low) / 2 + 8
            text(self.svg, f"name middle{now}", self.middle, y, name)
        elif start < stop:
            self.draw_bytes(f"greenlet{now}", high, low, name, stop - start)
        elif now:
            self.draw_begin(name, low)

    def draw_begin(self, name, y):
        """Draw where a greenlet begins, that has no bytes yet."""
        path(self.svg, "begins", f"M{self.left} {y:.1f}H{self.right}")
        right = self.right - 8  # as the sp is at the left
        text(self.svg, "name end", right, y + 20, name)
        word(self.svg, "quiet end", right, y + 40, "begins")

    def draw_gap(self, name, start, stop):
        """Draw where bytes belong that are in the heap."""
        high, low = self.figure.y(stop), self.figure.y(start)
        self.draw_box("quiet dash", high, low)
        y = (high + low) / 2 + 5
        text(self.svg, "quiet middle", self.middle, y, name)

    def draw_end(self, name):
        """Write that a greenlet has ended, where its bytes were."""
        high, low = (self.figure.y(end) for end in self.before[name][1::-1])
        y = max((high + low) / 2 + 12, high + 20)
        row = text(self.svg, "quiet middle over", self.middle, y, f"{name} ")
        element(row, "tspan").text = "ended"

    def draw_pointer(self):
        """Draw where the stack ends: from here on, it grows down."""
        start, _, _ = self.slices[self.step["target"]]
        x, y = self.left + 12, self.figure.y(start or 0)
        path(self.svg, "arrow", f"M{x:.1f} {y + 28:.1f}V{y + 10:.1f}")
        path(self.svg, "head", f"M{x:.1f} {y + 3:.1f}l4.5 9h-9Z")
        text(self.svg, "code middle over", x, y + 41, "sp")

    def draw_heap(self):
        """Draw the bytes in the heap, and the way of those that moved."""
        high = self.figure.bottom + HEAP
        for name, start, size in in_heap(self.step, self.before):
            low = high + size * self.figure.scale
            here, there = (high + low) / 2, self.figure.y(start + size / 2)
            if name == self.step["target"]:
                self.draw_box("quiet dash", high, low)
                text(self.svg, "quiet middle", self.middle, here + 5, name)
                self.draw_way(here, there)
            else:
                self.draw_bytes("greenlet dash", high, low, name, size)
                if size > saved(self.before, name):
                    self.draw_way(there, here)
            high = low + HEAP

    def draw_way(self, y1, y2):
        """Draw that bytes went from one height to another."""
        x = self.right + 2
        bend = f"M{x} {y1:.1f}c16 0 16 {y2 - y1:.1f} 6 {y2 - y1:.1f}"
        path(self.svg, "arrow", bend)
        path(self.svg, "head", f"M{x} {y2:.1f}l9 -4.5v9Z")

    def draw_box(self, kind, high, low):
        """Draw a piece of memory."""
        rect(self.svg, kind, self.left, high, self.figure.box, low - high)

    def draw_bytes(self, kind, high, low, name, size):
        """Draw a piece of memory, with whose bytes it has, and how many."""
        self.draw_box(kind, high, low)
        kind, y = kind.removeprefix("greenlet"), (high + low) / 2
        if low - high < 2 * ROW:  # one row of words
            row = text(self.svg, f"middle{kind}", self.middle, y + 5, "")
            row.text = f"{name} {size:,} "
        else:
            text(self.svg, f"name middle{kind}", self.middle, y - 5, name)
            row = text(self.svg, f"middle{kind}", self.middle, y + 17, "")
            row.text = f"{size:,} "
        element(row, "tspan").text = "bytes"


def in_heap(step, before):
    """Return whose bytes are in the heap, from where on, and how many.

    The target's are on their way back to the stack.
    """
    pieces = []
    for name, (start, _, size) in step["slices"].items():
        if name == step["target"]:
            size = saved(before, name)
        if size:
            pieces.append((name, start, size))
    return pieces


def saved(slices, name):
    """Return how many bytes of a greenlet are in the heap."""
    return slices[name][2] if name in slices else 0


def title(step):
    """Return who switches to whom."""
    return f"{step['origin']} → {step['target']}"


def longest(steps):
    """Return how many characters the longest words of a column have."""
    words = [title(step) for step in steps]
    words += [f"prints {said}" for step in steps for said in step["printed"]]
    return max(map(len, words))


def number(offset):
    """Return an offset as it is printed."""
    return f"{offset:,}".replace("-", "\N{MINUS SIGN}")


def rect(svg, kind, x, y, width, height):
    """Draw a rectangle."""
    sides = {"x": x, "y": y, "width": width, "height": height}
    sides = {key: f"{value:.1f}" for key, value in sides.items()}
    return element(svg, "rect", **sides, **{"class": kind})


def path(svg, kind, d):
    """Draw a path."""
    return element(svg, "path", d=d, **{"class": kind})
