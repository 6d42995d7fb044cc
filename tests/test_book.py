"""The book tells the whole library, runs all it shows, and keeps its form."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

import run_snippet
from c_regions import region
from conftest import need
from piece import Reader, with_suffix
from run_snippet import check
from snippet import used

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "lib/evening"
PAGES = sorted(
    page
    for folder in ("docs", "talk")
    for page in (ROOT / folder).rglob("*.md")
    if "_" not in page.relative_to(ROOT).parts[1][:1]
)
SNIPPETS = sorted((ROOT / "snippets").rglob("*.py"))

PIECE = re.compile(r"^`{3,}\{piece\} (\S+)(.*)\n((?::.*\n)*)", re.M)
OPTION = re.compile(r"^:([\w-]+): ?(.*)$", re.M)


class Numbered(Reader):
    """The directive's reader of pieces, on lines that carry their numbers."""

    def read_file(self, filename, location=None):
        lines = super().read_file(filename, location)
        return [f"{n}\t{line}" for n, line in enumerate(lines, 1)]


def told(page):
    """Yield (file name, line number) of each library line *page* shows."""
    for module, name, block in PIECE.findall(page.read_text("utf-8")):
        options = {
            key: value.strip("\"'") for key, value in OPTION.findall(block)
        }
        if name.strip():
            options["pyobject"] = name.strip()
        config = SimpleNamespace(source_encoding="utf-8")
        path = LIBRARY / with_suffix(module)
        for line in Numbered(path, options, config).read()[0].splitlines():
            yield path.name, int(line.split("\t")[0])


# The recorder in lib/evening/trace is a tool beside the layers: it is shown by
# what it does, on the page that bears its name.
@pytest.mark.parametrize(
    "module",
    sorted([*LIBRARY.glob("*.py"), *LIBRARY.glob("*.c")]),
    ids=lambda path: path.name,
)
def test_every_line_of_the_library_is_told_once(module):
    lines = module.read_text("utf-8").splitlines()
    shown = Counter(
        line
        for page in PAGES
        if page.is_relative_to(ROOT / "docs")
        for name, line in told(page)
        if name == module.name
    )
    code = {n for n, line in enumerate(lines, 1) if line.strip()}
    untold = [f"{n}: {lines[n - 1]}" for n in sorted(code - set(shown))]
    twice = [f"{n}: {lines[n - 1]}" for n in sorted(code) if shown[n] > 1]
    assert (untold, twice) == ([], [])


C_FILE = """\
/* What the file is about. */

#if PY_VERSION_HEX < 0x030D0000
/* The old way. */
#  define FRAME(ts) ((ts)->cframe->frame)
#else
#  define FRAME(ts) ((ts)->frame)
#  define LATE(ts) \\
    ((ts)->late)
#endif

typedef struct _pair {
    int first, second;  /* {of them */
} Pair;

static int twice(int n);
THREAD_LOCAL Pair *one, *other;

/* Have it
   twice. */
static int twice(int n)
{
#if defined(__x86_64__)
    char *brace = "}";
#endif
    return 2 * n;
}

static Table table[] = {
    {"twice", twice},
    {NULL, NULL}};

#ifdef __x86_64__
__asm__(
    ".globl turn\\n"
    "  ret\\n");
#elif defined(__aarch64__)
__asm__(
    FUNCTION("turn")
    "  ret\\n");
#endif
"""


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("FRAME", (3, 10)),  # what each branch defines is the whole #if
        ("LATE", (8, 9)),
        ("Pair", (12, 14)),
        ("_pair", (12, 14)),
        ("one", (17, 17)),
        ("other", (17, 17)),
        ("twice", (19, 27)),  # with its comment, and not its declaration
        ("table", (29, 31)),
        ("turn", (33, 41)),
    ],
)
def test_a_name_of_c_is_found_from_its_comment_to_its_end(name, lines):
    assert region(C_FILE, name) == lines


@pytest.mark.parametrize("name", ["n", "twic", "NULL", "first", "second"])
def test_what_c_does_not_define_at_its_top_level_is_not_found(name):
    with pytest.raises(ValueError, match=name):
        region(C_FILE, name)


# -- Pages own words, files own code

