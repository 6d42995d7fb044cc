"""gr_context gives a greenlet context variables to begin with.

>>> main()
without: nobody
with a copy: Ada
"""

from contextvars import ContextVar, copy_context

from greenlet import greenlet

user = ContextVar("user", default="nobody")


def main():
    user.set("Ada")
    gr = greenlet(user.get)
    print("without:", gr.switch())
    gr = greenlet(user.get)
    gr.gr_context = copy_context()
    print("with a copy:", gr.switch())
