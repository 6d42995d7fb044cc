"""With callbacks, two questions take three functions.

>>> main()
name?
town?
Ada lives in London
"""

waiting = []


def ask(question, callback):
    print(question)
    waiting.append(callback)


def greet():
    ask("name?", got_name)


def got_name(name):
    ask("town?", lambda town: got_town(name, town))


def got_town(name, town):
    print(name, "lives in", town)


def main():
    greet()
    for answer in "Ada", "London":
        waiting.pop()(answer)
