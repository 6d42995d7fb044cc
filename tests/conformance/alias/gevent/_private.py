"""What gevent's test support calls of gevent's inside."""

import gc

from zope.interface import classImplements

from evening import core, greenlet, hub


def set_default_hub_class(kind):
    """Let the hubs that will be made be of *kind*."""
    hub.Hub = kind


def get_hub_class():
    """Return the class of the hubs that will be made."""
    return hub.Hub


def get_hub_if_exists():
    """Return this thread's hub, None where nobody has asked for it."""
    return hub.main_greenlet().__dict__.get("hub")


def set_hub(one):
    """Make *one* this thread's hub."""
    hub.main_greenlet().__dict__["hub"] = one


def set_loop(one):
    """Make *one* the loop of this thread's next hub."""
    hub.main_greenlet().__dict__["loop"] = one


def normalize_exception(_hub, kind, value, tb):
    """Return the three of them, *value* an instance."""
    value = greenlet.exception(kind, value, tb)
    return type(value), value, tb


def get_reachable_greenlets():
    """Return all greenlets that the collector knows."""
    return [
        one for one in gc.get_objects() if isinstance(one, greenlet.greenlet)
    ]


def provide():
    """Put them where gevent has them, unless evening has its own."""
    names = {
        hub: {
            "set_default_hub_class": set_default_hub_class,
            "get_hub_class": get_hub_class,
            "get_hub_if_exists": get_hub_if_exists,
            "set_hub": set_hub,
            "set_loop": set_loop,
            "get_hub_noargs": hub.get_hub,
            "_get_hub_noargs": hub.get_hub,
            "_get_hub": get_hub_if_exists,
        },
        hub.Hub: {"_normalize_exception": normalize_exception},
        hub.Timeout: {"_start_new_or_dummy": hub.Timeout.start_new},
        core: {"callback": core.Callback},
    }
    for place, values in names.items():
        for name, value in values.items():
            if not hasattr(place, name):
                setattr(place, name, value)


def declare():
    """Say which of gevent's interfaces ours mean to provide.

    gevent's classes say it themselves; the tests look whether it is true.
    """
    from gevent._interfaces import ICallback, ILoop

    classImplements(core.Loop, ILoop)
    classImplements(core.Callback, ICallback)
