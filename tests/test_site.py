"""The built site, looked at as a reader does: with a browser.

``make site`` builds what these tests look at.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.base import AXE_FILE_PATH

from conftest import PREFIX, ROOT, SITE, need, served

DECK = "talk/en/index.html"
PAGES = sorted(
    path.relative_to(SITE).as_posix() for path in (SITE / "en").rglob("*.html")
)
VNU = ROOT / "build/vnu.jar"

assert PAGES, "build/site is empty: run `make site` first"


# -- Files


class Links(HTMLParser):
    """The ids of a page, and what it points to."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.targets = set(), []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name in ("href", "src"):
            if attributes.get(name) and not (
                tag == "link" and attributes.get("rel") == "canonical"
            ):
                self.targets.append(attributes[name])


@functools.cache
def links(path):
    """Return the Links of the page at *path*."""
    return Links(path)


HTML = [*PAGES, DECK, "index.html"]


@pytest.mark.parametrize("name", HTML)
def test_internal_links_hold(name):
    page = SITE / name
    broken = []
    for target in links(page).targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        path = unquote(parts.path)
        if path.startswith(PREFIX):  # the 404 page is shown at any depth
            file = SITE / path.removeprefix(PREFIX)
        else:
            file = page.parent / path if path else page
        if file.is_dir():
            file /= "index.html"
        if not file.exists():
            broken.append(target)
        elif parts.fragment and file.suffix == ".html":
            if parts.fragment.startswith("/"):
                continue  # a place in the deck
            name, _, _ = unquote(parts.fragment).partition("@")  # a step
            if name not in links(file).ids:
                broken.append(target)
    assert broken == []


def test_the_html_is_valid():
    need(VNU.exists() and shutil.which("java"), "vnu (npm and java)")
    child = subprocess.run(
        ["java", "-jar", VNU, "--errors-only"]
        + [str(SITE / name) for name in HTML],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert child.stdout == ""


def test_the_site_is_whole():
    for name in (
        "index.html",
        "404.html",
        ".nojekyll",
        *["en/sitemap.xml"] * ("SITE_URL" in os.environ),
        "en/search.html",
        "en/_static/favicon.svg",
        DECK,
    ):
        assert (SITE / name).exists(), name


@pytest.mark.parametrize("name", [n for n in PAGES if "search" not in n])
def test_a_page_tells_who_links_to_it_what_it_is(name):
    text = (SITE / name).read_text("utf-8")
    assert '<html class="no-js" lang="en"' in text
    for pattern in (
        r'property="og:title" content="[^"]+"',
        r'property="og:url" content="[^"]+"',
        r'property="og:description" content="[^"]{40,}"',
        r'name="description" content="[^"]{40,}"',
        r'rel="(shortcut )?icon" href="[^"]*favicon.svg"',
    ):
        if "404" in name and "description" in pattern:
            continue
        assert re.search(pattern, text), pattern


@pytest.mark.parametrize(
    "name", [n for n in PAGES if "404" not in n and "search" not in n]
)
def test_a_page_can_be_edited_and_left(name):
    text = (SITE / name).read_text("utf-8")
    page = Path(name).relative_to("en").with_suffix(".md").as_posix()
    pencil = f"/edit/main/docs/{page}"
    assert (pencil in text) == ("REPOSITORY_URL" in os.environ)
    assert 'class="next-page"' in text or 'class="prev-page"' in text
    assert re.search(r'href="(\.\./)+talk/en/', text)


# -- Pages in a browser

LOOKS = [
    (width, scheme) for width in (1280, 390) for scheme in ("light", "dark")
]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_keeps_to_itself(
    open_page, address, name, width, scheme
):
    page = open_page(
        name,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.faults == []
    assert [u for u in page.requests if not u.startswith(address)] == []


def violations(page, part="html"):
    """Return what axe has against a part of the page, a line each."""
    page.add_script_tag(path=AXE_FILE_PATH)
    # To name each node that passes would take most of the time.
    only = {"resultTypes": ["violations"]}
    found = page.evaluate(
        "([part, only]) => axe.run(part, only)", [part, only]
    )
    found = found["violations"]
    return [
        f"{rule['id']}: {node['target']} {node['html'][:120]}"
        for rule in found
        for node in rule["nodes"][:3]
    ]


def test_search_finds_without_a_server(open_page):
    page = open_page("en/search.html?q=epoll", base=f"{SITE.as_uri()}/")
    page.wait_for_selector("#search-results li a")
    hits = page.locator("#search-results li a").all_inner_texts()
    assert any("loop" in hit.lower() or "core" in hit.lower() for hit in hits)


def test_pages_work_from_the_file_system(open_page):
    page = open_page("en/index.html", base=f"{SITE.as_uri()}/")
    page.click(".next-page")
    page.wait_for_url("**/why.html")
    page.locator("h1").wait_for()
    assert page.locator("h1").count() == 1
    assert page.faults == []


def test_the_root_leads_to_the_book(open_page):
    page = open_page("index.html")
    page.wait_for_url("**/en/**")


def build(folder, tags=(), below="", **env):
    """Build a site with two pages in *folder*; return where it lies."""
    source, site = folder / "docs", folder / "site"
    source.mkdir()
    shutil.copy(ROOT / "docs/404.md", source)
    (source / "index.md").write_text("# A front page\n", "utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_URL")}
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-c", ROOT, "-q", "-W", *tags]
        + ["-d", folder / "doctrees", source, site / below],
        env=clean | env,
        check=True,
        timeout=120,
    )
    return site


