"""A greenlet can pause inside sorted(), a C function.

>>> main()
key of pear?
key of fig?
key of lemon?
['fig', 'pear', 'lemon']
"""

from greenlet import getcurrent, greenlet


def ask(word):
    return getcurrent().parent.switch(word)


def sort():
    return sorted(["pear", "fig", "lemon"], key=ask)


def main():
    gr = greenlet(sort)
    answer = gr.switch()
    while not gr.dead:
        print(f"key of {answer}?")
        answer = gr.switch(len(answer))
    print(answer)
