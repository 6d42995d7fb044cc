"""What a player shows, as HTML: code and session stand beside it."""

import hashlib
import json
import re
from html import escape

from drawing import SVG, written
from lanes import LABELS, Lanes, kinds
from sentences import SENTENCES, UNNAMED, actor, plain, sentence
from slices import Moments

#: What the player says beside the sentences; the script has these too.
WORDS = {
    "player": "The run, step by step",
    "lanes": "The run of {snippet}: a lane for each greenlet, time goes down",
    "begin": "Play it, or go step by step with the keys ← and →.",
    "at": "{step} of {steps}",
    "step": "step",
    "first": "to the start",
    "back": "a step back",
    "play": "play",
    "pause": "pause",
    "on": "a step on",
    "last": "to the end",
    "parents": "parents",
    "new": "new",
    "runs": "runs",
    "waits": "waits",
    "dead": "dead",
    "printed": "printed so far",
    "the turn": "turn",
    "the ready": "queue",
    "the timers": "timers",
    "the watchers": "watchers",
    "memory": "Stack and heap in the run of {snippet}",
    "ask": "What is printed? Put the lines into their order.",
    "up": "up",
    "down": "down",
    "check": "check it, and play",
    "skip": "show me",
    "right": "right",
    "wrong": "not here",
    "next": "Next: {said}",
    "end": "The end of the run.",
    "score": "{right} of {lines} lines are right.",
}
ICONS = {
    "first": "M6 5v14M19 5l-10 7 10 7z",
    "back": "M16 5l-10 7 10 7z",
    "play": "M7 4l12 8-12 8z",
    "pause": "M8 5v14M16 5v14",
    "on": "M8 5l10 7-10 7z",
    "last": "M18 5v14M5 5l10 7-10 7z",
}
#: The words of the pictures, which a translator has to find here.
NO_WORDS = {"{value}", "{error}", "{text}"}
IN_MEMORY = "stack", "older", "newer", "heap", "start", "begins", "ended"
PICTURES = {
    f"{kind} in the lanes": words
    for kind, words in LABELS.items()
    if words not in NO_WORDS
} | {f"{word} in memory": word for word in (*IN_MEMORY, "bytes")}
#: What of the loop is shown, where one of these events happened.
LOOP = {
    "turn": {"turn"},
    "ready": {"callback_queued", "callback_run"},
    "timers": {"timer_set"},
    "watchers": {"watcher_start"},
}
#: What of an event the script asks for.
ASKED = {
    "event",
    "greenlet",
    "target",
    "line",
    "text",
    "turn",
    "timer",
    "seconds",
    "callback",
    "watcher",
    "fd",
}
#: All that a translator may find.
ALL_WORDS = WORDS | SENTENCES | UNNAMED | PICTURES


