"""With a greenlet, two questions take one function.

>>> main()
name?
town?
Ada lives in London
"""

from greenlet import getcurrent, greenlet


def ask(question):
    print(question)
    return getcurrent().parent.switch()


def greet():
    name = ask("name?")
    town = ask("town?")
    print(name, "lives in", town)


def main():
    gr = greenlet(greet)
    gr.switch()
    for answer in "Ada", "London":
        gr.switch(answer)
