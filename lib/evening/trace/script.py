"""Run a script, or the session of its docstring, and record the run."""

import ast
import contextlib
import doctest
import importlib
import io
import os
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from . import on_evening, on_gevent
from .greenlets import traced
from .recorder import Out, Recorder
from .source import Source
from .stand_in import stand_in

LIBRARIES = ("gevent", "evening")


def record_here(
    script: str,
    library: str,
    session: bool = False,
    slices: bool = False,
    args: Sequence[str] = (),
    tee: TextIO | None = None,
) -> tuple[dict[str, Any], BaseException | None]:
    """Record a run in this process; return it, and what ended it if any.

    The process is the script's from then on: its modules and arguments stay.
    *tee* gets what the script prints, too.  Raise ImportError or
    NotImplementedError where the library is not there, or can't be watched.
    """
    source = Source(script)
    if library == "evening":
        stand_in("evening")
    recorder = watching(source, slices)
    out = Out(recorder, tee)
    stdout = io.TextIOWrapper(out, "utf-8", write_through=True)  # type: ignore[type-var]
    run, ended = run_session if session else run_script, None
    with telling(recorder, library), contextlib.redirect_stdout(stdout):
        try:
            run(source, args)
        except BaseException as error:
            ended = error
        out.end()
    return recorder.run(), ended


def watching(source: Source, slices: bool) -> Recorder:
    """Return a recorder of what the library under gevent's names will do."""
    layer = importlib.import_module("greenlet")
    try:
        hub = importlib.import_module("gevent.hub").Hub
    except ModuleNotFoundError as error:
        if error.name != "gevent":
            raise
        cure = "install gevent, or record on evening with --library evening"
        raise ImportError(f"it is not there: {cure}") from None
    layer.gettrace()  # does the engine tell of switches?
    if slices and not hasattr(layer.greenlet, "_stack_start"):
        raise ImportError("slices are told by evening's own engine alone")
    return Recorder(source, layer, hub, slices)


@contextlib.contextmanager
def telling(recorder: Recorder, library: str) -> Iterator[None]:
    """Have *library* tell *recorder* what it does, till the block is left."""
    layer = recorder.layer
    with contextlib.ExitStack() as stack:

        def hold(owner: Any, name: str, new: Any) -> None:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, new)

        hold(layer, "greenlet", traced(layer.greenlet, recorder))
        tell = (on_gevent if library == "gevent" else on_evening).tell
        tell(recorder, hold)
        stack.callback(layer.settrace, layer.gettrace())
        layer.settrace(recorder.switched)
        yield


def run_script(source: Source, args: Sequence[str]) -> None:
    """Run the script as Python would, with *args*."""
    module = types.ModuleType("__main__")
    module.__file__ = source.path
    sys.modules["__main__"] = module
    sys.argv = [source.path, *args]
    sys.path[0] = os.path.dirname(os.path.abspath(source.path))
    exec(compile(source.tree, source.path, "exec"), vars(module))


def run_session(source: Source, args: Sequence[str] = ()) -> None:
    """Run the examples of the docstring, where they stand in the file."""
    name = os.path.splitext(os.path.basename(source.path))[0]
    module = types.ModuleType(name)
    module.__file__ = source.path
    exec(compile(source.tree, source.path, "exec"), vars(module))
    for example, raises in examples(source):
        code = compile(example, source.path, "single")
        try:
            exec(code, vars(module))
        except Exception as error:
            if not raises:
                raise
            *_, last = traceback.format_exception_only(error)
            print("Traceback (most recent call last):", "    ...", sep="\n")
            print(last, end="")


def examples(source: Source) -> Iterator[tuple[ast.Interactive, bool]]:
    """Yield each example of the session, and whether it is to raise.

    Raise ValueError where there is none.
    """
    docstring = ast.get_docstring(source.tree, clean=False) or ""
    found = doctest.DocTestParser().get_examples(docstring, source.path)
    if not found:
        raise ValueError(f"{source.path}: its docstring has no session")
    first = source.tree.body[0].lineno
    for example in found:
        tree = ast.parse(example.source, source.path, "single")
        ast.increment_lineno(tree, first + example.lineno - 1)
        source.add(tree)
        yield tree, example.exc_msg is not None
