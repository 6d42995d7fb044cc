"""First arguments start the function, later ones answer.

>>> main()
started with 1 2
then got 3
then got (4, 5)
then got ()
"""

from greenlet import getcurrent, greenlet


def task(a, b):
    main_gr = getcurrent().parent
    print("started with", a, b)
    while True:
        print("then got", main_gr.switch())


def main():
    gr = greenlet(task)
    gr.switch(1, 2)
    gr.switch(3)
    gr.switch(4, 5)
    gr.switch()
