"""The peers' own tests pass on ours, but for a list of those that can't.

A suite takes some 25 seconds, most of which its tests sleep through; what
judges it is tested on made-up outcomes.
"""

import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from sphinx.util.nodes import is_translatable

import conformance
from conftest import need

HERE = Path(__file__).parent / "conformance"


def script(name):
    """Return a script as a module; its own name may be a package's."""
    spec = spec_from_file_location(f"run_{name}", HERE / f"{name}.py")
    module = module_from_spec(spec)
    sys.path.append(str(HERE))  # the last: here lies a greenlet.py
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HERE))
    return module


@pytest.fixture(scope="module")
def suite():
    return script("suite")


@pytest.fixture(scope="module")
def gevents():
    return script("gevent")


@pytest.mark.parametrize("peer", ["greenlet", "gevent"])
def test_a_peers_own_tests_end_as_the_list_says(peer):
    need(find_spec("evening._slice"), "evening's own engine")
    child = subprocess.run(
        [sys.executable, HERE / f"{peer}.py"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    assert child.returncode == 0, child.stderr


# -- What judges it


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        (["passed", ""], "one is passed: take it out of the list"),
        (["skipped", "why"], "one is skipped: take it out of the list"),
        (None, "one is not there: take it out of the list"),
        (["failed", "other"], "one failed:\nother"),
    ],
)
def test_a_listed_test_must_fail_as_the_list_says(suite, outcome, complaint):
    tests = {"one": outcome} if outcome else {}
    assert list(suite.verdict(tests, {"one": "this"})) == [complaint]
    assert (
        list(suite.verdict({"one": ["failed", "this"]}, {"one": "is"})) == []
    )


def test_any_other_test_must_not_fail(suite):
    tests = {"one": ["failed", "this"], "two": ["passed", ""]}
    assert list(suite.verdict(tests, {})) == ["one failed:\nthis"]
    counts = suite.count(tests, {})
    assert (counts["passed"], counts["failed"]) == (1, 1)


@pytest.fixture
def report(tmp_path):
    """A function that writes a report and what the process said."""

    def write(*lines):
        path, log = tmp_path / "report", tmp_path / "log"
        path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
        log.write_text("last words", "utf-8")
        return path, log

    return write


CRASH = "the process ended with status -11"


def test_who_began_and_did_not_end_is_to_blame(suite, report):
    path, log = report(
        *[(name, "found", "") for name in ("one", "two", "three")],
        *[("one", what, "") for what in ("started", "passed")],
        ("two", "started", ""),
    )
    tests, left = suite.outcomes("module", path, CRASH, log)
    assert tests.pop("one") == ["passed", ""]
    assert tests == {"two": ["failed", f"{CRASH}\nlast words"]}
    assert left == ["three"]


def test_where_no_test_is_to_blame_the_module_is(suite, report):
    path, log = report(("one", "found", ""))
    tests, left = suite.outcomes("module", path, CRASH, log)
    assert tests == {"module": ["failed", f"{CRASH}\nlast words"]}
    assert left == ["one"]


def test_who_had_no_turn_gets_another_one(suite, monkeypatch):
    turns = iter(
        [
            ({"one": ["failed", "it hung"]}, ["two", "three"]),
            ({"two": ["passed", ""]}, ["three"]),
            ({}, ["three"]),
        ]
    )
    monkeypatch.setattr(suite, "run_once", lambda *_: next(turns))
    assert suite.run_module("suite", "module", {}) == {
        "one": ["failed", "it hung"],
        "two": ["passed", ""],
        "three": ["failed", "it did not run"],
    }


def test_a_subtest_that_fails_fails_its_test(suite, report):
    path, _ = report(("one", "failed", "why"), ("one", "passed", ""))
    assert suite.read(path) == {"one": ["failed", "why"]}


def greenlets_list():
    text = (HERE / "left_out.toml").read_text("utf-8")
    return tomllib.loads(text)


