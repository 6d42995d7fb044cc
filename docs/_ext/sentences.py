"""Say each event of a trace in words, for eyes and for screen readers."""

import re
from html import escape, unescape

#: The sentence for each kind of event, with what decides between several.
#: A word in braces is a field of the event; the translator keeps it.
SENTENCES = {
    "spawn": "{greenlet} makes {target}. Its parent is {parent}.",
    "start": "{target} begins.",
    "switch": "{greenlet} switches to {target}.",
    "switch value": "{greenlet} switches to {target}, with {value}.",
    "throw": "{greenlet} throws into {target}.",
    "throw value": "{greenlet} throws {value} into {target}.",
    "return": "{greenlet} returns to {target}.",
    "return value": "{greenlet} returns {value} to {target}.",
    "die": "{greenlet} is dead. {target} goes on.",
    "die error": "{greenlet} dies of {error}. {target} goes on.",
    "print": "{greenlet} prints {text}.",
    "turn": "The {loop} begins turn {turn}.",
    "poll 0": "The {loop} asks the {kernel} what is ready, and doesn't sleep.",
    "poll none": "The {loop} sleeps until the {kernel} has something ready.",
    "poll timer": "The {loop} sleeps until something is ready, or a timer is "
    "due.",
    "watcher_start": "{greenlet} starts {watcher}.",
    "watcher_start fd": "{greenlet} starts {watcher}, to watch {fd}.",
    "watcher_stop": "{greenlet} stops {watcher}.",
    "watcher_fire": "{watcher} fires.",
    "timer_set": "{greenlet} sets {timer} to {seconds} s.",
    "timer_due": "{timer} is due.",
    "callback_queued": "{greenlet} puts {callback} into the queue.",
    "callback_run": "The {loop} calls {callback}.",
    "fd_ready read": "The {kernel} says: {fd} can be read.",
    "fd_ready write": "The {kernel} says: {fd} can be written.",
    "fd_ready read and write": "The {kernel} says: {fd} can be read and "
    "written.",
}
VARIANTS = {"poll": "timeout", "fd_ready": "what"}
PRESENT = {
    "switch": "value",
    "throw": "value",
    "return": "value",
    "die": "error",
    "watcher_start": "fd",
}
ACTORS = ("greenlet", "target", "parent")
#: The names of those actors that a trace doesn't name.
UNNAMED = {"loop": "loop", "kernel": "kernel"}


def sentence(event, kinds, words=SENTENCES | UNNAMED):
    """Return the HTML that says *event*; *kinds* has each actor's kind."""
    fields = {name: actor(words[name], name) for name in UNNAMED}
    for key, value in event.items():
        if key in ACTORS:
            fields[key] = actor(value, kinds.get(value, "greenlet"))
        else:
            fields[key] = f"<code>{escape(str(value))}</code>"
    return escape(words[variant(event)], quote=False).format_map(fields)


def variant(event):
    """Return the key of an event's sentence."""
    kind = event["event"]
    if kind in VARIANTS:
        return f"{kind} {event[VARIANTS[kind]]}"
    if event.get(PRESENT.get(kind)) is not None:
        return f"{kind} {PRESENT[kind]}"
    return kind


def actor(name, kind):
    """Return the HTML of an actor's name, which its sign goes before."""
    return f'<span class="{kind}">{escape(f"{name}")}</span>'


def plain(html):
    """Return the words of a sentence without its marks."""
    return unescape(re.sub(r"<[^>]*>", "", html))
