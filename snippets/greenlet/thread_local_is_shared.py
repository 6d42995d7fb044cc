"""All greenlets of a thread share its threading.local.

>>> main()
Ada's request sees Bob
Bob's request sees Bob
"""

import threading

from greenlet import getcurrent, greenlet

here = threading.local()


def serve(user):
    here.user = user
    getcurrent().parent.switch()
    print(f"{user}'s request sees {here.user}")


def main():
    ada, bob = greenlet(serve), greenlet(serve)
    ada.switch("Ada")
    bob.switch("Bob")
    ada.switch()
    bob.switch()
