"""Each greenlet has context variables of its own.

>>> main()
task sees nobody
task sees Bob
main sees Ada
"""

from contextvars import ContextVar

from greenlet import greenlet

user = ContextVar("user", default="nobody")


def task():
    print("task sees", user.get())
    user.set("Bob")
    print("task sees", user.get())


def main():
    user.set("Ada")
    greenlet(task).switch()
    print("main sees", user.get())
