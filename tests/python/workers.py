"""Runs many small jobs in worker processes that may crash: compiled code runs inside them.

A worker is this file started as a program: it imports the module that it is told, and for each line
of JSON on its standard input calls the module's function `work` and answers with one line of JSON.
"""
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

# Each worker is replaced now and then, so that nothing that jobs leave behind adds up.
JOBS_PER_WORKER = 200


class Worker:
    def __init__(self, module):
        command = [sys.executable, str(Path(__file__)), module]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.jobs = 0

    def ask(self, job, timeout_seconds):
        """The answer to a job, or None where the worker crashed or took too long."""
        self.jobs += 1
        timer = threading.Timer(timeout_seconds, self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            timer.cancel()
        return json.loads(answer) if answer else None

    def end(self):
        """Ends the process; gives its exit code (negative: the signal that killed it)."""
        with self.process as process:  # closes both pipes
            process.stdin.close()
            try:
                return process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


def run_jobs(module, jobs, parallel=None, timeout_seconds=120):
    """[module.work(job) for job in jobs], in the order of `jobs`, by processes. Where the process
    died, the answer is {"crashed": exit code}. Jobs and answers are what JSON can hold."""
    answers, todo = [None] * len(jobs), queue.SimpleQueue()
    for entry in enumerate(jobs):
        todo.put(entry)

    def serve():
        worker = None
        while True:
            try:
                i, job = todo.get_nowait()
            except queue.Empty:
                break
            if worker is None:
                worker = Worker(module)
            answers[i] = worker.ask(job, timeout_seconds)
            if answers[i] is None:
                answers[i], worker = {"crashed": worker.end()}, None
            elif worker.jobs >= JOBS_PER_WORKER:
                worker.end()
                worker = None
        if worker is not None:
            worker.end()

    count = min(parallel or os.cpu_count() or 1, len(jobs))
    threads = [threading.Thread(target=serve) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def serve_standard_input():
    answers = os.fdopen(os.dup(1), "wb")  # what the job prints goes elsewhere
    os.dup2(2, 1)
    work = importlib.import_module(sys.argv[1]).work
    for line in sys.stdin.buffer:
        answers.write(json.dumps(work(json.loads(line))).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    serve_standard_input()
