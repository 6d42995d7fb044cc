"""A switch to a dead greenlet goes on in its parent.

>>> main()
ran once
dead: True
hello
"""

from greenlet import greenlet


def main():
    gr = greenlet(print)
    gr.switch("ran once")
    print("dead:", gr.dead)
    # The parent is main, so what we send comes back to us.
    print(gr.switch("hello"))
