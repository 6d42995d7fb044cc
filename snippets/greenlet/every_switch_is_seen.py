"""A tracer is told of every switch, when it has been made.

>>> main()
switch main -> task
switch task -> main
throw main -> task
switch task -> main
"""

from greenlet import getcurrent, greenlet, settrace


def task():
    getcurrent().parent.switch()


def main():
    gr = greenlet(task)
    names = {getcurrent(): "main", gr: "task"}

    def note(event, pair):
        origin, target = pair
        print(event, names[origin], "->", names[target])

    settrace(note)
    gr.switch()
    gr.throw()
    settrace(None)
