"""A file that changes calls back.

>>> main()
before: None
now it has 5 bytes
"""

import tempfile
from pathlib import Path

from gevent import core

loop = core.loop()


def changed(stat):
    print("now it has", stat.attr.st_size, "bytes")
    stat.stop()


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "letter")
        stat = loop.stat(str(path), 0.1)
        stat.start(changed, stat)
        print("before:", stat.attr)
        loop.run_callback(path.write_text, "hello")
        loop.run()
