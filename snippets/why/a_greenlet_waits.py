"""A greenlet gets in only where the running one switches.

>>> main()
after a million turns: []
after one switch: ['someone']
"""

from greenlet import greenlet

got_in = []


def main():
    gr = greenlet(got_in.append)
    for _ in range(1_000_000):
        pass  # as long as we like: nobody interrupts
    print("after a million turns:", got_in)
    gr.switch("someone")
    print("after one switch:", got_in)
