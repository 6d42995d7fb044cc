"""What tests/bench/loop.py measured of layers 2 to 4, for ``{bench}``.

Charts: ``{bench} echo`` and ``{bench} tcp`` set our echoes among others',
``{bench} hub`` what tasks cost and ``{bench} waits`` what those take that
wait.  Tables, with all who took part: ``{bench} round-trips``,
``{bench} servers``, ``{bench} tasks``; ``{bench} targets`` says what was to
be reached, ``{bench} missed`` what was not, and ``{bench} with`` where the
figures come from.
"""

from docutils import nodes

from cost import BENCHES, bars
from frame import placed

SCRIPT = BENCHES / "loop.py"

#: What the charts call each one, and whose colour it has.
PEERS = {
    "evening": ("evening", "greenlet"),
    "evening on greenlet": ("evening on greenlet", "greenlet"),
    "gevent": ("gevent", "hub"),
    "gevent on libuv": ("gevent on libuv", "hub"),
    "asyncio": ("asyncio", "quiet"),
    "asyncio streams": ("asyncio streams", "quiet"),
    "asyncio Protocol": ("asyncio Protocol", "quiet"),
    "uvloop": ("uvloop", "quiet"),
    "uvloop streams": ("uvloop streams", "quiet"),
    "uvloop Protocol": ("uvloop Protocol", "quiet"),
    "bare epoll loop": ("a loop in Python", "loop"),
    "threads": ("threads", "kernel"),
    "Go": ("Go", "quiet"),
    "C": ("C and epoll", "kernel"),
}
#: Who is so dear that the others' bars would shrink: tables tell of them.
DEAR = ["gevent on libuv"]
WORKS = {
    "echo 1": "1 connection",
    "echo 100": "100 connections",
    "echo 1000": "1000 connections",
    "echo 1 timeouts": "1 with timeouts",
    "echo 100 timeouts": "100 with timeouts",
    "echo 1000 timeouts": "1000 with timeouts",
    "tcp 10": "10 connections",
    "tcp 100": "100 connections",
    "tcp 1000": "1000 connections",
    "churn": "a short one",
    "events": "a wake-up by an event",
    "yields": "sleep(0)",
    "spawn": "spawn and join",
    "sleepers": "sleep and wake",
    "asleep": "one that sleeps",
    "idle": "an idle one",
}
#: What a target calls its work: there are more than one of a kind.
WANTED = WORKS | {
    "echo 100": "echo, 100 connections",
    "echo 100 timeouts": "the same with timeouts",
    "echo 1000": "echo, 1000 connections",
    "idle": "an idle connection",
    "tcp 100": "a server's request, 100 connections",
    "growth": "a server's request, 1000 connections",
}
VERSIONS = {
    "python": "Python",
    "greenlet": "package greenlet",
    "gevent": "gevent",
    "uvloop": "uvloop",
    "c": "C",
    "go": "Go",
    "processor": "processor",
    "processors": "of them used",
    "kernel": "kernel",
    "day": "measured on",
}
ABSENT = (
    "Here a chart or a table would stand, but the machine that made this page "
    "can't measure it: “make bench” names what is missing."
)
NOTHING = "\N{EN DASH}"
OLD = "another version of the library than this one"


# -- Charts.


def chart(title, works):
    """Return what draws groups of bars: a heading for each work."""

    def draw(measured):
        groups = []
        for work, heading in works.items():
            one = measured["works"].get(work)
            if one:
                values = one["medians"]
                names = {
                    name: told
                    for name, told in PEERS.items()
                    if name in values and not left_out(name, work)
                }
                groups.append((heading, names, values, one["unit"]))
        return bars(title, groups) if groups else None

    return draw


def left_out(name, work):
    """Return whether a bar would make all others too short to see."""
    of_tasks = work in (*TASKS, "idle") and work != "events"
    return name in DEAR or (name == "threads" and of_tasks)


TASKS = ["events", "yields", "spawn", "sleepers", "asleep"]
SERVED = ["tcp 10", "tcp 100", "tcp 1000", "churn", "idle"]
CHARTS = {
    "echo": chart(
        "What a round trip costs",
        {
            "echo 100": "CPU time of a round trip, both ends in one process",
            "echo 100 timeouts": "the same with timeouts",
        },
    ),
    "tcp": chart(
        "What a request costs a server",
        {
            "tcp 100": "a server's CPU time of a request, 100 connections",
            "tcp 1000": "the same, 1000 connections",
        },
    ),
    "hub": chart(
        "What tasks cost",
        {
            "events": "CPU time to wake one by an event",
            "yields": "CPU time of sleep(0)",
            "spawn": "CPU time to spawn and to join",
            "sleepers": "CPU time to sleep and to wake, among thousands",
        },
    ),
    "waits": chart(
        "What those take that wait",
        {
            "asleep": "memory of one that sleeps",
            "idle": "memory of an idle connection, in the server",
        },
    ),
}


