"""A greenlet runs only in the thread of its parents.

>>> main()
Cannot switch to a different thread
"""

from threading import Thread

from greenlet import error, greenlet


def intrude(gr):
    try:
        gr.switch("never printed")
    except error as refusal:
        # The lines after the first name the two threads.
        print(str(refusal).splitlines()[0])


def main():
    gr = greenlet(print)
    thread = Thread(target=intrude, args=[gr])
    thread.start()
    thread.join()
