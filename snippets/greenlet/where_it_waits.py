"""gr_frame leads to the calls that a greenlet is in.

>>> main()
pause
helper
task
"""

from greenlet import getcurrent, greenlet


def pause():
    getcurrent().parent.switch()


def helper():
    pause()


def task():
    helper()


def main():
    gr = greenlet(task)
    gr.switch()
    frame = gr.gr_frame
    while frame is not None:
        print(frame.f_code.co_name)
        frame = frame.f_back
