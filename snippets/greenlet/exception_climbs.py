"""An exception that nobody catches climbs to the parent.

>>> main()
mother is unwound
main caught: broken
both dead: True
"""

from greenlet import greenlet


def be_mother():
    try:
        child.switch()
    finally:
        print("mother is unwound")


def be_child():
    raise ValueError("broken")


mother = greenlet(be_mother)
child = greenlet(be_child, mother)


def main():
    try:
        mother.switch()
    except ValueError as error:
        print("main caught:", error)
    print("both dead:", mother.dead and child.dead)
