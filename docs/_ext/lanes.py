"""Draw a trace as a swimlane: a lane for each greenlet, time goes down.

Each event is a group of its own that says its step, so that the player can
show what is past and leave out what is still to come.
"""

from swimlane import CHARACTER, draw_actor, draw_way, element

HEAD, ROW, MARK, SIGN = 40, 26, 4, 6
LANE, PADDING, GAP = 64, 28, 16  # the narrowest; around a name; at the left
ASIDE = 12  # from a mark to its words

#: Where an event is seen that is not its greenlet's own.
TARGET = {"start", "switch", "throw", "die"}
LOOP = {"turn", "timer_due", "watcher_fire", "callback_run"}
KERNEL = {"poll", "fd_ready"}

#: What stands beside an event.
LABELS = {
    "spawn": "spawn {target}",
    "switch": "{value}",
    "throw": "throw {value}",
    "return": "return {value}",
    "die": "{error}",
    "print": "{text}",
    "turn": "turn {turn}",
    "poll": "poll {timeout}",
    "watcher_start": "start {watcher} {fd}",
    "watcher_stop": "stop {watcher}",
    "watcher_fire": "{watcher} fires",
    "timer_set": "{timer}: {seconds} s",
    "timer_due": "{timer} is due",
    "callback_queued": "queue {function}",
    "callback_run": "call {function}",
    "fd_ready": "{fd}: {what}",
}


class Lanes:
    """The figure of one run of a golden trace.

    It shows the events of the given *steps*, counted from 1, or all.
    *words* has the names of loop and kernel, and labels, in a translation.
    """

    def __init__(self, run, steps=None, words=LABELS):
        self.words = words
        self.steps = steps or range(1, len(run["events"]) + 1)
        self.events = [run["events"][step - 1] for step in self.steps]
        self.kinds = kinds(run)
        self.x, right = {}, GAP
        for name in self.kinds:
            width = max(LANE, CHARACTER * len(name) + PADDING)
            self.x[name] = right + width // 2
            right += width
        self.rows = rows(self.events)
        reach = [
            self.x[self.lane(event)]
            + ASIDE
            + CHARACTER * len(label(event, words))
            for event in self.events
        ]
        self.width = max([right, *reach]) + GAP
        self.height = ROW * (self.rows[-1] + 1)

    def lane(self, event):
        """Return the lane in which an event is seen."""
        kind = event["event"]
        if kind in TARGET:
            return event["target"]
        if kind in LOOP:
            return "hub" if "hub" in self.kinds else "loop"
        return "kernel" if kind in KERNEL else event["greenlet"]

    def y(self, row):
        """Return the height of a row's middle."""
        return ROW * row + ROW // 2

    def draw_head(self):
        """Return the SVG of the names and the signs of all lanes."""
        svg = self.svg(HEAD)
        for name, kind in self.kinds.items():
            lane = element(svg, "g", **{"class": f"lane {kind}"})
            words = element(lane, "text", x=self.x[name], y=16)
            words.set("class", "middle")
            words.text = self.words.get(name, name)
            draw_actor(lane, kind, self.x[name], HEAD - 12, SIGN)
        return svg

    def draw(self):
        """Return the SVG of all events, a group for each."""
        svg = self.svg(self.height)
        made = {e["target"] for e in self.events if e["event"] == "spawn"}
        alive = [name for name in self.kinds if name not in made]
        before = self.lane(self.events[0]), None
        for n, event in enumerate(self.events):
            here = self.lane(event), self.y(self.rows[n])
            group = element(svg, "g", data_step=self.steps[n], data_y=here[1])
            if event["event"] == "die":
                alive.remove(event["greenlet"])
            if here[1] != before[1]:
                self.draw_lanes(group, here[1], alive)
            if event["event"] == "spawn":
                alive.append(event["target"])
            self.draw_step(group, event, before, here)
            if event["event"] == "die":
                self.draw_end(group, event["greenlet"], here[1])
            before = here
        return svg

    def svg(self, height):
        """Return an empty SVG as wide as all lanes."""
        svg = element(None, "svg", viewBox=f"0 0 {self.width} {height}")
        width = f"{self.width / 16:.2f}rem"
        svg.set("style", f"--width: {width}; width: {width}")
        return svg

    def draw_lanes(self, svg, y, alive):
        """Draw a row's piece of the lanes of those who are alive."""
        high = y - ROW // 2
        d = "".join(f"M{self.x[name]} {high}v{ROW}" for name in alive)
        element(svg, "path", d=d, **{"class": "lane"})

    def draw_end(self, svg, name, y):
        """Draw that a greenlet is dead, where control leaves it."""
        x, size = self.x[name], MARK
        high = y - ROW // 2 - size
        cross = f"M{x - size} {high}l{2 * size} {2 * size}"
        cross += f"m0 {-2 * size}l{-2 * size} {2 * size}"
        element(svg, "path", d=cross, **{"class": "dead"})

    def draw_step(self, svg, event, before, here):
        """Draw how control came here, and what happens here."""
        (lane, y), (earlier, above) = here, before
        x = self.x[lane]
        if event["event"] in TARGET:
            earlier = event["greenlet"]  # who leaves, also where others act
        if above and y > above:
            if event["event"] in TARGET or lane == earlier:
                draw_way(svg, self.x[earlier], above, x, y)
            else:
                self.draw_call(svg, self.x[earlier], above, x, y)
        draw_actor(svg, self.sign(event, lane), x, y, MARK)
        words = label(event, self.words)
        if words:
            text = element(svg, "text", x=x + ASIDE, y=y + 4)
            prints = event["event"] == "print"
            text.set("class", "step print" if prints else "step")
            text.text = words

    def draw_call(self, svg, x1, y1, x2, y2):
        """Draw a way that is no switch: the loop and the kernel are called."""
        over = y2 - ROW // 2
        element(
            svg,
            "path",
            d=f"M{x1} {y1 + 4}V{over}H{x2}V{y2 - 4}",
            **{"class": "calls"},
        )

    def sign(self, event, lane):
        """Return the kind of actor whose sign an event gets."""
        return "loop" if event["event"] in LOOP else self.kinds[lane]


