"""The system lets a thread in while another is busy.

>>> main()
someone got in
"""

from threading import Thread

turns = 0
got_in = []


def intrude():
    while not turns:
        pass  # until main is busy
    got_in.append("someone")


def main():
    global turns
    Thread(target=intrude).start()
    while not got_in:
        turns += 1  # waits for nothing
    print(got_in[0], "got in")
