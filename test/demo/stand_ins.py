"""Processes for test_processes.py: python -m stand_ins ACT."""

import signal
import sys
import time

# A shell's background job ignores Ctrl-C, and its children inherit that; ROS nodes set their own handlers.
signal.signal(signal.SIGINT, signal.default_int_handler)
act = sys.argv[1]
print("started", act, flush=True)
if act == "fail":
    print("the reason why", flush=True)
    sys.exit(3)
elif act == "end":
    sys.exit(0)
elif act == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif act == "busy":
    block = bytearray(40 * 2**20)
    while True:
        sum(range(10000))
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("bye", flush=True)