#: What a fence may be: a session of the shell, or a directive: one that shows
#: a file, or one whose body is words, in which we look again.
LANGUAGES = {"console", "text"}
SHOW_FILES = {
    *("bench", "conformance", "cost", "drawing", "include", "journey"),
    *("length", "memory", "piece", "real", "scenarios", "snippet"),
    *("timeline", "toctree"),
}
HOLD_WORDS = {"admonition", "container", "note", "revealjs-notes"}
FENCE = re.compile(r"\{([\w-]+)\}\s*(.*)")
#: However deep in quotes and lists it stands.
PROMPT = re.compile(r"[\s>:*+-]*(\d+[.)]\s+)?>>>(\s|$)")
MARKDOWN = create_md_parser(
    MdParserConfig(enable_extensions={"colon_fence", "deflist"}), RendererHTML
)


def code_in(text):
    """Return (line, what it is) of each part of *text* that may be Python."""
    prompts = [
        (line, "a prompt of Python")
        for line, words in enumerate(text.splitlines(), 1)
        if PROMPT.match(words)
    ]
    return sorted([*blocks_in(text), *prompts])


def blocks_in(text, above=0):
    """Yield the blocks of code; there are so many lines *above* the text."""
    for token in MARKDOWN.parse(text):
        line = above + 1 + (token.map or [0])[0]
        if token.type in ("fence", "colon_fence"):
            directive = FENCE.match(token.info)
            if not allowed(token.info, directive):
                yield line, f"a fence of {token.info or 'nothing'}"
            elif directive:
                yield from blocks_in(token.content, line)
        elif token.type in ("code_block", "html_block"):
            yield line, f"a block of {token.type.removesuffix('_block')}"


def allowed(info, directive):
    """Return whether a page may have such a fence."""
    if not directive:
        return info.strip() in LANGUAGES
    name, argument = directive.groups()
    if name == "include":
        return argument.strip().endswith(".md")
    return name in SHOW_FILES | HOLD_WORDS


BANNED = re.compile(r"\b(just|simply|obviously)\b", re.I)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_holds_python(page):
    text = page.read_text("utf-8")
    assert [f"{page}:{n}: {what}" for n, what in code_in(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```",
        "```python3\nx = 1\n```",
        "```Python\nx = 1\n```",
        "```py3\nx = 1\n```",
        "~~~ pycon\n>>> x\n~~~",
        "````{code-block} python\nx = 1\n````",
        "```{sourcecode} python\nx = 1\n```",
        "```{doctest}\n>>> x\n```",
        "```{literalinclude} ../lib/evening/hub.py\n```",
        "```{include} ../lib/evening/hub.py\n:code: python\n```",
        "```{eval-rst}\n.. code:: python\n\n   x = 1\n```",
        "> ```python\n> x = 1\n> ```",
        "- ```python\n  x = 1\n  ```",
        "1. one\n\n       x = 1",
        "word\n\n: ```python\n  x = 1\n  ```",
        ":::{note}\n```python\nx = 1\n```\n:::",
        "::::{container} one\n:::{note}\n~~~py\nx = 1\n~~~\n:::\n::::",
        ":::python\nx = 1\n:::",
        "    x = 1",
        "```\nx = 1\n```",
        "```\n>>> x\n```",
        "```text\n>>> x\n```",
        "```console\n$ python\n>>> x\n```",
        "```{note}\n>>> x\n```",
        ">>> x",
        "- >>> x",
        "<pre>\n>>> x\n</pre>",
    ],
)
def test_python_is_found_wherever_a_page_hides_it(text):
    assert code_in(f"# A page\n\n{text}\n") != []


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ python -m pip install .\n```",
        "```{snippet} hub/waiter\n:trace:\n\nIts caption.\n```",
        "```{include} hub.md\n```",
        "> > > It says `x = 1`, and\n`>>>` is a prompt.",
        "1. one\n\n   two",
    ],
)
def test_words_and_files_are_no_python(text):
    assert code_in(text) == []


