"""A tracer is told of every switch, when it has been made.

>>> main()
switch from main to task
switch from task to main
throw from main to task
switch from task to main
"""

from greenlet import getcurrent, greenlet, settrace


def task():
    getcurrent().parent.switch()


def main():
    gr = greenlet(task)
    names = {getcurrent(): "main", gr: "task"}

    def note(event, pair):
        origin, target = pair
        print(event, "from", names[origin], "to", names[target])

    settrace(note)
    gr.switch()
    gr.throw()
    settrace(None)
