"""Stands in for greenlet's compiled module: the hooks that its suite calls."""

import ctypes
import gc
import sys

from . import greenlet

CLOCKS_PER_SEC = 1_000_000


def get_pending_cleanup_count():
    """Return how many dead threads wait for their cleanup: none ever does."""
    return 0


def get_total_main_greenlets():
    """Return how many threads have a greenlet."""
    return sum(
        issubclass(type(one), greenlet) and one.parent is None
        for one in gc.get_objects()
    )


def enable_optional_cleanup(_enabled):
    """Do nothing: ours has no cleanup that is optional."""


def get_clocks_used_doing_optional_cleanup():
    """Return 0, never None: the suite then checks as if it had cleaned up."""
    return 0


def set_thread_local(key, value):
    """Put *value* into the dictionary that dies with the thread."""
    address = ctypes.pythonapi.PyThreadState_GetDict
    address.restype = ctypes.c_void_p
    ctypes.cast(address(), ctypes.py_object).value[key] = value


# Where PyThreadState keeps the depth of the trash can, up to Python 3.12.
TRASH_DELETE_NESTING = {(3, 11): 168, (3, 12): 152}.get(sys.version_info[:2])

if TRASH_DELETE_NESTING:

    def get_tstate_trash_delete_nesting():
        """Return how deep this thread is in deallocating."""
        address = ctypes.pythonapi.PyThreadState_Get
        address.restype = ctypes.c_void_p
        return ctypes.c_int.from_address(
            address() + TRASH_DELETE_NESTING
        ).value
