"""The doctest builder: it runs each session that a page shows.

A snippet may be shown in many places; it is run once on each library, all
beside each other, and what differs is told once.
"""

import textwrap
from importlib.metadata import version
from pathlib import Path

from sphinx.ext.doctest import DocTestBuilder

from evening.greenlet import engine
from golden import check_trace, start_trace
from run_snippet import check, left_out, libraries, start
from snippet import traced, used


class Sessions(DocTestBuilder):
    """Sphinx's builder, which passes on what our checks report."""

    def init(self):
        """Begin with nothing told."""
        super().init()
        self.told = set()

    def _warn_out(self, text):
        """Tell what a check returned, without the call that asked for it."""
        _, _, returned = text.partition("\nGot:\n")
        report = textwrap.dedent(returned) or text
        if report not in self.told:
            self.told.add(report)
            super()._warn_out(report)


def start_runs(app):
    """Start all runs at once; the builder asks for one by one."""
    if app.builder.name == "doctest":
        for name in used(app.srcdir):
            for library in libraries(name):
                start(name, library)
        for name in traced(app.srcdir):
            start_trace(name)


def count_runs(app, exception):
    """Say how many snippets were run, on what, and how many runs failed."""
    if app.builder.name == "doctest" and exception is None:
        names, traces = used(app.srcdir), traced(app.srcdir)
        asked = [(name, one) for name in names for one in libraries(name)]
        runs = [check(*run) for run in asked if not left_out(*run)]
        less = len(asked) - len(runs)
        records = [check_trace(name) for name in traces]
        print(
            f"{Path(app.srcdir).name}: {len(names)} snippets, "
            f"{len(runs)} runs and {len(records)} golden traces on gevent "
            f"{version('gevent')} and evening {version('evening')}, "
            f"whose layer 1 is the engine {engine!r}"
            + f"; {less} left out, for want of evening's own"
            * bool(less)
        )
        for what, reports in ("runs", runs), ("golden traces", records):
            if any(reports):
                failed = sum(map(bool, reports))
                print(f"{failed} of {len(reports)} {what} failed")


def setup(app):
    """Put our builder in the place of Sphinx's."""
    app.add_builder(Sessions, override=True)
    # Last of all: sphinx-sitemap forks here, and what is forked beside a
    # running Popen holds its pipe open, so that it never returns.
    app.connect("builder-inited", start_runs, priority=900)
    app.connect("build-finished", count_runs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
