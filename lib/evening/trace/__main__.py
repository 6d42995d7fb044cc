"""The command ``python -m evening.trace``."""

import argparse
import json
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from . import dumps
from .chrome import chrome
from .script import LIBRARIES, record_here
from .timeline import timeline

ABOUT = "Run a script that uses gevent or greenlet, and show what happened."
HELP = {
    "script": "the script to run",
    "args": "its own arguments",
    "library": "the library to run it on, by default gevent",
    "session": "run the session of the script's docstring, not the script",
    "slices": "say at each switch where all stacks lie (evening's own engine)",
    "json": "write the trace to FILE, or with - to standard output",
    "chrome": "write it for Perfetto, in Chrome's trace-event format",
}


def main() -> int:
    """Do what the command line says; return the exit status."""
    wish = command_line()
    files = {wish.json, wish.chrome} - {None}
    try:
        run, ended = record_here(
            wish.script,
            wish.library,
            wish.session,
            wish.slices,
            wish.args,
            tee=sys.stdout if files and "-" not in files else None,
        )
    except OSError as error:
        refuse(f"{wish.script}: {error.strerror}")
    except SyntaxError as error:
        refuse(f"{error}")
    except (ImportError, NotImplementedError) as error:
        refuse(f"{wish.library} can't be recorded: {error}")
    write(run, wish)
    return status(ended, wish.script)


def command_line():
    """Return what the user asks for."""
    parser = argparse.ArgumentParser("python -m evening.trace", None, ABOUT)
    add = parser.add_argument
    add("script", help=HELP["script"])
    add("args", nargs=argparse.REMAINDER, help=HELP["args"])
    add(
        "--library",
        choices=LIBRARIES,
        default="gevent",
        help=HELP["library"],
    )
    for name in "session", "slices":
        add(f"--{name}", action="store_true", help=HELP[name])
    for name in "json", "chrome":
        add(f"--{name}", metavar="FILE", help=HELP[name])
    return parser.parse_args()


def refuse(why: str) -> NoReturn:
    """Say why it can't be done, and exit."""
    sys.exit(f"evening.trace: {why}")


def write(run: dict[str, Any], wish: argparse.Namespace) -> None:
    """Write *run* to the files of the *wish*; without one, print it."""
    name = Path(wish.script).stem
    if wish.json:
        put(wish.json, dumps({"snippet": name, "runs": {wish.library: run}}))
    if wish.chrome:
        put(wish.chrome, json.dumps(chrome(run, name)))
    if not (wish.json or wish.chrome):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end as `head` does
        print(*timeline(run), sep="\n")


def put(path: str, text: str) -> None:
    """Write *text* to the file at *path*."""
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, "utf-8")
    except OSError as error:
        refuse(f"{path}: {error.strerror}")


def status(ended: BaseException | None, script: str) -> int:
    """Return the exit status; show what ended the script, if it failed."""
    if ended is None:
        return 0
    if isinstance(ended, SystemExit):
        raise ended
    sys.stdout.flush()
    tb = since(ended.__traceback__, script)
    traceback.print_exception(ended.with_traceback(tb))
    return 130 if isinstance(ended, KeyboardInterrupt) else 1


def since(tb: TracebackType | None, script: str) -> TracebackType | None:
    """Return the traceback from the script's first frame on."""
    while tb is not None and tb.tb_frame.f_code.co_filename != script:
        tb = tb.tb_next
    return tb


if __name__ == "__main__":
    sys.exit(main())
