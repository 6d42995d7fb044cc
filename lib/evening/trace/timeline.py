"""Print a run as text: a column for each greenlet, a row for each event."""

from collections.abc import Iterator
from typing import Any

from .recorder import Event

WIDTH = 80
LINE = 5  # the script's line, and a space
WORDS = 34  # at least so much is for words
NARROW, WIDE = 3, 11  # a lane


def words(event: Event) -> str:
    """Return what *event* tells, in a few words."""
    return WORD[event["event"]](event)


def passed(event):
    """Return the words for a value that travels."""
    return "" if event["value"] is None else f" ({event['value']})"


def died(event):
    """Return the words for an end."""
    name, error = event["greenlet"], event["error"]
    return f"{name} is dead" + (f" of {error}" if error else "")


def watched(event):
    """Return the words for what a watcher does."""
    fd = f" on {event['fd']}" if "fd" in event else ""
    return f"{event['watcher']} {event['event'].partition('_')[2]}s{fd}"


#: How each kind of event is told.
WORD = {
    "spawn": lambda e: f"make {e['target']}, a child of {e['parent']}",
    "start": lambda e: f"{e['target']} begins",
    "switch": lambda e: f"switch to {e['target']}{passed(e)}",
    "throw": lambda e: f"throw into {e['target']}{passed(e)}",
    "return": lambda e: f"return to {e['target']}{passed(e)}",
    "die": died,
    "print": lambda e: f"print: {e['text']}",
    "turn": lambda e: f"turn {e['turn']} of the loop",
    "poll": lambda e: POLLS[e["timeout"]],
    "watcher_start": watched,
    "watcher_stop": lambda e: watched(e).replace("stops", "stops"),
    "watcher_fire": watched,
    "timer_set": lambda e: f"{e['timer']} set to {e['seconds']:g} s",
    "timer_due": lambda e: f"{e['timer']} is due",
    "callback_queued": lambda e: f"queue: {e['callback']}",
    "callback_run": lambda e: f"run: {e['callback']}",
    "fd_ready": lambda e: f"{e['fd']} is ready to {e['what']}",
}
POLLS = {
    "0": "ask the kernel, don't sleep",
    "none": "ask the kernel, sleep till it tells",
    "timer": "ask the kernel, sleep till a timer",
}


def timeline(run: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the text that shows *run*."""
    lanes = Lanes([*run["greenlets"]])
    yield from lanes.head()
    started = {"main"}
    for event in run["events"]:
        if event["event"] == "start":
            started.add(event["target"])
        yield lanes.row(event, started)
        if event["event"] == "die":
            started.discard(event["greenlet"])


class Lanes:
    """The columns: where each greenlet's lane is."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        longest = max(map(len, names)) + 2
        room = (WIDTH - LINE - WORDS) // len(names)
        self.width = max(NARROW, min(longest, room, WIDE))
        self.named = longest <= self.width + 1

    def head(self) -> Iterator[str]:
        """Yield the names, above the lanes or as a list."""
        labels = self.names
        if not self.named:
            labels = [f"{n}" for n, _ in enumerate(self.names, 1)]
            for label, name in zip(labels, self.names, strict=True):
                yield f"{label:>{LINE - 1}} {name}"
            yield ""
        row = "".join(label.ljust(self.width) for label in labels)
        yield f"line {row}".rstrip()

    def row(self, event: Event, started: set[str]) -> str:
        """Return the row of *event*; lanes in *started* go on."""
        marks = ["│" if name in started else " " for name in self.names]
        cells = "".join(mark.ljust(self.width) for mark in marks)
        here = self.names.index(event["greenlet"])
        kind = event["event"]
        if kind in ("switch", "throw", "die"):
            there = self.names.index(event["target"])
            cells = self.arrow(cells, here, there, kind)
        else:
            cells = self.put(cells, here, SIGNS.get(kind, "●"))
        line = "" if event["line"] is None else event["line"]
        return f"{line:>{LINE - 1}} {cells}{words(event)}".rstrip()

    def put(self, cells: str, lane: int, sign: str) -> str:
        """Return *cells* with a sign in one lane."""
        at = lane * self.width
        return cells[:at] + sign + cells[at + 1 :]

    def arrow(self, cells: str, here: int, there: int, kind: str) -> str:
        """Return *cells* with an arrow from lane to lane."""
        first, last = sorted((here * self.width, there * self.width))
        dash = "─" if kind == "switch" else "╌"
        ends = ("●", "▶") if here < there else ("◀", "●")
        if kind == "die":
            ends = tuple(end.replace("●", "×") for end in ends)
        shaft = ends[0] + dash * (last - first - 1) + ends[1]
        return cells[:first] + shaft + cells[last + 1 :]


SIGNS = {"print": "■", "spawn": "+", "start": "○", "turn": "↻"}
