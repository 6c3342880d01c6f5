"""Two network namespaces with a wire between them that can be cut, lose and delay packets: a relay between two TAP
devices, because many kernels lack netem. Needs root, `ip` and /dev/net/tun."""

import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def why_no_wire() -> str:
    """In words; "" when this computer lets us make one."""
    if os.geteuid() != 0 or not shutil.which("ip") or not Path("/dev/net/tun").exists():
        return "network namespaces need root, ip and /dev/net/tun"
    try:
        with Wire():
            return ""
    except (subprocess.CalledProcessError, OSError) as problem:
        return f"this computer makes no network namespaces: {getattr(problem, 'stderr', problem)!r}"


class Wire:
    """A context. names: of the two namespaces. loss: share of the packets that get lost, in both directions; delay:
    seconds that the others take; both may be changed at any time. passed, lost: counts of packets."""

    def __init__(self, seed: int = 0):
        self.names = f"vxp{os.getpid()}a", f"vxp{os.getpid()}b"
        self.loss, self.delay = 0.0, 0.0
        self.passed = self.lost = 0
        self._rng = random.Random(seed)
        self._taps: list[int] = []
        self._late: list[tuple[float, int, int, bytes]] = []  # due, number, to which end, packet
        self._is_over = threading.Event()
        self._relay = threading.Thread(target=self._carry, name="wire", daemon=True)

    def __enter__(self) -> "Wire":
        try:
            for number, name in enumerate(self.names, 1):
                self._taps.append(open_tap(name))
                run("ip", "netns", "add", name)
                run("ip", "link", "set", name, "netns", name)
                for words in (f"addr add 10.77.0.{number}/24 dev {name}", f"link set {name} up", "link set lo up",
                              f"route add 224.0.0.0/4 dev {name}"):  # fmt: skip
                    run("ip", "netns", "exec", name, "ip", *words.split())
        except BaseException:
            self._remove()
            raise
        self._relay.start()
        return self

    def __exit__(self, *_) -> None:
        self._is_over.set()
        self._relay.join()
        self._remove()

    def _remove(self) -> None:
        for tap in self._taps:
            os.close(tap)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def _carry(self) -> None:
        while not self._is_over.is_set():
            patience = 0.05 if not self._late else min(0.05, max(0.0, self._late[0][0] - time.monotonic()))
            for tap in select.select(self._taps, [], [], patience)[0]:
                packet = os.read(tap, 65536)
                if self._rng.random() < self.loss:
                    self.lost += 1
                    continue
                self.passed += 1
                other = 1 - self._taps.index(tap)
                heapq.heappush(self._late, (time.monotonic() + self.delay, self.passed, other, packet))
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(self._late)
                os.write(self._taps[end], packet)


def open_tap(name: str) -> int:
    """The file of a new network device."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap
