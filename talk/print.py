"""Print the deck to PDF, a page for each slide: print.py DECK.html OUT.pdf."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_browser():
    """Return the path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def print_deck(deck, out):
    """Write the deck at the path *deck* to the PDF file *out*."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=QUIET
        )
        page = browser.new_page()
        page.goto(f"{Path(deck).resolve().as_uri()}?print-pdf")
        page.wait_for_selector(".pdf-page")
        page.wait_for_function("Reveal.isReady()")
        page.pdf(path=out, prefer_css_page_size=True, print_background=True)
        browser.close()


if __name__ == "__main__":
    if find_browser() is None:
        sys.exit(f"print.py: none of {', '.join(BROWSERS)} is installed")
    print_deck(*sys.argv[1:])
    print(sys.argv[2])