def test_what_is_found_is_told_with_its_line():
    text = "# A page\n\n:::{note}\nOne.\n\n```python\nx = 1\n```\n:::\n"
    assert code_in(text) == [(6, "a fence of python")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_talks_down(page):
    found = BANNED.search(page.read_text("utf-8"))
    assert found is None, f"{place(page, found)}: {found[0]!r}"


def place(page, match):
    """Return ``page:line`` of *match*."""
    line = page.read_text("utf-8").count("\n", 0, match.start()) + 1
    return f"{page.relative_to(ROOT)}:{line}"


def test_every_snippet_is_used_by_the_book():
    names = {f"{path.parent.name}/{path.stem}" for path in SNIPPETS}
    assert names - set(used(ROOT / "docs")) == set()


def test_the_deck_shows_snippets_of_every_layer():
    layers = {name.split("/")[0] for name in used(ROOT / "talk")}
    assert {"greenlet", "core", "hub", "socket"} <= layers


@pytest.mark.parametrize("layer", ["greenlet", "core", "hub", "socket"])
def test_a_layer_has_one_name_in_five_places(layer):
    for path in (
        f"lib/evening/{layer}.py",
        f"docs/{layer}.md",
        f"snippets/{layer}",
        f"talk/{layer}.md",
        f"tests/test_{layer}.py",
    ):
        assert (ROOT / path).exists(), path


# -- A translator finds every word, and no code

WORDS = ROOT / "build/gettext"  # `make gettext` collects them


def messages(catalogue):
    """Return the messages of a .pot file."""
    text = (WORDS / catalogue).read_text("utf-8")
    entries = re.findall(r'^msgid ((?:".*"\n)+)', text, re.M)
    return {
        "".join(re.findall(r'"(.*)"', entry)).replace('\\"', '"')
        for entry in entries
    }


@pytest.mark.parametrize(
    ("catalogue", "words"),
    [
        ("book/why.pot", {"scheduler", "switch to a greenlet"}),  # figures
        ("book/why.pot", {"who switches", "Why: threads and coroutines"}),
        (
            "book/hub.pot",
            {"{greenlet} switches to {target}.", "waits", "show me"},
        ),  # the player
        ("book/sphinx.pot", {"Slides", "Search"}),  # templates
        ("deck/index.pot", {"scheduler", "Threads and coroutines"}),
    ],
)
def test_words_can_be_translated(catalogue, words):
    assert words <= messages(catalogue)


def test_code_is_no_message():
    for catalogue in WORDS.rglob("*.pot"):
        for message in messages(catalogue.relative_to(WORDS)):
            for code in (">>> ", "def main", "snippets/hub/", "import "):
                assert not message.startswith(code), message


# -- A mistake is reported with its file and line


@pytest.fixture
def house(tmp_path):
    """A copy of the house that a test may break."""
    for name in ("docs/_ext", "docs/_static", "lib", "snippets", "tests"):
        shutil.copytree(
            ROOT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("node_modules", "__pycache__"),
        )
    for folder in ("docs", "talk"):
        for part in ("_figures", "_templates", "_static"):
            if (ROOT / folder / part).exists():
                shutil.copytree(
                    ROOT / folder / part,
                    tmp_path / folder / part,
                    dirs_exist_ok=True,
                )
        (tmp_path / folder / "index.md").write_text("# A page\n", "utf-8")
    for name in ("conf.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def build(house, builder, folder="docs"):
    """Build *folder* of the *house*; return exit status and what was said."""
    deck = ["-t", "deck"] if folder == "talk" else []
    child = subprocess.run(
        [sys.executable, "-m", "sphinx", "-c", ".", "-W", "-n"]
        + ["--keep-going", "-q", *deck, "-b", builder, folder, "out"],
        cwd=house,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return child.returncode, child.stdout


def write(house, page, text):
    (house / page).write_text(f"# A page\n\n{text}\n", "utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```{snippet} hub/nowhere\n```", "no snippets/hub/nowhere.py"),
        (
            "```{snippet} hub/waiter\n:piece: nothing\n```",
            "no piece 'nothing'",
        ),
        ("```{snippet} hub/waiter\n:emphasize: x\n```", "hub/waiter.py"),
        ("```{piece} nowhere\n```", "no lib/evening/nowhere.py"),
        ("```{piece} hub Hub.nothing\n```", "Hub.nothing"),
        ("```{piece} _slice.c nothing\n```", "_slice.c: it defines no"),
        (
            "```{piece} _slice.c slice_save\n:end-at: nothing\n```",
            "_slice.c: end-at pattern not found: nothing",
        ),
        ("```{real} gevent.hub Hub.nothing\n```", "Hub.nothing"),
        ("```{real} gevent.nowhere\n```", "no file nowhere.py"),
        ("```{real} no_such_package.hub\n```", "no package"),
        ("```{drawing} nowhere\n```", "no docs/_figures/nowhere.svg"),
        (
            "```{snippet} hub/waiter\n:trace: nowhere\n```",
            "hub/waiter.py: it is run on gevent and evening, not 'nowhere'",
        ),
        (
            "```{snippet} greenlet/new_is_false\n:trace:\n```",
            "greenlet/new_is_false.py: it has no golden trace",
        ),
        (
            "```{snippet} why/a_greenlet\n:trace:\n:stops: nothing\n```",
            "why/a_greenlet.py: no event is called 'nothing'",
        ),
        (
            "```{timeline} hub/nowhere\n```",
            "no snippets/hub/nowhere.trace.json",
        ),
        (
            "```{memory} greenlet/nowhere\n```",
            "no snippets/greenlet/nowhere.py",
        ),
        ("{step}`it ends`", "not 'it ends'"),
        ("{step}`it ends <nowhere@1 die>`", "it is nowhere on this page"),
        (
            "{step}`it ends <why-a_greenlet@1 die>`\n\n"
            "```{snippet} why/a_greenlet\n:trace:\n```",
            "the page tells of die, and it is spawn",
        ),
        ("[a link](nowhere.md)", "nowhere.md"),
    ],
)
def test_a_broken_page_fails_with_page_and_line(house, text, says):
    write(house, "docs/index.md", text)
    status, said = build(house, "html")
    assert status != 0
    assert says in said
    assert "docs/index.md:3" in said


def test_a_broken_slide_fails_with_slide_and_line(house):
    write(house, "talk/index.md", "```{include} hub.md\n```")
    write(house, "talk/hub.md", "```{snippet} hub/nowhere\n```")
    status, said = build(house, "revealjs", "talk")
    assert status != 0
    assert "talk/hub.md:3" in said
    assert "no snippets/hub/nowhere.py" in said


# -- A build waits for figures only where it shows them

FIGURES = {
    "switch": {"call": 1, "generator": 2, "greenlet": 3, "thread": 4321},
    "memory": {"greenlet": 5, "thread": 6},
}


@pytest.fixture
def measuring(house):
    """The house with a chart, whose bench says at once what it measured."""
    bench = house / "tests/bench/cost.py"
    bench.write_text(
        "import sys, kept\n"
        "path = kept.BUILT / 'cost.json'\n"
        f"kept.answered(sys.argv, path, 'key', lambda: {FIGURES})\n",
        "utf-8",
    )
    write(house, "docs/index.md", "```{cost}\nWhat it costs.\n```")
    return house


MEASURES = "measuring with tests/bench/cost.py (some minutes, once"


@pytest.mark.parametrize("builder", ["doctest", "linkcheck"])
def test_a_build_without_charts_does_not_measure(measuring, builder):
    status, said = build(measuring, builder)
    assert (status, MEASURES in said) == (0, False)
    assert not (measuring / "build").exists()


def test_a_build_that_measures_says_so_and_does_it_once(measuring):
    status, said = build(measuring, "html")
    assert status == 0
    assert said.startswith(MEASURES)
    assert said.count("\n") == 1
    write(measuring, "docs/index.md", "```{cost}\nWhat it does cost.\n```")
    assert build(measuring, "html") == (0, "")


@pytest.mark.parametrize(
    ("page", "script"),
    [
        ("```{cost}\n```", "bench/cost.py"),
        ("```{bench} gain\n```", "bench/greenlet.py"),
        ("```{bench} echo\n```", "bench/loop.py"),
        ("```{bench} peel\n```", "bench/ladder.py"),
        ("```{conformance} gevent\n```", "conformance/gevent.py"),
    ],
)
def test_a_bench_that_fails_is_told_with_page_and_line(house, page, script):
    if "conformance" in script:
        need(find_spec("evening._slice"), "evening's own engine")
    (house / "tests" / script).write_text("raise SystemExit('no steam')\n")
    write(house, "docs/index.md", page)
    status, said = build(house, "html")
    assert status != 0
    assert f"tests/{script} failed: no steam" in said
    assert "docs/index.md:3" in said


def test_what_is_not_measured_by_one_build_is_by_the_next(measuring):
    kept = measuring / "build/bench/cost.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"key": "of another day", "figures": {}}))
    for builder, measures in {"doctest": False, "html": True}.items():
        status, said = build(measuring, builder)
        assert (status, said.startswith(MEASURES)) == (0, measures)
    assert "4,321" in (measuring / "out/index.html").read_text("utf-8")


@pytest.mark.parametrize("folder", ["docs", "talk"])
def test_a_false_snippet_fails_with_file_line_and_difference(house, folder):
    path = house / "snippets/hub/spawn_order.py"
    text = path.read_text("utf-8")
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines, 1) if ">>>" in line)
    lines[start] = "a lie"
    path.write_text("\n".join(lines), "utf-8")
    write(house, f"{folder}/index.md", "```{snippet} hub/spawn_order\n```")
    status, said = build(house, "doctest", folder)
    assert status != 0
    for library in ("gevent", "evening"):
        assert f"snippets/hub/spawn_order.py on {library}:" in said
    assert f'snippets/hub/spawn_order.py", line {start}' in said
    assert "-a lie" in said