@pytest.mark.parametrize(
    ("url", "tags", "folder"),
    [
        (None, ["-t", "serve"], ""),  # as `make serve` has it
        (None, [], "en"),
        ("https://example.org/some/where/", [], "en"),
    ],
    ids=["served", "at the root", "below a folder"],
)
def test_a_page_that_is_not_there_is_shown_as_any_other(
    open_page, tmp_path, url, tags, folder
):
    env = {"SITE_URL": url} if url else {}
    site = build(tmp_path, tags, folder, **env)
    if folder:
        shutil.copy(site / folder / "404.html", site)
    with served(site, urlsplit(url or "/").path) as base:
        page = open_page("en/no/such/page.html", base=base)
        page.wait_for_load_state("networkidle")
        assert page.title().startswith("There is no such page")
        _, *parts = page.requests
        assert len(parts) > 5
        assert [u for u in parts if not page.request.get(u).ok] == []
        page.click(".sidebar-brand >> visible=true")
        assert "A front page" in page.locator("h1").inner_text()


def test_copy_leaves_prompts_and_output_out(open_page, address):
    page = open_page("en/greenlet.html")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    session = page.locator(".snippet-session:visible").first
    session.hover()
    session.locator("button.copybtn").click()
    assert page.evaluate("navigator.clipboard.readText()") == "main()"


def test_a_printed_page_has_no_chrome(open_page):
    page = open_page("en/hub.html")
    page.emulate_media(media="print")
    for selector in (".sidebar-drawer", ".toc-drawer", ".copybtn"):
        for part in page.locator(selector).all():
            assert not part.is_visible(), selector


ADDRESSES = [
    r'rel="canonical" href="(.*?)"',
    r'property="og:url" content="(.*?)"',
    r'href="([^"]*)" rel="edit"',
    r"<loc>(.*?)</loc>",
]


def addresses(site):
    """Return what the front page and the sitemap say of where they are."""
    files = [site / "index.html", site / "sitemap.xml"]
    text = "\n".join(f.read_text("utf-8") for f in files if f.exists())
    return [re.findall(pattern, text) for pattern in ADDRESSES]


@pytest.mark.parametrize("tags", [[], ["-t", "serve"]])
def test_who_does_not_know_where_the_site_lives_does_not_say(tmp_path, tags):
    site = build(tmp_path, tags)
    assert addresses(site) == [[], ["index.html"], [], []]


def test_a_site_says_where_it_and_its_source_live(tmp_path):
    at, source = "https://example.org/book/", "https://example.net/source"
    site = build(tmp_path, SITE_URL=at, REPOSITORY_URL=source)
    page = f"{at}en/index.html"
    edit = f"{source}/edit/main/docs/index.md"
    assert addresses(site) == [[page], [page], [edit], [page]]


# -- The deck on its stage


@pytest.fixture(scope="module")
def slides(browser, address):
    """What a walk through the deck at 1280x720 saw, a dict for each slide."""
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    faults, requests, seen = [], [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address + DECK)
    page.wait_for_function("Reveal.isReady()")
    page.add_script_tag(path=AXE_FILE_PATH)
    while True:
        slide = page.evaluate(LOOK)
        if not seen or seen[-1]["at"] != slide["at"]:
            slide["axe"] = [
                f"{rule['id']}: {node['html'][:120]}"
                for rule in page.evaluate(
                    "axe.run('section.present:not(.stack)')"
                )["violations"]
                for node in rule["nodes"][:3]
            ]
            seen.append(slide)
        else:  # a step on the same slide: the worst one counts
            for fault in "outside", "covered":
                seen[-1][fault] += slide[fault]
            for size in "code", "figure":
                seen[-1][size] = min(seen[-1][size], slide[size])
        if page.evaluate("Reveal.isLastSlide()") and not page.evaluate(
            "Reveal.availableFragments().next"
        ):
            break
        page.evaluate("Reveal.next()")
    page.close()
    assert faults == []
    assert [url for url in requests if not url.startswith(address)] == []
    return seen


