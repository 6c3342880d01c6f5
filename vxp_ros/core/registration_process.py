"""`register` in a process of its own: KISS-Matcher and small_gicp hold Python's lock for up to a second, and a node
that cannot run for so long loses sensor data.

The two speak JSON lines and plain arrays over pipes; nothing is pickled. The process answers each call in a fork:
KISS-Matcher 1.0.2 never gives back the matrix of its matches, up to 17 MiB a call.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict, fields

import numpy as np

from .config import RegistrationSettings
from .errors import BadInput, ModelError
from .registration import Registration, missing_library, register

PATIENCE_S = 30.0  # a call takes one second, a few on a busy computer; after this the process hangs
ARRAYS = ("T_target_source", "covariance")
NO_GUESS = np.empty((0, 4))
SCALARS = tuple(entry.name for entry in fields(Registration) if entry.name not in ARRAYS)


class RegistrationProcess:
    """Starts at the first call, anew after it died. Calls wait for each other. Use as a context, or call `close`."""

    def __init__(self, settings: RegistrationSettings | None = None):
        self._settings = settings or RegistrationSettings()
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> "RegistrationProcess":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def register(self, source: np.ndarray, target: np.ndarray, T_guess: np.ndarray | None = None) -> Registration:
        """As `registration.register`. Raises ModelError too when the process dies over these clouds."""
        with self._lock:
            if self._is_closed:
                raise ModelError("the registration process is closed")
            guess = NO_GUESS if T_guess is None else T_guess
            try:
                return self._ask(*map(np.asarray, (source, target, guess)))
            except (BadInput, ModelError):
                raise
            except Exception as problem:  # whatever it was, part of a message may be in the pipe
                self._stop()
                raise ModelError(f"the registration process died ({problem}); it starts again") from problem

    def close(self) -> None:
        """A call that is under way ends with ModelError, as do all that follow."""
        self._is_closed = True
        process = self._process
        if process is not None:
            kill(process)
        with self._lock:
            self._stop()

    def _ask(self, *arrays: np.ndarray) -> Registration:
        """arrays: source, target and guess."""
        if self._process is None:
            self._process = start()
        if self._is_closed:  # meanwhile, perhaps
            raise EOFError("closed")
        watchdog = threading.Timer(PATIENCE_S, kill, [self._process])
        watchdog.daemon = True
        watchdog.start()
        try:
            pipe = self._process.stdin
            write_line(pipe, asdict(self._settings))
            for values in arrays:
                write_array(pipe, values)
            pipe.flush()
            return read_answer(self._process.stdout)
        finally:
            watchdog.cancel()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            kill(process)
            process.wait()
            with suppress(OSError):  # what it could not be told any more is still in the buffer
                process.stdin.close()
            process.stdout.close()


def start() -> subprocess.Popen:
    """In a session of its own: Ctrl-C ends the node, which ends this."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def kill(process: subprocess.Popen) -> None:
    """With the fork that is at work."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def read_answer(pipe) -> Registration:
    answer = read_line(pipe)
    if "problem" in answer:
        if answer["reason"]:
            raise BadInput(answer["reason"], answer["problem"])
        raise ModelError(answer["problem"])
    arrays = {name: read_array(pipe) for name in ARRAYS}
    return Registration(**arrays, **{name: answer[name] for name in SCALARS})


def serve(requests, answers) -> None:
    """Answer until the other side closes, or until a pair of clouds was the end of the fork that had it."""
    missing_library()  # imports them: once here, not in each fork
    while True:
        try:
            settings = RegistrationSettings(**read_line(requests))
            source, target, guess = (read_array(requests) for _ in range(3))
        except EOFError:
            return
        fork = os.fork()
        if fork == 0:
            answer_and_exit(answers, source, target, settings, guess if len(guess) else None)
        if os.waitpid(fork, 0)[1]:
            return


def answer_and_exit(answers, *question) -> None:
    """Never returns: this is a fork, and what comes after the call is the other process' business."""
    code = 1
    try:
        answer(answers, *question)
        answers.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def answer(
    answers, source: np.ndarray, target: np.ndarray, settings: RegistrationSettings, T_guess: np.ndarray | None
) -> None:
    try:
        found = register(source, target, settings, T_guess)
    except BadInput as problem:
        write_line(answers, {"problem": str(problem), "reason": problem.reason})
    except ModelError as problem:
        write_line(answers, {"problem": str(problem), "reason": ""})
    else:
        write_line(answers, {name: getattr(found, name) for name in SCALARS})
        for name in ARRAYS:
            write_array(answers, getattr(found, name))


def write_line(pipe, content: dict) -> None:
    pipe.write(json.dumps(content).encode() + b"\n")


def read_line(pipe) -> dict:
    """Raises EOFError at the end of the pipe."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the pipe ended")
    return json.loads(line)


def write_array(pipe, values: np.ndarray) -> None:
    write_line(pipe, {"dtype": values.dtype.str, "shape": values.shape})
    pipe.write(values.tobytes())


def read_array(pipe) -> np.ndarray:
    """Raises EOFError at the end of the pipe, ValueError for what is no plain array.

    Not in NumPy's format: each header that `np.load` parses leaves a kilobyte in reference cycles, until Python's next
    search for garbage.
    """
    about = read_line(pipe)
    dtype = np.dtype(about["dtype"])
    size = math.prod(about["shape"]) * dtype.itemsize
    if size < 0:
        raise ValueError("an array of a negative size")
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("the pipe ended")
    return np.frombuffer(data, dtype).reshape(about["shape"]).copy()


def main() -> None:
    """Whatever a library prints goes to stderr; stdout is for answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
