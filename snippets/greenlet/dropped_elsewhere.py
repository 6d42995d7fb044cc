"""What another thread lets go is ended by its own.

>>> main()
dropped
GreenletExit came
in its own thread: True
"""

from threading import Thread, get_ident

from greenlet import GreenletExit, getcurrent, greenlet

ended_in = []


def task():
    try:
        getcurrent().parent.switch()
    except GreenletExit:
        print("GreenletExit came")
        ended_in.append(get_ident())


def main():
    held = [greenlet(task)]
    held[0].switch()
    thread = Thread(target=held.clear)
    thread.start()
    thread.join()
    print("dropped")
    getcurrent()  # or any other call of greenlet's
    print("in its own thread:", ended_in == [get_ident()])
