"""What tests share: the libraries of the contract, the site's browser."""

import contextlib
import functools
import importlib
import os
import runpy
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build/site"
# The site's folder on its server, as conf.py has it.
PREFIX = urlsplit(os.environ.get("SITE_URL", "https://x/")).path


def pytest_addoption(parser):
    parser.addoption(
        "--impl",
        action="append",
        metavar="PACKAGE",
        help="run the contract on this package (again for more); "
        "by default gevent and evening",
    )


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--impl") or ["gevent", "evening"]
    if "impl" in metafunc.fixturenames:
        metafunc.parametrize("impl", chosen, indirect=True)
    if "lib" in metafunc.fixturenames:
        twin = ["thread"] if "evening" in chosen else []
        libs = [marked(name, metafunc) for name in chosen + twin]
        metafunc.parametrize("lib", libs, indirect=True)


@pytest.fixture
def impl(request):
    """A package under gevent's API: its names, and its layers as modules."""
    package = importlib.import_module(request.param)
    names = {name: getattr(package, name) for name in package.__all__}
    layers = {
        layer: importlib.import_module(f"{request.param}.{layer}")
        for layer in ("core", "event", "hub", "socket")
    }
    layers["errors"] = (  # gevent has a module for what our hub defines
        importlib.import_module("gevent.exceptions")
        if request.param == "gevent"
        else layers["hub"]
    )
    return SimpleNamespace(**names | layers, name=request.param)


@pytest.fixture
def lib(request):
    """A package's layer 1; ``thread`` is evening's twin of threads."""
    return layer_1(request.param)


def layer_1(name):
    """Return what a package's layer 1 offers; ``engine`` says how."""
    if name == "gevent":  # gevent's layer 1 is a package of its own
        package = vars(importlib.import_module("greenlet"))
        return SimpleNamespace(**package | {"engine": "greenlet"})
    if name != "thread":
        return importlib.import_module(f"{name}.greenlet")
    module = importlib.import_module("evening.greenlet")
    return SimpleNamespace(
        greenlet=module.ThreadGreenlet,
        getcurrent=module.current_thread_greenlet,
        settrace=module.no_tracer,
        gettrace=module.no_tracer,
        GreenletExit=module.GreenletExit,
        error=module.error,
        engine="thread",
    )


def marked(name, metafunc):
    """Return layer 1's *name*; where its engine can't pass, it must fail.

    A test module lists what an engine does not hold in ``NOT_HELD``.
    """
    not_held = getattr(metafunc.module, "NOT_HELD", {})
    reasons = not_held.get(layer_1(name).engine, {})
    return pytest.param(
        name,
        marks=[
            pytest.mark.xfail(reason=reason, strict=True)
            for reason, tests in reasons.items()
            if metafunc.function.__name__ in tests
        ],
    )


def need(present, what):
    """Skip the test where *what* is missing; in CI that is a failure."""
    if not present:
        if os.environ.get("CI"):
            pytest.fail(f"{what} is missing, and CI must have it")
        pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def browser():
    printer = runpy.run_path(str(ROOT / "talk/print.py"))
    path = printer["find_browser"]()
    need(path, "Chromium")
    with printer["sync_playwright"]() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=printer["QUIET"]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def served(folder, root):
    """Serve *folder* below *root*, with its 404 page; yield the address."""

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path):
            return super().translate_path(path.removeprefix(root[:-1]))

        def send_error(self, code, *_):
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((folder / "404.html").read_bytes())

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{root}"
        server.shutdown()


@pytest.fixture(scope="module")
def address():
    """The site's address on a server of this process, on loopback."""
    with served(SITE, PREFIX) as base:
        yield base


@pytest.fixture
def open_page(browser, address):
    """A function that opens a page and notes its requests and errors."""
    contexts = []

    def open_(path, base=address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.requests, page.faults = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on(
            "console",
            lambda message: (
                message.type == "error" and page.faults.append(message.text)
            ),
        )
        page.goto(base + path)
        return page

    yield open_
    for context in contexts:
        context.close()
