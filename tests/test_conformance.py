"""greenlet's own tests pass on our engine, but for a list of those that can't.

The suite takes 25 seconds; what judges it is tested on made-up outcomes.
"""

import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from sphinx.util.nodes import is_translatable

import conformance
from conftest import need

HERE = Path(__file__).parent / "conformance"
RUNNER = HERE / "greenlet.py"


@pytest.fixture(scope="module")
def runner():
    """The script as a module; under its own name it would be greenlet's."""
    spec = spec_from_file_location("runner", RUNNER)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_greenlets_own_tests_end_as_the_list_says():
    need(find_spec("evening._slice"), "evening's own engine")
    child = subprocess.run(
        [sys.executable, RUNNER], stderr=subprocess.PIPE, text=True
    )
    assert child.returncode == 0, child.stderr


# -- What judges it


@pytest.mark.parametrize(
    ("outcome", "complaint"),
    [
        (["passed", ""], "one is passed: take it out of left_out.toml"),
        (["skipped", "why"], "one is skipped: take it out of left_out.toml"),
        (None, "one is not there: take it out of left_out.toml"),
        (["failed", "other"], "one failed:\nother"),
    ],
)
def test_a_listed_test_must_fail_as_the_list_says(runner, outcome, complaint):
    tests = {"one": outcome} if outcome else {}
    assert list(runner.verdict(tests, {"one": "this"})) == [complaint]
    assert (
        list(runner.verdict({"one": ["failed", "this"]}, {"one": "is"})) == []
    )


def test_any_other_test_must_not_fail(runner):
    tests = {"one": ["failed", "this"], "two": ["passed", ""]}
    assert list(runner.verdict(tests, {})) == ["one failed:\nthis"]
    counts = runner.count(tests, {})
    assert (counts["passed"], counts["failed"]) == (1, 1)


@pytest.mark.parametrize("wrong", ["", "the process ended with status -11"])
def test_a_test_that_did_not_end_has_failed(runner, tmp_path, wrong):
    report, log = tmp_path / "report", tmp_path / "log"
    report.write_text(
        '["one", "found", ""]\n["two", "found", ""]\n'
        '["one", "started", ""]\n["one", "passed", ""]\n'
        '["two", "started", ""]\n',
        "utf-8",
    )
    log.write_text("last words", "utf-8")
    tests = runner.outcomes("module", report, wrong, log)
    assert tests.pop("one") == ["passed", ""]
    assert tests.pop("two") == ["failed", wrong or "it did not run"]
    crash = {"module": ["failed", f"{wrong}\nlast words"]} if wrong else {}
    assert tests == crash


def test_a_subtest_that_fails_fails_its_test(runner, tmp_path):
    report, log = tmp_path / "report", tmp_path / "log"
    report.write_text(
        '["one", "failed", "why"]\n["one", "passed", ""]\n', "utf-8"
    )
    log.write_text("", "utf-8")
    tests = runner.outcomes("module", report, "", log)
    assert tests == {"one": ["failed", "why"]}


def test_a_name_is_listed_once_and_with_a_reason(runner):
    groups = runner.tomllib.loads(
        (HERE / "left_out.toml").read_text("utf-8")
    ).values()
    names = [name for group in groups for name in group["tests"]]
    assert sorted(names) == sorted(set(names))
    assert all(group["reason"] and group["says"] for group in groups)


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


def test_children_of_the_suite_get_the_alias_too(runner):
    need(find_spec("evening._slice"), "evening's own engine")
    grandchild = "import greenlet; print(greenlet.greenlet.__module__)"
    child = subprocess.run(
        [sys.executable, "-P", "-c"]
        + [
            "import subprocess, sys; subprocess.run("
            f"[sys.executable, '-c', {grandchild!r}], check=True)"
        ],
        env=runner.environment("slice"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout.split() == ["evening.greenlet"]


# -- What the book shows


def test_the_table_has_its_heads_translated_and_not_its_figures():
    reporter = SimpleNamespace(source="docs/greenlet.md")
    page = SimpleNamespace(
        state_machine=SimpleNamespace(reporter=reporter), lineno=1
    )
    one = {name: name.upper() for name in conformance.COLUMNS.values()}
    cells = conformance.table(page, [one, one]).findall(nodes.paragraph)
    words = [cell.astext() for cell in cells if is_translatable(cell)]
    assert words == list(conformance.COLUMNS)


def test_where_the_engine_is_not_built_there_are_no_counts(monkeypatch):
    monkeypatch.setattr(conformance, "find_spec", lambda name: None)
    assert conformance.counts() is None