def gevents_list():
    return tomllib.loads((HERE / "gevent.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    "groups", [greenlets_list(), gevents_list()["left_out"]]
)
def test_a_name_is_listed_once_and_with_a_reason(groups):
    names = [name for group in groups.values() for name in group["tests"]]
    assert sorted(names) == sorted(set(names))
    assert all(g["reason"] and g["says"] for g in groups.values())


# -- gevent's tests are judged by what gevent itself makes of them


def test_each_file_of_gevents_suite_is_ours_or_somebody_elses(gevents):
    listed = gevents_list()
    there = [path.stem for path in gevents.FOLDER.glob("test__*.py")]
    names = [
        f"test__{name}"
        for part in ("files", "others")
        for group in listed[part].values()
        for name in group
    ]
    assert sorted(names) == sorted(there)


PASSED, SKIPPED = ["passed", ""], ["skipped", "not here"]


@pytest.mark.parametrize("outcome", [SKIPPED, ["failed", "it is late"]])
@pytest.mark.parametrize("ours", [PASSED, SKIPPED, ["failed", "why"]])
def test_what_gevent_does_not_pass_is_not_judged(gevents, outcome, ours):
    tests = gevents.judged({"a.one": outcome}, {"a.one": ours})
    assert tests == {"a.one": ["skipped", outcome[1]]}


def test_what_gevent_passes_we_must_pass_and_not_skip(gevents):
    theirs = {"a.one": PASSED, "a.two": PASSED, "a.three": PASSED}
    assert gevents.judged(theirs, {"a.one": PASSED, "a.two": SKIPPED}) == {
        "a.one": PASSED,
        "a.two": ["failed", "skipped: not here"],
        "a.three": ["failed", "it is not there"],
    }


def test_a_module_of_ours_that_cannot_begin_fails_all_its_tests(gevents):
    theirs = {"a.one": PASSED, "a.two": PASSED, "b.one": PASSED}
    ours = {"a": ["failed", "no such name"], "b.one": PASSED}
    assert gevents.judged(theirs, ours) == {
        "a.one": ["failed", "no such name"],
        "a.two": ["failed", "no such name"],
        "b.one": PASSED,
    }


def test_a_process_of_ours_that_ends_badly_is_told_of(gevents):
    ours = {"a.one": PASSED, "a": ["failed", CRASH]}
    assert gevents.judged({"a.one": PASSED}, ours)["a"] == ["failed", CRASH]


def test_what_failed_and_is_not_listed_gets_a_second_turn(
    gevents, monkeypatch
):
    turns = []

    def run_once(suite, module, env, names):
        turns.append((module, list(names)))
        return dict.fromkeys(turns[-1][1], PASSED), []

    monkeypatch.setattr(gevents.suite, "run_once", run_once)
    monkeypatch.setattr(gevents, "left_out", lambda: {"a.listed": "why"})
    late = ["failed", "it is late"]
    tests = dict.fromkeys(["b.one", "a.two", "a.one", "a.listed", "c"], late)
    gevents.run_again(tests, {})
    assert turns == [("a", ["a.one", "a.two"]), ("b", ["b.one"])]
    assert [name for name in tests if tests[name] == late] == ["a.listed", "c"]


# -- What is tested is what is named


def test_the_alias_refuses_another_engine_than_was_asked_for():
    need(find_spec("evening._slice"), "evening's own engine")
    child = subprocess.run(
        [sys.executable, "-P", "-c", "import greenlet"],
        env={"PYTHONPATH": str(HERE / "alias"), "EVENING_ENGINE": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 1
    assert "the engine is 'slice', and '' was asked for" in child.stderr


def test_children_of_the_suite_get_the_alias_too(suite):
    need(find_spec("evening._slice"), "evening's own engine")
    grandchild = "import greenlet; print(greenlet.greenlet.__module__)"
    child = subprocess.run(
        [sys.executable, "-P", "-c"]
        + [
            "import subprocess, sys; subprocess.run("
            f"[sys.executable, '-c', {grandchild!r}], check=True)"
        ],
        env=suite.environment(ours=True, EVENING_ENGINE="slice"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout.split() == ["evening.greenlet"]


# -- What the book shows


@pytest.fixture
def page():
    """What a table has to know of the directive that draws it."""
    reporter = SimpleNamespace(source="docs/greenlet.md")
    return SimpleNamespace(
        state_machine=SimpleNamespace(reporter=reporter), lineno=1
    )


def texts(table):
    return [cell.astext() for cell in table.findall(nodes.paragraph)]


def test_the_table_has_its_heads_translated_and_not_its_figures(page):
    columns = conformance.COLUMNS
    one = {name: name.upper() for name in columns.values()}
    cells = conformance.table(page, columns, [one, one]).findall(
        nodes.paragraph
    )
    words = [cell.astext() for cell in cells if is_translatable(cell)]
    assert words == list(columns)


FIGURES = {"total": 5, "passed": 2, "left_out": 1, "skipped": 2, "failed": 0}


def test_a_python_has_a_row_and_the_oldest_comes_first():
    kept = {name: {"python": f"{name}.1"} for name in ("3.12", "3.9")}
    assert conformance.by_python(kept) == [kept["3.9"], kept["3.12"]]


def test_a_file_has_a_row_with_the_figures_of_the_python_that_runs(page):
    mine = {"files": {"hub": FIGURES}}
    rows = conformance.by_file({"2.7": {}, conformance.PYTHON: mine})
    table = conformance.table(page, conformance.FILE_COLUMNS, rows)
    heads = ["file", "tests", "passed", "left out", "skipped", "failed"]
    assert texts(table) == [*heads, "test__hub.py", *"52120"]


def test_where_the_engine_is_not_built_there_are_no_counts(monkeypatch):
    monkeypatch.setattr(conformance, "find_spec", lambda name: None)
    assert conformance.counts("gevent", ask=None) is None
