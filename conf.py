"""One Sphinx configuration for the book (docs/) and the deck (talk/).

book: sphinx-build -c . -b html docs build/site/en
deck: sphinx-build -c . -t deck -b revealjs talk build/site/talk/en
"""

import hashlib
import io
import os
import sys
import tomllib
from contextlib import redirect_stdout
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent
PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "project"
]
DECK = tags.has("deck")  # noqa: F821
SERVE = tags.has("serve")  # noqa: F821

# Where the site and its source live; the publishing workflow sets both.
# Without them no page claims an address, and none can be edited.
SITE_URL = os.environ.get("SITE_URL", "")
REPOSITORY_URL = os.environ.get("REPOSITORY_URL", "")

EXT = ROOT / "docs/_ext"
sys.path.insert(0, str(EXT))
sys.path.insert(0, str(ROOT / "lib"))

project = "An Evening with gevent"
author = "The authors of An Evening with gevent"
copyright = "2026, the authors, MIT licence"
version = release = PACKAGE["version"]
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.doctest",
    "snippet",
    "sessions",
    "piece",
    "drawing",
    "journey",
    "cost",
    "memory",
    "timeline",
    "player",
    "step",
    "bench",
    "conformance",
    "scenarios",
    "length",
]
exclude_patterns = ["locale", "_*"]
nitpicky = True
pygments_style = "evening_style.Evening"
pygments_dark_style = "evening_style.EveningDark"

myst_enable_extensions = [
    "attrs_block",
    "attrs_inline",
    "colon_fence",
    "deflist",
]
myst_heading_anchors = 3

locale_dirs = ["locale"]  # relative to the source folder, not to this file
gettext_compact = False
gettext_uuid = False
figure_language_filename = "{root}.{language}{ext}"

doctest_global_setup = """\
from golden import check_trace
from run_snippet import check
"""
trim_doctest_flags = False

# The reserved addresses: /en/ now, /zh-cn/ for the Chinese edition.
EDITION = "en"

if DECK:
    exclude_patterns += ["greenlet.md", "core.md", "hub.md", "socket.md"]
    # absolute, as gettext would look for it in the source folder;
    # not shared with the book, which has a page.html too
    templates_path = [str(ROOT / "talk/_templates")]
    extensions += ["sphinx_revealjs", "deck"]
    pygments_style = pygments_dark_style
    html_favicon = "docs/_static/favicon.svg"
    revealjs_html_theme = "revealjs-simple"
    revealjs_style_theme = "deck.css"
    revealjs_static_path = ["docs/_static", "talk/_static"]
    revealjs_css_files = ["identity.css", "pygments.css", "player.css"]
    revealjs_script_files = ["player.js"]
    revealjs_use_section_ids = True
    revealjs_script_conf = {
        "width": 1280,
        "height": 720,
        "margin": 0,
        "hash": True,
        "controls": True,
        "progress": True,
        "slideNumber": "c/t",
        "center": False,
        "navigationMode": "linear",
        "transition": "none",
        "pdfSeparateFragments": False,
    }
    revealjs_script_plugins = [
        {"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"},
        {"name": "Steps", "src": "deck.js"},
    ]
else:
    templates_path = [str(ROOT / "docs/_templates")]
    extensions += [
        "notfound.extension",
        "sphinx_copybutton",
        "sphinxext.opengraph",
    ]
    if SITE_URL:  # a sitemap's addresses are absolute
        extensions.append("sphinx_sitemap")
    with redirect_stdout(io.StringIO()):  # it regrets that it can't draw cards
        import sphinxext.opengraph  # noqa: F401
    html_theme = "furo"
    html_title = project
    html_baseurl = ogp_site_url = SITE_URL and f"{SITE_URL}{EDITION}/"
    html_favicon = "docs/_static/favicon.svg"
    html_static_path = ["docs/_static"]
    html_css_files = ["identity.css", "book.css"]
    html_js_files = [("book.js", {"defer": "defer"})]
    html_sidebars = {
        "**": [
            "sidebar/brand.html",
            "sidebar/editions.html",
            "sidebar/search.html",
            "sidebar/scroll-start.html",
            "sidebar/navigation.html",
            "sidebar/scroll-end.html",
        ]
    }
    html_use_index = False
    html_copy_source = html_show_sourcelink = False
    if REPOSITORY_URL:
        html_theme_options = {
            "source_edit_link": f"{REPOSITORY_URL}/edit/main/docs/{{filename}}"
        }
    html_context = {"deck": "talk/" if SERVE else f"../talk/{EDITION}/"}
    copybutton_prompt_text = r">>> |\.\.\. |\$ "
    copybutton_prompt_is_regexp = True
    # The 404 page is shown at any depth: its links begin at the root.
    notfound_urls_prefix = (
        "/" if SERVE else f"{urlsplit(SITE_URL).path or '/'}{EDITION}/"
    )
    ogp_social_cards = {"enable": False}
    sitemap_url_scheme = "{link}"
    sitemap_excludes = ["404.html", "search.html"]


def setup(app):
    """Read all pages anew when a directive or a shown package has changed."""
    parts = [path.read_bytes() for path in sorted(EXT.glob("*.py"))]
    parts += [
        metadata.version(name).encode() for name in ("greenlet", "gevent")
    ]
    made_by = hashlib.sha256(b"".join(parts)).hexdigest()
    app.add_config_value("pages_made_by", made_by, "env")