def test_a_false_snippet_is_told_once_however_often_it_is_shown(house):
    path = house / "snippets/hub/spawn_order.py"
    text = path.read_text("utf-8")
    path.write_text(text.replace("both spawned\n", "a lie\n", 1), "utf-8")
    shown = "```{snippet} hub/spawn_order\n```\n\n"
    hidden = "```{snippet} hub/spawn_order\n:no-output:\n```\n\n"
    other = "```{snippet} hub/waiter\n```\n"
    write(house, "docs/index.md", shown + hidden + other)
    write(house, "docs/more.md", shown)
    status, said = build(house, "doctest")
    assert status != 0
    for library in ("gevent", "evening"):
        assert said.count(f"spawn_order.py on {library}:") == 1
    place = 'File "snippets/hub/spawn_order.py", line 3, in spawn_order\n'
    assert re.findall("^File .*\n", said, re.M) == [place] * 2
    assert "Failed example:\n    print(check" not in said
    assert said.endswith("\n2 of 4 runs failed\n")


def test_a_true_snippet_ends_with_the_count_of_runs(house):
    write(house, "docs/index.md", "```{snippet} hub/waiter\n```")
    status, said = build(house, "doctest")
    assert status == 0
    assert said.startswith("docs: 1 snippets, 2 runs and 0 golden traces")
    assert "failed" not in said


