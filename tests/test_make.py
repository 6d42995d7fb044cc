"""The verbs of the Makefile: what they say when something is missing."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(*arguments, cwd=ROOT, **env):
    """Run make; return exit status and output."""
    child = subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if "MAKE" not in k} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return child.returncode, child.stdout


@pytest.fixture
def clone(tmp_path):
    """A house in which nothing is installed yet."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def python(folder, text):
    """Return a command that takes the place of Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return f"PYTHON={path}"


def said(output):
    """Return what our Makefile said, without make's own last line."""
    return [
        line
        for line in output.splitlines()
        if not re.match(r"make(\[\d+\])?: \*\*\*", line)
    ]


def test_make_alone_lists_every_verb_in_a_line():
    status, output = make()
    text = (ROOT / "Makefile").read_text("utf-8")
    verbs = re.findall(r"^([a-z-]+):", text, re.M)
    assert status == 0
    assert [line.split()[1] for line in output.splitlines()] == verbs
    assert all(len(line.split()) > 3 for line in output.splitlines())
    columns = {
        re.search(r"make \S+ +", one).end() for one in output.splitlines()
    }
    assert len(columns) == 1


def test_an_old_python_is_named_with_the_cure(clone):
    old = python(clone, '[ "$1" = -V ] && echo Python 3.9.1; exit 1')
    status, output = make("doctest", old, cwd=clone)
    (line,) = said(output)
    assert status != 0
    assert "Python 3.11 to 3.14 is needed" in line
    assert "is Python 3.9.1" in line
    assert "PYTHON=" in line


def test_a_python_that_is_not_there_is_named(clone):
    status, output = make("doctest", "PYTHON=no-such-python", cwd=clone)
    (line,) = said(output)
    assert status != 0
    assert line == (
        "make: there is no no-such-python here: name a Python from 3.11 to "
        "3.14, as in make serve PYTHON=python3.13"
    )


def test_a_python_without_venv_is_named_with_the_cure(clone):
    command = f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable}'
    without = python(clone, command + ' "$@"')
    status, output = make("doctest", without, cwd=clone)
    (line,) = said(output)
    assert status != 0
    assert "has no venv module" in line
    assert "python3-venv" in line


def test_no_network_is_one_clear_line(clone):
    status, output = make(
        "doctest",
        f"PYTHON={sys.executable}",
        cwd=clone,
        PIP_INDEX_URL="http://127.0.0.1:9/simple/",
        PIP_CONFIG_FILE=os.devnull,
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
    )
    *_, line = said(output)
    assert status != 0
    assert "could not be installed: is there a network?" in line
    assert (clone / ".venv/install.log").exists()


def furnish(folder, text):
    """Put a script in the place of the Python of a *folder*'s .venv."""
    venv = folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    python(venv / "bin", text)
    for stamp in ("book", "test"):
        (venv / stamp).touch()


@pytest.mark.parametrize("false", ["docs", "talk"])
def test_doctest_runs_the_deck_too_where_the_book_is_false(clone, false):
    furnish(clone, f'echo "$@"; case "$*" in *" {false} "*) exit 1;; esac')
    status, output = make("doctest", cwd=clone)
    assert status != 0
    book, deck = said(output)
    assert " docs " in book
    assert " talk " in deck


def test_doctest_succeeds_where_both_are_true(clone):
    furnish(clone, "exit 0")
    assert make("doctest", cwd=clone) == (0, "")


#: Makes environments that do nothing.
MAKES_VENV = """\
case "$*" in
"-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac"""


@pytest.mark.parametrize("verb", ["doctest", "soak"])
def test_an_environment_that_was_moved_is_made_anew(clone, verb):
    furnish(clone, "exit 1")
    made = "command = /usr/bin/python3 -m venv {}/.venv\n"
    config = clone / ".venv/pyvenv.cfg"
    config.write_text(made.format("/old place"), "utf-8")
    status, output = make(verb, python(clone, MAKES_VENV), cwd=clone)
    line, *_ = said(output)
    assert status == 0
    assert line == (
        "make: .venv was made as /old place/.venv: it is made anew here"
    )
    assert not config.exists()


def test_no_compiler_is_one_clear_line(clone):
    without = MAKES_VENV.replace(
        "esac", '*"import evening._slice"*) exit 1 ;;\nesac'
    )
    status, output = make("doctest", python(clone, without), cwd=clone)
    *_, line = said(output)
    assert status == 0
    assert "own engine could not be built (it needs a C compiler" in line
    assert "layer 1 runs on the package greenlet" in line


def test_clean_leaves_nothing_that_git_ignores(clone):
    shutil.copy(ROOT / ".gitignore", clone)
    git = ["git", "-C", clone, "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], check=True)
    for folder in ("docs", "lib/evening", "snippets", "talk", "tests/html"):
        (clone / folder / "__pycache__").mkdir(parents=True)
        (clone / folder / "__pycache__/x.pyc").touch()
    for path in (
        *("build/x", ".venv/x", "lib/evening.egg-info/x", ".ruff_cache/x"),
        *(".mypy_cache/x", ".import_linter_cache/x", ".pytest_cache/x"),
        *("tests/html/node_modules/x", "lib/evening/_slice.x.so"),
    ):
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).touch()
    ignored = [*git, "ls-files", "--others", "--ignored", "--exclude-standard"]
    assert len(subprocess.check_output(ignored).splitlines()) == 14
    assert make("clean", cwd=clone) == (0, "")
    assert subprocess.check_output(ignored).splitlines() == []


def test_an_environment_that_was_not_moved_is_kept(clone):
    furnish(clone, "exit 0")
    config = clone / ".venv/pyvenv.cfg"
    config.write_text(f"command = python -m venv {clone}/.venv\n", "utf-8")
    assert make("doctest", cwd=clone) == (0, "")
    assert config.exists()


def test_a_port_in_use_is_named_with_the_cure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = make("serve", f"PORT={port}")
    (line,) = said(output)
    assert status != 0
    assert f"port {port} of 127.0.0.1 is in use" in line
    assert "PORT=" in line
