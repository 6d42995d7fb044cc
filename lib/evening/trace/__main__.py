"""The command ``python -m evening.trace``."""

import argparse
import sys
import traceback
from pathlib import Path

from . import dumps
from .script import LIBRARIES, record_here


def main() -> int:
    """Record as the command line says; return the exit status."""
    wish = parser().parse_args()
    run, ended = record_here(
        wish.script, wish.library, wish.session, wish.slices, wish.args
    )
    trace = {"snippet": Path(wish.script).stem, "runs": {wish.library: run}}
    sys.stdout.write(dumps(trace))
    if ended is not None:
        traceback.print_exception(ended)
    return int(ended is not None)


def parser():
    parser = argparse.ArgumentParser(prog="python -m evening.trace")
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    parser.add_argument("--library", choices=LIBRARIES, default="gevent")
    parser.add_argument("--json")
    parser.add_argument("--session", action="store_true")
    parser.add_argument("--slices", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
