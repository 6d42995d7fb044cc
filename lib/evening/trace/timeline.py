"""Print a run as text: a column for each greenlet, a row for each event."""

from collections.abc import Callable, Iterator
from typing import Any

from .recorder import Event

WIDTH = 80
LINE = 5  # the script's line, and a space
TEXT = 34  # at least so much is for words
NARROW = 3  # a lane whose greenlet's name has no room


def words(event: Event) -> str:
    """Return what *event* tells, in a few words."""
    return WORDS[event["event"]](event)


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


POLLS = {
    "0": "ask the kernel, don't sleep",
    "none": "ask the kernel, sleep till it tells",
    "timer": "ask the kernel, sleep till a timer",
}
#: How each kind of event is told.
WORDS: dict[str, Callable[[Event], str]] = {
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
    "watcher_stop": watched,
    "watcher_fire": watched,
    "timer_set": lambda e: f"{e['timer']} set to {e['seconds']:g} s",
    "timer_due": lambda e: f"{e['timer']} is due",
    "callback_queued": lambda e: f"queue: {e['callback']}",
    "callback_run": lambda e: f"run: {e['callback']}",
    "fd_ready": lambda e: f"{e['fd']} is ready to {e['what']}",
}
SIGNS = {"print": "■", "spawn": "+", "start": "○", "turn": "↻"}
ENDS = {"switch": "●", "throw": "●", "die": "†"}  # where an arrow begins


def timeline(run: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the text that shows *run*."""
    lanes = Lanes([*run["greenlets"]])
    yield from lanes.head()
    alive = {"main"}
    for event in run["events"]:
        if event["event"] == "start":
            alive.add(event["target"])
        yield lanes.row(event, alive)
        if event["event"] == "die":
            alive.discard(event["greenlet"])


class Lanes:
    """The columns: where each greenlet's lane is.

    They bear the greenlets' names where there is room, else numbers.  Those
    for whom there is none at all share the last, and are named in each row.
    """

    def __init__(self, names: list[str]) -> None:
        longest = max(map(len, names)) + 2
        room = WIDTH - LINE - TEXT
        self.named = longest * len(names) <= room
        self.width = longest if self.named else NARROW
        last = room // self.width - 1
        self.lanes = {name: min(n, last) for n, name in enumerate(names)}
        self.sharing = {*names[last:]} if len(names) > last + 1 else set()

    def head(self) -> Iterator[str]:
        """Yield what stands above the lanes."""
        if self.named:
            labels = [*self.lanes]
        else:
            labels = [f"{n + 1}" for n in sorted({*self.lanes.values()})]
            for label, name in zip(labels, self.lanes, strict=False):
                known = "all others" if name in self.sharing else name
                yield f"{label:>{LINE - 1}} {known}"
            yield ""
        row = "".join(label.ljust(self.width) for label in labels)
        yield f"line {row}".rstrip()

    def row(self, event: Event, alive: set[str]) -> str:
        """Return the row of *event*; the lanes of those *alive* go on."""
        cells = [" "] * self.width * (max(self.lanes.values()) + 1)
        for name in alive:
            cells[self.lanes[name] * self.width] = "│"
        here = self.lanes[event["greenlet"]] * self.width
        if event["event"] in ENDS:
            there = self.lanes[event["target"]] * self.width
            draw_arrow(cells, here, there, event["event"])
        else:
            cells[here] = SIGNS.get(event["event"], "●")
        line = "" if event["line"] is None else event["line"]
        said, name = words(event), event["greenlet"]
        if name in self.sharing and not said.startswith(name):
            said = f"{name}: {said}"
        text = f"{line:>{LINE - 1}} {''.join(cells)}{said}"
        return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def draw_arrow(cells: list[str], here: int, there: int, kind: str) -> None:
    """Draw in *cells* how control goes from one column to another."""
    first, last = sorted((here, there))
    dash = "─" if kind == "switch" else "╌"
    cells[first:last] = dash * (last - first)
    cells[there] = "▶" if here < there else "◀"
    cells[here] = ENDS[kind]
