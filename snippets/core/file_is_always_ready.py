"""For the loop a regular file is always ready.

>>> main()
readable at its end: b''
"""

import tempfile

from gevent import core

loop = core.loop()


def readable(file, reader):
    print("readable at its end:", file.read(1))
    reader.stop()


def main():
    with tempfile.TemporaryFile() as file:
        reader = loop.io(file.fileno(), core.READ)
        reader.start(readable, file, reader)
        loop.run()
