"""One rule foretells how much of each stack is in the heap.

>>> main()
5000 of 5000 switches foretold
"""

from random import choice, randrange

from greenlet import getcurrent, greenlet, settrace


def stack_saved(g, to, had):
    end = min(g._stack_stop, to._stack_stop)
    return 0 if g is to else max(had, end - g._stack_start)


def check(event, switch):
    for g in heap:
        heap[g] = stack_saved(g, switch[1], heap[g])
    log.append(all(heap[g] == g._stack_saved for g in heap))


def wander(depth):
    if depth:
        sorted([depth - 1], key=wander)
    while len(log) < 5000:
        choice(list(heap)).switch(randrange(9))


log, heap = [], {getcurrent(): 0}
heap |= {greenlet(wander): 0 for _ in range(10)}


def main():
    settrace(check)
    wander(4)
    print(sum(log[:5000]), "of 5000 switches foretold")
