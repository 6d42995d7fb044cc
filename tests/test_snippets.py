"""Every snippet is true of gevent and of evening, and fits on a slide."""

import pytest

from length import lines_with_code
from run_snippet import NOT_ON_THREADS, SNIPPETS, check, libraries, start
from snippet import Snippet

PATHS = sorted(SNIPPETS.rglob("*.py"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in PATHS]
CASES = [
    pytest.param(name, library, id=f"{name}-{library}")
    for name in NAMES
    for library in libraries(name)
]


@pytest.fixture(scope="module")
def started():
    for case in CASES:
        start(*case.values)


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(("name", "library"), CASES)
def test_its_session_is_true(name, library):
    assert check(name, library) == ""


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_it_fits_on_a_slide(path):
    snippet = Snippet.read(path)
    assert len(lines_with_code(snippet.code)) <= 20
    for line in (snippet.session + "\n" + snippet.code).splitlines():
        assert len(line) <= 60, line


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_its_title_is_a_sentence(path):
    title = Snippet.read(path).title
    assert title[0].isupper() or title.split()[0] in path.read_text("utf-8")
    assert title.endswith(".")
    assert "\n" not in title


def test_the_list_of_those_that_threads_cannot_do_is_not_stale():
    for name in NOT_ON_THREADS:
        assert check(name, "evening-thread") != "", name


@pytest.mark.parametrize("layer", ["greenlet", "core", "hub", "socket"])
def test_each_layer_has_eight_at_least(layer):
    assert sum(name.startswith(f"{layer}/") for name in NAMES) >= 8
