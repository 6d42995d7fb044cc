"""The memory view shows a real run of the engine, and draws it to scale."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from conftest import need
from memory import NO_ENGINE, recorded
from slices import Figure, number

EXT = Path(__file__).parents[1] / "docs/_ext"
TALK = "greenlet/twelve_fifty_six"
RUNS = [
    TALK,
    "greenlet/exception_climbs",
    "greenlet/messages",
    "greenlet/parent_by_hand",
    "greenlet/ring",
    "greenlet/sorted_key",
    "greenlet/where_the_dead_go",
]


def steps_of(name):
    """Return the recorded steps, where the engine is built."""
    steps = recorded(name)
    need(steps, "the engine _slice")
    return steps


@pytest.fixture(params=RUNS)
def steps(request):
    return steps_of(request.param)


# -- What is recorded


def test_the_talks_program_goes_as_the_chapter_tells_it():
    run = [
        (step["origin"], step["target"], *step["printed"])
        for step in steps_of(TALK)
    ]
    assert run == [
        (None, "main"),
        ("main", "gr1", "12"),
        ("gr1", "gr2", "56"),
        ("gr2", "gr1", "34"),
        ("gr1", "main", "end"),
    ]


def test_gr2_waits_in_the_heap_and_gr1_is_gone():
    last = steps_of(TALK)[-1]["slices"]
    start, stop, saved = last["gr2"]
    assert saved == stop - start > 0
    assert "gr1" not in last


def test_addresses_count_from_where_main_was_first_left(steps):
    assert steps[0]["slices"] == {"main": [None, None, 0]}
    assert steps[1]["slices"]["main"] == [0, None, 0]


def test_a_greenlet_begins_where_its_starter_ends_and_nothing_is_copied(steps):
    known = {"main"}
    for step in steps[1:]:
        if step["target"] not in known:
            begins, ends = (
                step["slices"][step["target"]],
                step["slices"][step["origin"]],
            )
            assert begins == [ends[0], ends[0], 0]
        known.add(step["target"])


def test_a_slice_keeps_its_old_end(steps):
    old = {}
    for step in steps:
        for name, (_, stop, _) in step["slices"].items():
            assert old.setdefault(name, stop) == stop


def test_what_is_in_the_stack_lies_one_below_the_other(steps):
    for step in steps[1:]:
        in_stack = sorted(
            (start + saved, highest(stop))
            for start, stop, saved in step["slices"].values()
            if start + saved < highest(stop)
        )
        for (_, high), (low, _) in pairwise(in_stack):
            assert high <= low


def test_the_heap_has_what_the_rule_of_slicing_says(steps):
    for step, saved in zip(steps[1:], predicted(steps), strict=True):
        assert saved == {
            name: saved for name, (*_, saved) in step["slices"].items()
        }


def predicted(steps):
    """Yield how many bytes of each are saved, judged by the addresses."""
    saved, above = {}, {"main": None}
    for step in steps[1:]:
        slices, target = step["slices"], step["target"]

        def save(name, stop, slices=slices):
            size = stop - slices[name][0]
            saved[name] = max(saved.get(name, 0), size)

        owner = step["origin"]
        if owner not in slices:  # the dead leave nothing
            owner = above[owner]
        if target not in above:
            above[target] = owner
        else:
            needed = highest(slices[target][1])
            while owner != target and highest(slices[owner][1]) <= needed:
                save(owner, slices[owner][1])
                owner = above[owner]
            if owner != target:
                save(owner, needed)
                above[target] = owner
        saved[target] = 0
        yield {name: saved.get(name, 0) for name in slices}


def highest(stop):
    """Return an old end as a number: main's is above all."""
    return float("inf") if stop is None else stop


def test_without_the_engine_nothing_is_recorded(no_engine, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(no_engine))
    assert recorded.__wrapped__(TALK) is None


@pytest.fixture
def no_engine(tmp_path):
    """A folder with an evening that can't have its own engine."""
    package = tmp_path / "lib/evening/__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("raise ImportError('no engine')\n", "utf-8")
    return tmp_path / "lib"


