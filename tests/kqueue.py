"""kqueue's rules, kept by epoll, for a system that has no kqueue.

``add_to(select)`` gives that module what macOS has in it.  Each filter is an
epoll of its own, since a descriptor stands once in each list of kqueue's, and
a third epoll sleeps on all of them.
"""

import select
from typing import NamedTuple

READ, WRITE = -1, -2
ADD, DELETE, CLEAR, EOF = 0x1, 0x2, 0x20, 0x8000
GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
WANTED = {READ: select.EPOLLIN | select.EPOLLRDHUP, WRITE: select.EPOLLOUT}


class kevent(NamedTuple):
    """A change that is asked for, or an event that came."""

    ident: int
    filter: int
    flags: int


class kqueue:
    """A list of what to report, by descriptor and filter."""

    def __init__(self):
        self.sleeper = select.epoll()
        self.lists = {one: select.epoll() for one in WANTED}
        for one in self.lists.values():
            self.sleeper.register(one.fileno(), select.EPOLLIN)

    def control(self, changes, most, timeout=None):
        """Make all changes, then return at most so many events."""
        for change in changes or ():
            self.change(change)
        if not most:
            return []
        self.sleeper.poll(timeout)
        return [
            kevent(fd, name, EOF if mask & GONE else 0)
            for name, one in self.lists.items()
            for fd, mask in one.poll(0)
        ][:most]

    def change(self, change):
        """Add, or take out: ENOENT where it is not in the list."""
        fd, name, flags = change
        one = self.lists[name]
        if flags & DELETE:
            one.unregister(fd)
            return
        mask = WANTED[name] | (select.EPOLLET if flags & CLEAR else 0)
        try:
            one.register(fd, mask)
        except FileExistsError:
            one.modify(fd, mask)

    def close(self):
        """Give all descriptors back."""
        for one in (self.sleeper, *self.lists.values()):
            one.close()


def add_to(module):
    """Give *module* the names that macOS has in select."""
    names = {
        "kqueue": kqueue,
        "kevent": kevent,
        "KQ_FILTER_READ": READ,
        "KQ_FILTER_WRITE": WRITE,
        "KQ_EV_ADD": ADD,
        "KQ_EV_DELETE": DELETE,
        "KQ_EV_CLEAR": CLEAR,
        "KQ_EV_EOF": EOF,
    }
    for name, value in names.items():
        setattr(module, name, value)