def kinds(run):
    """Return the lanes of a run, and what kind of actor each is."""
    happened = {event["event"] for event in run["events"]}
    order = ["main", "hub", "greenlet"]
    greenlets = sorted(
        run["greenlets"].items(), key=lambda one: order.index(one[1]["kind"])
    )
    lanes = {
        name: "hub" if one["kind"] == "hub" else "greenlet"
        for name, one in greenlets
    }
    if "hub" not in lanes and happened & LOOP:
        lanes["loop"] = "loop"
    if happened & KERNEL:
        lanes["kernel"] = "kernel"
    return lanes


def label(event, words=LABELS):
    """Return the words beside an event; what is None is left out."""
    fields = {
        key: "" if value is None else value for key, value in event.items()
    }
    fields.setdefault("fd", "")
    fields["function"] = event.get("callback", "").rpartition(".")[-1]
    template = words.get(event["event"], LABELS.get(event["event"], ""))
    return template.format_map(fields).strip()


def rows(events):
    """Return the row of each event; some share that of the one before."""
    found, row, words = [], -1, ""
    for n, event in enumerate(events):
        if n == 0 or not joins(events[n - 1], event, words):
            row, words = row + 1, ""
        words += label(event)
        found.append(row)
    return found


def joins(earlier, event, words):
    """Tell whether an event is seen in the row of the one before.

    It is where somebody arrives and begins, or arrives without *words* and
    prints.
    """
    if event["event"] == "start":
        return earlier["event"] == "switch" and (
            earlier["target"] == event["target"]
        )
    return (
        not words
        and earlier["event"] in TARGET
        and event["event"] == "print"
        and event["greenlet"] == earlier["target"]
    )
