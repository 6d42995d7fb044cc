"""Parents make a tree, and the main greenlet is its root.

>>> main()
child
mother
main
"""

from greenlet import getcurrent, greenlet

names = {}


def be_child():
    gr = getcurrent()
    while gr is not None:
        print(names[gr])
        gr = gr.parent


def be_mother():
    child = greenlet(be_child)  # its parent: who made it
    names[child] = "child"
    child.switch()


def main():
    mother = greenlet(be_mother)
    names[mother] = "mother"
    names[getcurrent()] = "main"
    mother.switch()