def test_a_run_that_is_left_out_is_not_counted(house):
    for engine in (house / "lib/evening").glob("_slice*.so"):
        engine.unlink()
    write(house, "docs/index.md", "```{snippet} greenlet/slicing_rule\n```")
    status, said = build(house, "doctest")
    assert status == 0
    assert "docs: 1 snippets, 0 runs and 0 golden traces" in said
    assert said.endswith("; 1 left out, for want of evening's own\n")


@pytest.mark.parametrize("folder", ["docs", "talk"])
def test_a_run_that_is_another_one_fails_with_its_events(house, folder):
    path = house / "snippets/greenlet/messages.trace.json"
    text = path.read_text("utf-8")
    path.write_text(text.replace('"56"', '"57"', 1), "utf-8")
    page = "```{snippet} greenlet/messages\n:trace:\n```"
    write(house, f"{folder}/index.md", page)
    status, said = build(house, "doctest", folder)
    assert status != 0
    assert "snippets/greenlet/messages.trace.json: " in said
    assert "+gevent:14 gr1: switch to gr2 (56)" in said
    assert said.endswith("\n1 of 1 golden traces failed\n")


def test_a_session_of_one_line_is_told_as_a_difference(monkeypatch, tmp_path):
    monkeypatch.setattr(run_snippet, "SNIPPETS", tmp_path)
    (tmp_path / "short.py").write_text(
        '"""Short.\n\n>>> print(1)\n2\n>>> print(" ")\n"""\n', "utf-8"
    )
    said = check("short", "gevent")
    assert (
        "print(1)\n-expected +actual:\n    @@ -1 +1 @@\n    -2\n    +1\n"
        in said
    )
    assert "-expected +actual:\n    @@ -0,0 +1 @@\n    +<BLANKLINE>\n" in said
    assert "Got" not in said


def test_a_snippet_that_hangs_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(run_snippet, "SNIPPETS", tmp_path)
    monkeypatch.setattr(run_snippet, "TIMEOUT", 1)
    (tmp_path / "hang.py").write_text(
        '"""Hang.\n\n>>> print("begun", flush=True); input_never()\n"""\n'
        "import threading\n\n\n"
        "def input_never():\n    threading.Event().wait()\n",
        "utf-8",
    )
    assert "no end after 1 s" in check("hang", "gevent")