# -- What is drawn


def parts(steps, tag):
    """Return the elements of that tag in the figure of *steps*."""
    svg = Figure(steps).draw("it")
    return [one for one in svg.iter() if one.tag.endswith(f"}}{tag}")]


def test_a_byte_is_as_high_in_the_stack_as_in_the_heap(steps):
    scale = Figure(steps).scale
    sizes = {
        size
        for step in steps
        for start, stop, saved in step["slices"].values()
        for size in (saved, saved if stop is None else stop - start - saved)
    }
    for box in parts(steps, "rect"):
        if box.get("class") != "heap":
            high = float(box.get("height"))
            assert any(abs(high - size * scale) < 0.1 for size in sizes)


def test_the_figure_says_every_number_of_bytes(steps):
    words = ["".join(one.itertext()) for one in parts(steps, "text")]
    for step in steps:
        for _, _, saved in step["slices"].values():
            said = f"{saved:,} bytes"
            assert not saved or any(text.endswith(said) for text in words)
    for end in Figure(steps).ends:
        assert number(end) in words


def test_a_number_has_a_true_minus_and_groups_of_three():
    assert number(-1408) == "\N{MINUS SIGN}1,408"


# -- What is on the page


def build(folder, builder, text, path=()):
    """Build a page that holds *text*; return status, output and result."""
    (folder / "docs").mkdir()
    (folder / "docs/index.md").write_text(f"# A page\n\n{text}\n", "utf-8")
    child = subprocess.run(
        [sys.executable, "-m", "sphinx", "-C", "-q", "-W", "--keep-going"]
        + ["-D", "extensions=myst_parser,drawing,memory", "-b", builder]
        + ["docs", "out"],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(map(str, (*path, EXT)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    pages = {"html": "index.html", "gettext": "index.pot", "text": "index.txt"}
    page = folder / "out" / pages[builder]
    return (
        child.returncode,
        child.stdout,
        page.read_text("utf-8") if page.exists() else "",
    )


def test_figure_and_table_have_the_same_numbers(tmp_path):
    steps = steps_of(TALK)
    status, said, page = build(tmp_path, "html", f"```{{memory}} {TALK}\n```")
    assert (status, said) == (0, "")
    table = page[page.index("<table") : page.index("</table>")]
    cells = re.findall(r'<td class="number"><p>(.*?)</p>', table)
    assert cells == [
        text
        for step in steps
        for start, stop, saved in step["slices"].values()
        for text in (
            "highest" if stop is None else number(stop),
            "not left yet" if start is None else number(start),
            number(saved),
        )
    ]
    figure = page[page.index("<svg") : page.index("</svg>")]
    for cell in cells:
        assert cell in f"{figure} highest not left yet"


def test_a_translator_finds_the_words_and_no_number(tmp_path):
    steps_of(TALK)
    text = f"```{{memory}} {TALK}\nWhat it means.\n```"
    status, said, page = build(tmp_path, "gettext", text)
    assert (status, said) == (0, "")
    messages = set(re.findall(r'^msgid "(.+)"$', page, re.M))
    assert messages >= {
        *("What it means.", "start", "prints", "begins", "bytes", "ended"),
        *("stack", "heap", "older", "newer", "switch", "greenlet"),
        *("highest", "not left yet"),
    }
    assert [one for one in messages if re.fullmatch(r"[\W\d]+", one)] == []


def test_a_page_without_the_engine_says_so(tmp_path, no_engine):
    text = f"```{{memory}} {TALK}\n```"
    status, said, page = build(tmp_path, "text", text, [no_engine])
    assert (status, said) == (0, "")
    assert NO_ENGINE in " ".join(page.split())


def test_a_snippet_that_is_not_there_is_named_with_its_line(tmp_path):
    text = "```{memory} greenlet/nowhere\n```"
    status, said, _ = build(tmp_path, "html", text)
    assert status != 0
    assert "there is no snippets/greenlet/nowhere.py" in said
    assert "docs/index.md:3" in said
