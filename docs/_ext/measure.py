"""Measure what the book draws, where nobody has: beside ``make serve``.

    python docs/_ext/measure.py

The pages are there at once, and a chart comes as soon as its figures do.
Other builds that show charts measure while they read the page that needs one.
"""

import signal
import subprocess
import sys

from cost import ROOT

SCRIPTS = (
    "bench/cost.py",
    "bench/greenlet.py",
    "conformance/greenlet.py",
    "conformance/gevent.py",
    "bench/ladder.py",
    "bench/loop.py",
)


def run(script):
    """Have a script of tests/ measure and keep what it does not have yet."""
    words = [sys.executable, ROOT / "tests" / script, "--kept"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as child:
        try:
            child.wait()
        finally:
            child.terminate()  # where we are told to end, it ends its servers


def main():
    """Measure all, one after the other."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for script in SCRIPTS:
        run(script)


if __name__ == "__main__":
    main()
