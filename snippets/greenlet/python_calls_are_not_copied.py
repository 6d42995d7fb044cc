"""Plain calls in Python add nothing to what a switch must copy.

>>> main()
plain calls add bytes: False
calls through C add bytes: True
"""

from greenlet import getcurrent, greenlet


def in_python(n):
    if n:
        in_python(n - 1)
    else:
        getcurrent().parent.switch()


def through_c(n):
    if n:
        max([n - 1], key=through_c)
    else:
        getcurrent().parent.switch()


def saved(descend, n):
    gr = greenlet(descend)
    gr.switch(n)
    return gr._stack_saved


def main():
    more = saved(in_python, 101) > saved(in_python, 1)
    print("plain calls add bytes:", more)
    more = saved(through_c, 101) > saved(through_c, 1)
    print("calls through C add bytes:", more)
