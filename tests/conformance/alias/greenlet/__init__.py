"""What ``import greenlet`` gives while greenlet's suite runs: evening's.

Whoever imports it is told at once when another engine than the one that was
asked for would run: what is tested must be what is named.
"""

import os
import sys
from importlib.metadata import distribution, version
from types import ModuleType

from evening.greenlet import (
    GreenletExit,
    engine,
    error,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)

__all__ = [
    "GreenletExit",
    "error",
    "getcurrent",
    "gettrace",
    "greenlet",
    "settrace",
]

asked = os.environ.get("EVENING_ENGINE")
if engine != asked:
    raise ImportError(f"the engine is {engine!r}, and {asked!r} was asked for")

# The suite looks at these on the way in.
__version__ = version("greenlet")
GREENLET_USE_GC = True

# greenlet.tests is the installed one; what lies beside us comes first.
__path__.append(str(distribution("greenlet").locate_file("greenlet")))

# Its compiled parts are bound to greenlet's own C functions.  Empty ones let
# the tests around them begin, and fail one by one.
for part in ("_test_extension", "_test_extension_cpp"):
    sys.modules[f"greenlet.tests.{part}"] = ModuleType(part)
