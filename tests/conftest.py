"""What the contract tests share: the libraries that must pass them."""

import importlib
import os
from types import SimpleNamespace

import pytest


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
        metafunc.parametrize("lib", chosen + twin, indirect=True)


@pytest.fixture
def impl(request):
    """A package under gevent's API: its names, and its layers as modules."""
    package = importlib.import_module(request.param)
    names = {name: getattr(package, name) for name in package.__all__}
    layers = {
        layer: importlib.import_module(f"{request.param}.{layer}")
        for layer in ("core", "hub", "socket")
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
    if request.param == "thread":
        module = importlib.import_module("evening.greenlet")
        return SimpleNamespace(
            greenlet=module.ThreadGreenlet,
            getcurrent=module.current_thread_greenlet,
            GreenletExit=module.GreenletExit,
            error=module.error,
            name="thread",
        )
    if request.param == "gevent":  # gevent's layer 1 is a package of its own
        return importlib.import_module("greenlet")
    return importlib.import_module(f"{request.param}.greenlet")


def need(present, what):
    """Skip the test where *what* is missing; in CI that is a failure."""
    if not present:
        if os.environ.get("CI"):
            pytest.fail(f"{what} is missing, and CI must have it")
        pytest.skip(f"{what} is missing")
