"""Find what a C file defines, by name: from its comment to its last line.

The file is read as ours are written: what stands at the top level begins in
column 0, be it a function, a struct, a table, a variable, a macro or a block
of assembler, and the comment directly above belongs to it.
"""

import re
from dataclasses import dataclass

COMMENT_OR_LITERAL = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)"""
    r"""|(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\\n])*(?P=quote)""",
    re.S,
)
BRACKETS = re.compile(r"\([^()]*\)|\[[^][]*\]|(\{[^{}]*\})")
ASSEMBLER = re.compile(r'(?<=")\w+(?=")|(?<=\.globl )\w+')


@dataclass
class Item:
    """A definition or a declaration: its lines, counted from 0."""

    start: int
    end: int
    names: set
    has_body: bool


def region(text, name):
    """Return the first and the last line of *name*, counted from 1.

    What several branches of an ``#if`` define is the whole ``#if``, and so
    is what stands in one alone.
    """
    items, groups = parse(text)
    named = [item for item in items if name in item.names]
    found = [item for item in named if item.has_body] or named[:1]
    if not found:
        raise ValueError(f"it defines no {name!r}")
    for start, end in sorted(groups, key=lambda lines: lines[1] - lines[0]):
        inside = [item for item in items if start <= item.start <= end]
        if inside == found or (len(found) > 1 and within(found, inside)):
            return start + 1, end + 1
    if len(found) > 1:
        raise ValueError(
            f"it defines {name!r} {len(found)} times: use :start-at: alone"
        )
    return found[0].start + 1, found[0].end + 1


def within(found, inside):
    """Return whether all of *found* are *inside*."""
    return all(item in inside for item in found)


def parse(text):
    """Return the items, and the first and last line of each ``#if``."""
    lines, code = text.splitlines(), bare(text).splitlines()
    items, groups, opened = [], [], []
    n, comment = 0, None
    while n < len(lines):
        start = n if comment is None else comment
        end = end_of(code, n)
        if not code[n].strip():
            comment = start if lines[n].strip() else None
        else:
            comment = None
            if re.match(r"#\s*if", code[n]):
                opened.append(start)
            elif re.match(r"#\s*endif", code[n]):
                groups.append((opened.pop(), n))
            elif not re.match(r"#\s*el", code[n]):
                body = "\n".join(code[n : end + 1])
                names = names_of(body, "\n".join(lines[n : end + 1]))
                has_body = "{" in body or body.startswith(("#", "__asm__"))
                items.append(Item(start, end, names, has_body))
        n = end + 1
    return items, groups


def bare(text):
    """Return *text* without comments, its literals empty, line by line."""

    def emptied(match):
        newlines = "\n" * match[0].count("\n")
        return newlines if match["comment"] else match["quote"] * 2

    return COMMENT_OR_LITERAL.sub(emptied, text)


def end_of(code, n):
    """Return the last line of what begins at line *n*."""
    if not code[n].strip():
        return n
    if code[n].startswith("#"):
        while code[n].endswith("\\"):
            n += 1
        return n
    depth = 0
    for last in range(n, len(code)):
        depth += len(re.findall(r"[({]", code[last]))
        depth -= len(re.findall(r"[)}]", code[last]))
        if depth == 0 and code[last].rstrip().endswith((";", "}")):
            return last
    raise ValueError(f"what begins in its line {n + 1} has no end")


def names_of(code, text):
    """Return the names that an item defines.

    They are the last words of its parts, once all in brackets is gone: of
    ``static int f(int n) {...}`` there remains ``static int f``.  Assembler
    has the name that it is global under, or that is first in a macro.
    """
    if code.startswith("#"):
        return set(re.findall(r"^#\s*define\s+(\w+)", code))
    if code.startswith("__asm__"):
        return set(ASSEMBLER.findall(text)[:1])
    while BRACKETS.search(code):
        code = BRACKETS.sub(lambda found: "," if found[1] else "", code)
    parts = re.split(r"[,;]", re.sub(r"=[^,;]*", "", code))
    return {part.split()[-1].strip("*") for part in parts if part.strip()}


def code_lines(text):
    """Return how many lines of *text* hold more than a comment."""
    return sum(bool(line.strip()) for line in bare(text).splitlines())
