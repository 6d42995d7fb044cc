"""Keep what a bench measured, under a key: what changes when figures would.

Each bench has a file in build/bench/, so that all pages of one build show
the same run.  It is found only under the key with which it was kept.
"""

import hashlib
import json
import platform
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build/bench"


def key(sources, *about):
    """Return the key of figures that come from these *sources*.

    They depend on the machine and on the engine, too, and on what a bench
    says that they are *about*.
    """
    parts = [path.read_bytes() for path in sources]
    engine = find_spec("evening._slice")
    if engine:
        parts.append(Path(engine.origin).read_bytes())
    words = [sys.version, platform.node(), version("greenlet"), *about]
    parts += [word.encode() for word in words]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def found(path, key):
    """Return the figures in *path* if *key* is theirs, or None."""
    if path.exists():
        file = json.loads(path.read_text("utf-8"))
        if file["key"] == key:
            return file["figures"]
    return None


def keep(path, key, figures):
    """Put the figures into *path*, where the book finds them; return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"key": key, "figures": figures}, indent=1)
    path.write_text(text, "utf-8")
    return figures


def answered(arguments, path, key, measure, add=lambda figures: figures):
    """Print as JSON what the book draws; return whether it was asked for.

    ``--found`` asks for what is kept, or null; with ``--kept`` we *measure*
    where nothing is.  What holds today alone is not kept: *add* adds it.
    """
    if not {"--found", "--kept"} & {*arguments}:
        return False
    figures = found(path, key)
    if figures is None and "--kept" in arguments:
        figures = keep(path, key, measure())
    json.dump(figures and add(figures), sys.stdout)
    return True