LOOK = """() => {
  const slide = Reveal.getCurrentSlide();
  const shown = e => e.getClientRects().length && !e.closest("aside.notes");
  const parts = [...slide.querySelectorAll("*")].filter(shown);
  const outside = parts.filter(e => {
    const r = e.getBoundingClientRect();
    return r.left < -1 || r.top < -1 || r.right > 1281 || r.bottom > 721
      || (e.matches("pre") && (e.scrollWidth > e.clientWidth + 1
                           || e.scrollHeight > e.clientHeight + 1));
  }).map(e => e.tagName + " " + e.textContent.trim().slice(0, 40));
  const arrows = [...document.querySelectorAll(".controls button")]
    .filter(shown).map(e => e.getBoundingClientRect());
  const covered = parts.filter(e => {
    const r = e.getBoundingClientRect();
    return arrows.some(a => a.left < r.right && r.left < a.right
                            && a.top < r.bottom && r.top < a.bottom);
  }).map(e => e.tagName);
  const sizes = e => parseFloat(getComputedStyle(e).fontSize);
  const code = parts.filter(e => e.matches("pre, pre *"))
    .filter(e => e.textContent.trim()).map(sizes);
  const svg = parts.filter(e => e.matches("svg text")).map(e =>
    sizes(e) * e.getScreenCTM().a);
  return {
    kind: slide.classList[0],
    at: JSON.stringify(Reveal.getIndices(slide)).replace(/,"f":.*/, ""),
    title: (slide.querySelector("h1, h2, h3") || slide).textContent.trim(),
    outside, covered,
    code: Math.min(99, ...code), figure: Math.min(99, ...svg),
    notes: [...slide.querySelectorAll("aside.notes")].map(
      e => e.textContent.trim()).join(" "),
  };
}"""


def test_the_deck_has_about_thirty_slides_between_its_openings(slides):
    assert 26 <= sum(slide["kind"] == "slide" for slide in slides) <= 34
    assert sum(slide["kind"] == "opening" for slide in slides) == 6


def test_no_slide_overflows_the_stage(slides):
    assert {s["title"]: s["outside"] for s in slides if s["outside"]} == {}


def test_the_arrows_cover_nothing_that_a_slide_shows(slides):
    assert {s["title"]: s["covered"] for s in slides if s["covered"]} == {}


def test_code_can_be_read_in_the_last_row(slides):
    assert {s["title"]: s["code"] for s in slides if s["code"] < 20} == {}


def test_a_figure_can_be_read_in_the_last_row(slides):
    small = {s["title"]: s["figure"] for s in slides if s["figure"] < 18}
    assert small == {}


def test_every_slide_is_accessible(slides):
    assert {s["title"]: s["axe"] for s in slides if s["axe"]} == {}


def test_every_slide_has_notes_that_begin_with_its_minutes(slides):
    without = [
        slide["title"]
        for slide in slides
        if not re.match(r"[\d.]+ min\.", slide["notes"])
    ]
    assert without == []


def test_the_minutes_add_up_to_what_the_title_says(slides):
    total = sum(float(slide["notes"].split()[0]) for slide in slides)
    assert f"The whole talk: {total:g} min." in slides[0]["notes"]


def test_the_deck_works_from_the_file_system(open_page):
    page = open_page(DECK, base=f"{SITE.as_uri()}/")
    page.wait_for_function("Reveal.isReady()")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("!Reveal.isFirstSlide()")
    assert page.faults == []


def test_the_speaker_view_opens(open_page):
    page = open_page(DECK)
    page.wait_for_function("Reveal.isReady()")
    with page.expect_popup() as popup:
        page.keyboard.press("s")
    popup.value.wait_for_selector("text=/min\\./", state="attached")


def test_the_deck_prints_a_page_for_each_slide(browser, slides, tmp_path):
    out = tmp_path / "talk.pdf"
    child = subprocess.run(
        [sys.executable, ROOT / "talk/print.py"] + [SITE / DECK, out],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    pages = len(re.findall(rb"/Type\s*/Page\b", out.read_bytes()))
    played = re.findall(
        r'data-pages="(.*?)"', (SITE / DECK).read_text("utf-8")
    )
    more = sum(steps.count(",") for steps in played)  # a run has several
    assert pages == len(slides) + more
