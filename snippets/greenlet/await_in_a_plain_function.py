"""In a greenlet, a plain function can have something awaited.

>>> main()
a row
outside: 'NoneType' object has no attribute 'switch'
"""

import asyncio

from greenlet import getcurrent, greenlet


def wait_for(awaitable):
    return getcurrent().parent.switch(awaitable)


def plain():
    print(wait_for(asyncio.sleep(0, "a row")))


async def run(function):
    gr = greenlet(function)
    wanted = gr.switch()
    while not gr.dead:
        wanted = gr.switch(await wanted)


def main():
    asyncio.run(run(plain))
    try:
        wait_for("a row")
    except AttributeError as error:
        print("outside:", error)
