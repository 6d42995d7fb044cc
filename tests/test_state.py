"""What the page ``state.md`` says of CPython is so, on the one that runs."""

import importlib
import importlib.util
import shutil
import subprocess
import sys
import sysconfig

import pytest

from conftest import need
from test_build import SOURCE, TESTS, TIMEOUT, compiler, environment

# -- What calls add to the C stack


def leave(engine):
    engine.getcurrent().parent.switch()


def plainly(engine, n):
    plainly(engine, n - 1) if n else leave(engine)


def by_a_key(engine, n):
    if n:
        max([n - 1], key=lambda n: by_a_key(engine, n))
    else:
        leave(engine)


def by_a_star(engine, n):
    by_a_star(*(engine, n - 1)) if n else leave(engine)


class ByAnInit:
    def __init__(self, engine, n):
        ByAnInit(engine, n - 1) if n else leave(engine)


class ByAnEnter:
    def __init__(self, engine, n):
        self.engine, self.n = engine, n

    def __enter__(self):
        by_an_enter(self.engine, self.n)

    def __exit__(self, *_):
        pass


def by_an_enter(engine, n):
    if n:
        with ByAnEnter(engine, n - 1):
            pass
    else:
        leave(engine)


@pytest.fixture
def engine():
    need(importlib.util.find_spec("evening._slice"), "evening._slice")
    return importlib.import_module("evening._slice").greenlet


def added(engine, descend):
    """Return how many bytes of C stack twenty more calls take."""
    for _ in range(5):  # the interpreter learns how to call, as it runs
        few, many = (saved(engine, descend, n) for n in (20, 40))
    return many - few


def saved(engine, descend, n):
    waits = engine(descend)
    waits.switch(engine, n)
    return waits._stack_saved


def test_a_plain_call_adds_nothing_to_the_c_stack(engine):
    assert added(engine, plainly) == 0


def test_a_call_through_c_adds_to_the_c_stack(engine):
    assert added(engine, by_a_key) > 20 * 100


@pytest.mark.parametrize(
    ("descend", "last"),
    [(by_a_star, (3, 11)), (ByAnInit, (3, 12)), (by_an_enter, (3, 13))],
)
def test_some_calls_pass_through_c_unseen(engine, descend, last):
    if sys.version_info[:2] <= last:
        assert added(engine, descend) > 20 * 100
    elif last < (3, 13):  # the book leaves open what 3.14 does with a with
        assert added(engine, descend) == 0


# -- What a program sees where a switch forgets a field

# Put before a statement, this has it left out where FORGOTTEN names it.
KEPT = """
#include <stdlib.h>
#include <string.h>
static int kept(const char *name) {
    const char *forgotten = getenv("FORGOTTEN");
    return forgotten == NULL || strstr(forgotten, name) == NULL;
}
#define KEPT(name) if (kept("<" #name ">"))
"""
STATEMENTS = {
    "ts->place = s->name;": "name",  # of each row in the list of fields
    "PYTHON_REMAINING(ts) = PYTHON_LIMIT": "recursion_depth",
    "ts->context_ver++;              /* or contextvars": "context_ver",
    "NOTE_TRACING(ts);\n    s->context = s->exc_state": "use_tracing",
    "frame->previous = python_frame(entry);": "previous",
    "FRAME(ts) = NULL": "first_frame",
    "(ts)->cframe = &cframe;": "first_cframe",
    "TRASH(ts) = 0": "first_trash",
    "ts->exc_info = &ts->exc_state;": "first_error",
    "ts->exc_state = (_PyErr_StackItem){0};": "first_error",
    "ts->context = s->context;": "first_context",
    "ts->datastack_chunk = s->chunk;": "first_chunk",
    "ts->datastack_top = (PyObject **)": "first_chunk",
    "ts->datastack_limit = (PyObject **)": "first_chunk",
}

# What is forgotten, in which versions that is seen, and by which program.
ALL, OLD, NEW = ((3, 11), (3, 14)), ((3, 11), (3, 12)), ((3, 13), (3, 14))
SEEN = [
    ("cframe", OLD, "frames_of_c"),
    ("frame", NEW, "whose_frame"),
    ("chunk chunk_top chunk_limit", ALL, "whose_memory"),
    ("exc_info", ALL, "error_of_a_generator"),
    ("exc_state", ALL, "error_of_a_function"),
    ("context", ALL, "context"),
    ("context_ver", ALL, "context_read_a_moment_ago"),
    ("recursion_depth", ALL, "room_for_calls"),
    ("c_remaining", ((3, 12), (3, 13)), "room_for_calls_through_c"),
    ("trash", OLD, "dropping"),
    ("use_tracing", ((3, 11), (3, 11)), "profiler"),
    ("previous", ((3, 12), (3, 14)), "way_back"),
    ("first_frame", NEW, "first_frame"),
    ("first_cframe", OLD, "first_frame"),
    ("first_cframe", ((3, 12), (3, 12)), "profiler_at_the_start"),
    ("first_chunk", ALL, "whose_memory"),
    ("first_error", ALL, "first_error"),
    ("first_context", ALL, "first_context"),
    ("first_trash", OLD, "first_dropping"),
]


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory):
    """A folder with an ``evening`` whose engine can be told to forget."""
    folder = tmp_path_factory.mktemp("forgetful")
    shutil.copytree(
        SOURCE.parent,
        folder / "evening",
        ignore=shutil.ignore_patterns("_slice*", "__pycache__"),
    )
    source = folder / "evening/_slice.c"
    source.write_text(asking(SOURCE.read_text("utf-8")), "utf-8")
    engine = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
    include = sysconfig.get_path("include")
    subprocess.run(
        [*compiler(), "-fPIC", "-O2", f"-I{include}", source, "-o", engine],
        check=True,
        timeout=TIMEOUT,
    )
    return folder


def asking(text):
    """Return our engine, with a question before each of STATEMENTS."""
    begin = "typedef struct _PyInterpreterFrame Frame;\n"
    for statement, name in STATEMENTS.items():
        assert text.count(statement) == 1, statement
        text = text.replace(statement, f"KEPT({name}) {statement}")
    assert text.count(begin) == 1
    return text.replace(begin, begin + KEPT)


def works(folder, program, forgotten=""):
    names = "".join(f"<{name}>" for name in forgotten.split())
    child = subprocess.run(
        [sys.executable, TESTS / "forgetful.py", program],
        env=environment(folder, FORGOTTEN=names),
        capture_output=True,
        timeout=TIMEOUT,
    )
    return child.returncode == 0


@pytest.mark.parametrize(
    ("forgotten", "versions", "program"),
    [pytest.param(*row, id=f"{row[0]} {row[2]}") for row in SEEN],
)
def test_what_a_switch_forgets_is_seen(
    forgetful, forgotten, versions, program
):
    assert works(forgetful, program)
    first, last = versions
    if first <= sys.version_info[:2] <= last:
        assert not works(forgetful, program, forgotten)
