"""A switch to a dead greenlet may begin its parent.

>>> main()
mother begins with 7
main got her end
"""

from greenlet import greenlet


def be_mother(number):
    print("mother begins with", number)
    return "her end"


def main():
    child = greenlet(lambda: "short")
    child.switch()
    mother = greenlet(be_mother)
    child.parent = mother
    print("main got", child.switch(7))
