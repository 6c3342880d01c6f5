"""The localizer's verifier ends soon, whatever its registration does."""

import subprocess
import threading
import time

import numpy as np

from vxp_ros.core import registration_process
from vxp_ros.core.errors import ModelError
from vxp_ros.ros.verifier import Verifier


def test_a_registration_that_hangs_does_not_delay_the_end(monkeypatch):
    command = ["sleep", "60"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "start_new_session": True}
    monkeypatch.setattr(registration_process, "start", lambda: subprocess.Popen(command, **pipes))
    published, has_begun = [], threading.Event()
    verifier = Verifier(published.append, lambda *_: None)

    def verify(query, _settings):
        has_begun.set()
        try:
            verifier._process.register(np.zeros((10, 3)), np.zeros((10, 3)))
        except ModelError:
            return query

    monkeypatch.setattr(verifier, "verify", verify)
    verifier._worker.submit("a query")
    assert has_begun.wait(10)
    time.sleep(0.3)  # until it waits for the answer
    begin = time.monotonic()
    verifier.close()
    assert time.monotonic() - begin < 10
    assert published == ["a query"] and not verifier.errors