# -- Tables: medians, and in brackets the least.


class Word(str):
    """What a translator finds: it is not a figure."""


def by_peer(*works):
    """Return what makes a table: a row for each peer, a column a work."""

    def rows(measured):
        present = [work for work in works if work in measured["works"]]
        if not present:
            return None
        columns = {work: measured["works"][work] for work in present}
        head = ["who", *(f"{WORKS[w]}, {columns[w]['unit']}" for w in present)]
        body = []
        for name, (label, _) in PEERS.items():
            if any(name in one["medians"] for one in columns.values()):
                cells = [cell(one, name) for one in columns.values()]
                body.append([Word(label), *cells])
        return head, body

    return rows


def cell(one, name):
    """Return a peer's median and least figure of a work."""
    if name not in one["medians"]:
        return NOTHING
    median, least = one["medians"][name], one["minima"][name]
    digits = 2 if median < 10 else 1
    return f"{median:.{digits}f} ({least:.{digits}f})"


def servers(measured):
    """Add to the servers' table how much dearer many connections are."""
    made = by_peer(*SERVED)(measured)
    if made is None:
        return None
    head, body = made
    grown = {PEERS[name][0]: n for name, n in measured["growth"].items()}
    body = [
        [*line, f"{grown[line[0]]:.2f}" if line[0] in grown else NOTHING]
        for line in body
    ]
    return [*head, "growth"], body


def targets(measured):
    """Return a row for each target."""
    head = ["work", "ours", "beside", "wanted", "measured", "bare", "reached"]
    return head, [aim(one) for one in measured["targets"]]


def missed(measured):
    """Return a row for each target that was measured and not reached."""
    head, _ = targets(measured)
    missed = [one for one in measured["targets"] if one["reached"] is False]
    none = [Word("none, on this machine"), *[NOTHING] * (len(head) - 1)]
    return head, [aim(one) for one in missed] or [none]


def aim(one):
    """Return a target's row."""
    bound = "at most" if one["most"] else "at least"
    reached = one["reached"]
    return [
        Word(WANTED[one["work"]]),
        Word(PEERS[one["ours"]][0]),
        Word(PEERS.get(one["theirs"], [one["theirs"]])[0]),
        Word(f"{bound} {one['bound']}"),
        *[
            NOTHING if one[name] is None else f"{one[name]:.2f}"
            for name in ("ratio", "bare")
        ],
        Word({True: "yes", False: "no", None: "not measured"}[reached]),
    ]


def with_what(measured):
    """Return a row for the machine, each version, and who is missing."""
    about = measured["with"]
    body = [
        [Word(label), str(about[name])]
        for name, label in VERSIONS.items()
        if name in about
    ]
    if not measured["current"]:
        body.append([Word("evening"), Word(OLD)])
    absent = [name for name in measured["missing"] if name in PEERS]
    if absent:
        labels = ", ".join(PEERS[name][0] for name in absent)
        body.append([Word("missing"), Word(labels)])
    return None, body


TABLES = {
    "round-trips": by_peer(*[work for work in WORKS if "echo" in work]),
    "servers": servers,
    "tasks": by_peer(*TASKS),
    "targets": targets,
    "missed": missed,
    "with": with_what,
}


def table(directive, head, body):
    """Return a table; words are the translator's, figures are not."""
    group = nodes.tgroup(cols=len(body[0]))
    for column in zip(*body, strict=True):  # a head may wrap
        group += nodes.colspec(colwidth=max(map(len, column)))
    if head:
        group += nodes.thead("", row(directive, map(Word, head)))
    group += nodes.tbody("", *[row(directive, line) for line in body])
    return nodes.table("", group, classes=["bench"])


def row(directive, cells):
    """Return a row of the table."""
    return nodes.row("", *[entry(directive, one) for one in cells])


def entry(directive, text):
    """Return a cell; only words get the place by which they are found."""
    paragraph = nodes.paragraph(text, text)
    if isinstance(text, Word):
        placed(directive, paragraph)
    return nodes.entry("", paragraph)


# -- What the directive asks for.

NAMES = [*CHARTS, *TABLES]


def show(directive, name):
    """Return the nodes of one of the names."""
    measured = directive.figures(SCRIPT)
    if name in CHARTS:
        svg = CHARTS[name](measured)
        if svg is not None:
            return directive.shown(svg, f"bench-{name}")
    elif made := TABLES[name](measured):
        return [table(directive, *made)]
    return [placed(directive, nodes.paragraph(ABSENT, ABSENT))]