class Markup:
    """What a player shows, as HTML: the *runs* of the snippet *name*.

    *moments* are the slices of the stack; of the events, only those of
    *kinds* are drawn, or all.
    """

    def __init__(self, name, id_, runs, words, moments=(), kinds=()):
        self.name, self.id = name, id_
        self.kinds = kinds
        self.runs, self.words, self.moments = runs, words, moments
        self.first = next(iter(runs.values()))
        self.steps = len(self.first["events"])

    def open(self, more=""):
        """Return the tag that begins it, with *more* attributes."""
        label = self.said("player")
        return (
            f'<evening-player id="{self.id}" role="group" '
            f'aria-label="{label}: {self.name}"{more}>\n'
        )

    def rest(self, predict=False, words=True):
        """Return all that comes after code and session.

        The script's *words* are in the first player of a page.
        """
        return "".join(
            [
                self.predict() if predict else "",
                self.bar(),
                '<div class="said"></div>\n',
                *self.all_runs(),
                self.data(words),
                "</evening-player>\n",
            ]
        )

    def stops(self, run):
        """Return the steps of *run* that are shown, the last among them."""
        events = run["events"]
        return [
            n
            for n, event in enumerate(events, 1)
            if not self.kinds
            or event["event"] in self.kinds
            or n == len(events)
        ]

    def bar(self):
        """Return the controls."""
        buttons = "".join(
            self.button(do, icon(do) + (icon("pause") if do == "play" else ""))
            for do in ("first", "back", "play", "on", "last")
        )
        runs = "".join(
            f'<button type="button" data-run="{name}">{name}</button>'
            for name in self.runs
            if len(self.runs) > 1
        )
        return (
            f'<div class="bar">{buttons}<input type="range" min="0" '
            f'max="{self.steps}" value="0" '
            f'aria-label="{self.said("step")}"><span class="at">'
            f"</span>{runs}</div>\n"
        )

    def button(self, do, content):
        """Return a button whose name is its label."""
        label = self.said(do)
        return (
            f'<button type="button" data-do="{do}" aria-label="{label}" '
            f'title="{label}">{content}</button>'
        )

    def all_runs(self):
        """Yield the runs; all but the first wait until one asks for them."""
        for n, (name, run) in enumerate(self.runs.items()):
            shown = self.run(name, run)
            waits = f'<template data-run="{name}">{shown}</template>\n'
            yield waits if n else shown

    def run(self, name, run):
        """Return what is shown of one library's run."""
        words = {
            key.removesuffix(" in the lanes"): words
            for key, words in self.words.items()
            if key.endswith(" in the lanes") or key in UNNAMED
        }
        lanes = Lanes(run, self.stops(run), words)
        panels = [self.tree(run), self.loop(run), self.printed(run)]
        memory = self.moments and name == "evening"
        return (
            f'<div class="run" data-run="{name}">\n'
            f'<div class="lanes swimlane drawing">'
            f"{self.head(lanes)}{self.body(run, lanes)}</div>\n"
            f'<div class="panels">{"".join(panels)}</div>'
            f"{self.memory() if memory else ''}</div>\n"
        )

    def head(self, lanes):
        """Return the lanes' names, which stay while the lanes are scrolled."""
        svg = lanes.draw_head()
        svg.set("aria-hidden", "true")
        return written(svg)

    def body(self, run, lanes):
        """Return the lanes, told in words to those who can't see them."""
        said = " ".join(plain(words) for words in self.sentences(run))
        title = self.words["lanes"].format(snippet=self.name)
        svg = lanes.draw()
        svg.set("role", "img")
        svg.set("aria-label", f"{title}. {said}")
        return written(svg)

    def memory(self):
        """Return the stack and the heap, a picture for each moment."""
        svg = Moments(self.moments).draw(self.name)
        svg.set("role", "img")
        title = self.words["memory"].format(snippet=self.name)
        svg.find(f"{{{SVG}}}title").text = title
        for word in svg.iter(f"{{{SVG}}}tspan"):
            key = f"{word.text.strip()} in memory"
            word.text = self.words.get(key, word.text)
        return f'<div class="memory drawing">{written(svg)}</div>'

    def tree(self, run):
        """Return who is whose parent, as a list in lists."""
        greenlets = run["greenlets"]
        if len(greenlets) == 1:
            return ""

        def below(parent):
            items = "".join(
                f'<li data-name="{escape(name)}">'
                f"{actor(name, kind_of(one))} <i></i>{below(name)}</li>"
                for name, one in greenlets.items()
                if one["parent"] == parent
            )
            return f"<ul>{items}</ul>" if items else ""

        return self.panel("parents", f'<div class="tree">{below(None)}</div>')

    def loop(self, run):
        """Return the loop's turn, its queue, its timers and descriptors."""
        happened = {event["event"] for event in run["events"]}
        rows = "".join(
            f'<dt>{self.said(f"the {key}")}</dt><dd data-show="{key}"></dd>'
            for key, events in LOOP.items()
            if events & happened
        )
        loop = actor(self.words["loop"], "loop")
        if not rows:
            return ""
        return f'<div class="panel"><p>{loop}</p><dl>{rows}</dl></div>'

    def printed(self, run):
        """Return where the output so far comes."""
        if not printed(run):
            return ""
        return self.panel("printed", '<pre data-show="printed"></pre>')

    def panel(self, key, content):
        """Return a panel under its name."""
        return f'<div class="panel"><p>{self.said(key)}</p>{content}</div>'

    def predict(self):
        """Return the question: the output's lines in another order."""
        lines = "".join(
            f'<li draggable="true"><code>{escape(line)}</code>'
            f"{self.button('up', '↑')}{self.button('down', '↓')}<i></i></li>"
            for line in shuffled(printed(self.first))
        )
        return (
            f'<div class="predict"><p>{self.said("ask")}</p>'
            f"<ol>{lines}</ol><div>{self.word_button('check')} "
            f"{self.word_button('skip')}</div>"
            '<p class="score" role="status"></p></div>\n'
        )

    def word_button(self, do):
        """Return a button with words."""
        return f'<button type="button" data-do="{do}">{self.said(do)}</button>'

    def data(self, words):
        """Return the trace for the script, with what it says of each event.

        A sentence stands there once; an event has its number.
        """
        said = {}
        runs = {
            name: run
            | {
                "events": [
                    asked(event) | {"said": said.setdefault(told, len(said))}
                    for event, told in zip(
                        run["events"], self.sentences(run), strict=True
                    )
                ]
            }
            for name, run in self.runs.items()
        }
        data = {"runs": runs, "said": list(said)}
        if words:
            data["words"] = {key: self.words[key] for key in WORDS}
        # What would end the script, or change how a browser reads it.
        text = re.sub(
            "<(?=!|/?script)",
            r"\\u003c",
            json.dumps(data, separators=(",", ":"), ensure_ascii=False),
            flags=re.IGNORECASE,
        )
        return f'<script type="application/json">{text}</script>\n'

    def sentences(self, run):
        """Return each event's sentence."""
        of = kinds(run)
        return [sentence(event, of, self.words) for event in run["events"]]

    def said(self, key):
        """Return the words for *key*, as HTML."""
        return escape(self.words[key])


def asked(event):
    """Return what of an event the script asks for."""
    return {
        key: value
        for key, value in event.items()
        if key in ASKED and value is not None
    }


def kind_of(greenlet):
    """Return whose sign a greenlet has: the hub's, or a greenlet's."""
    return "hub" if greenlet["kind"] == "hub" else "greenlet"


def icon(name):
    """Return the picture on a button."""
    return (
        f'<svg viewBox="0 0 24 24" class="{name}" aria-hidden="true">'
        f'<path d="{ICONS[name]}"/></svg>'
    )


def printed(run):
    """Return the lines that a run prints."""
    return [e["text"] for e in run["events"] if e["event"] == "print"]


def shuffled(lines):
    """Return *lines* in another order, the same one at each build."""

    def key(numbered):
        return hashlib.sha256(repr(numbered).encode()).digest()

    mixed = [line for _, line in sorted(enumerate(lines), key=key)]
    return mixed if mixed != lines else mixed[::-1]
