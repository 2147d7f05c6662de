"""A job that takes as many seconds as it says: for the tests of workers.py."""
import time


def work(seconds):
    time.sleep(seconds)
    return seconds
