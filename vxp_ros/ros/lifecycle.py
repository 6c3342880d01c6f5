"""What the localizer and the mapper share: a lifecycle node that hears sensors, makes frames and works on a thread."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ..core.encoder import Encoder
from ..core.errors import VxpError, printable
from ..core.memory import filled_heap, give_back_freed_memory, heap_in_use, search_everything, search_only_what_comes
from .diagnostics import Diagnostics, stale
from .framing import FrameMaker
from .jobs import Jobs
from .ledger import LogLimiter
from .logging_bridge import forward_logs, stop_forwarding
from .parameters import declare, watch
from .reports import Report, encoder_report, sensor_reports, sync_report, transform_report
from .sensors import Bundle, SensorInput
from .timings import Timings
from .transforms import Transforms, check_frames, extrinsics_from
from .worker import NewestWorker

logger = logging.getLogger(__name__)

WEIGH_PERIOD = 1.0  # seconds


class SensorNode(LifecycleNode, ABC):
    """Base of the nodes that turn sensor data into something. A child says what, in the abstract methods."""

    needs_all_sensors = False

    def __init__(self, name: str, settings_class: type, **options):
        super().__init__(name, **options)
        try:
            self.settings = declare(self, settings_class)
        except ValueError:
            self.destroy_node()
            raise
        self.state = "unconfigured"
        self.failure = ""  # why the last transition failed, in one sentence
        self.encoder: Encoder | None = None
        self.sensors: SensorInput | None = None
        self.transforms: Transforms | None = None
        self.frame_maker: FrameMaker | None = None
        self.worker: NewestWorker | None = None
        self.timings = Timings()
        self.jobs = Jobs(self)
        self._limiter = LogLimiter()
        self._seen: dict[str, dict] = {}
        self._tf_fine = time.monotonic()
        self._in_use, self._weighed = 0, 0.0  # bytes of the heaps, and when they were counted
        self._log_handler = forward_logs(self)
        self.diagnostics = Diagnostics(
            self, self.settings.diagnostics.period, self._reports, self._signature, self.hardware_id
        )
        self.diagnostics.on_tick = self._tick
        watch(self, settings_class, self.apply)

    # What children provide

    @abstractmethod
    def prepare(self) -> None:
        """At configure, with encoder, sensors and transforms there. What it raises fails the transition."""

    @abstractmethod
    def process(self, bundle: Bundle) -> str | None:
        """Work on a bundle, on the worker's thread; "" when it was used, else the reason to count it as dropped by.
        None: the work goes on elsewhere, and the child calls `count` at its end."""

    @abstractmethod
    def begin(self) -> None:
        """At activate, once the sensors are heard."""

    @abstractmethod
    def finish(self) -> None:
        """Before everything is released, with no more work under way."""

    @abstractmethod
    def own_reports(self) -> list[Report]:
        """For the diagnostics, beside those of sensors and encoder."""

    @abstractmethod
    def hardware_id(self) -> str:
        """The map in use, for the diagnostics."""

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("configure", self._configure, "inactive", undo=self._release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if super().on_activate(state) != TransitionCallbackReturn.SUCCESS:
            return TransitionCallbackReturn.ERROR
        return self._transition("activate", self._activate, "active", undo=self._stop_listening)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._transition("deactivate", self._stop_listening, "inactive")
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("clean up", self.close, "unconfigured")

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("shut down", self.close, "finalized")

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("recover", self._release, "unconfigured")

    def close(self) -> None:
        """Stop listening, finish the work in hand, keep what must be kept, release everything."""
        self._stop_listening()
        if self.worker is not None:
            self.worker.stop()
            self.worker, errors = None, self.worker.errors
            self.finish()
            if errors:
                logger.error("%d unexpected errors in this run, the last: %r", len(errors), errors[-1])
        self._release()

    def destroy_node(self) -> None:
        if hasattr(self, "diagnostics"):
            self.diagnostics.close()
            stop_forwarding(self._log_handler)
        super().destroy_node()

    def _transition(
        self, name: str, act: Callable[[], None], goal: str, undo: Callable[[], None] = lambda: None
    ) -> TransitionCallbackReturn:
        """rclpy swallows what a transition raises; here it becomes one sentence in the log and FAILURE."""
        try:
            act()
        except (VxpError, ValueError, OSError, ImportError) as problem:
            self.failure = printable(f"cannot {name}: {problem}")
            self.get_logger().error(self.failure)
        except Exception as problem:
            self.failure = f"cannot {name}: unexpected {problem!r}"
            logger.exception("unexpected error in the transition to %s", goal)
        else:
            self.state, self.failure = goal, ""
            return TransitionCallbackReturn.SUCCESS
        undo()
        return TransitionCallbackReturn.FAILURE

    def _configure(self) -> None:
        settings = self.settings
        check_frames(settings.frames)
        self.sensors = SensorInput(self, settings.input, settings.qos, self._offer, self.needs_all_sensors)
        self.sensors.base_frame = settings.frames.base
        extrinsics = extrinsics_from(settings.extrinsics, settings.input)
        self.encoder = Encoder.load(model_of(settings), settings.model.device, settings.model.threads)
        self.transforms = Transforms(self, settings.frames, extrinsics)
        self.sensors.on_reset = self._on_reset
        self.frame_maker = FrameMaker(self.sensors, self.transforms)
        self.timings.clear()
        self._seen, self._in_use = {}, 0
        self.prepare()
        room = filled_heap() if self.encoder.device.startswith("cpu") else None
        self.worker = NewestWorker(self._handle, lambda _bundle, reason: self.sensors.bundles.drop(reason), room)
        search_only_what_comes()

    def _activate(self) -> None:
        self.diagnostics.expect_clock()
        self.sensors.open()
        self.begin()

    def _stop_listening(self) -> None:
        self.state = "inactive" if self.sensors is not None else "unconfigured"
        if self.sensors is not None:
            self.sensors.close()

    def _release(self) -> None:
        if self.transforms is not None:
            self.transforms.close()
        self.encoder = self.sensors = self.transforms = self.frame_maker = self.worker = None
        search_everything()
        give_back_freed_memory()

    # Work

    def _offer(self, bundle: Bundle) -> None:
        self.worker.submit(bundle)

    def _handle(self, bundle: Bundle) -> None:
        """On the worker's thread: one bundle, counted exactly once."""
        if self.state != "active":
            reason = "inactive"
        elif self.sensors.is_too_old(bundle):
            reason = "too_old"
        else:
            reason = self.process(bundle)
        if reason is not None:
            self.count(reason)
        if time.monotonic() > self._weighed + WEIGH_PERIOD:  # between frames: within one, blocks come and go
            self._in_use, self._weighed = heap_in_use(), time.monotonic()

    def count(self, reason: str) -> None:
        """A bundle leaves our hands: used, or dropped for a reason."""
        bundles = self.sensors.bundles
        bundles.drop(reason) if reason else bundles.finish()

    def _on_reset(self) -> None:
        self.transforms.clear()

    def warn(self, key: str, message: str) -> None:
        """A line on the console, at most one in 5 s per key."""
        text = self._limiter.text(key, message)
        if text:
            self.get_logger().warning(printable(text))

    # Parameters and diagnostics

    def apply(self, settings) -> None:
        """Take changed parameters. Raises ValueError, with nothing changed, when they do not go together."""
        extrinsics = extrinsics_from(settings.extrinsics, settings.input)
        self.settings = settings
        if self.sensors is not None:
            self.sensors.inputs = settings.input
            self.transforms.use(settings.frames, extrinsics)

    def _tick(self) -> None:
        if self.sensors is not None:
            self.sensors.refresh()
            if self.state == "active":
                self.diagnostics.warn_about(list(self.sensors.streams.values()), self.settings.diagnostics.timeout)

    def _signature(self) -> object:
        silent = [stream.is_silent() for stream in self.sensors.streams.values()] if self.sensors else []
        return self.state, silent

    def _reports(self) -> list[Report]:
        if self.worker is None:
            return [stale(name, self.state) for name in ("camera", "lidar", "sync", "tf", "encoder")]
        if not self.transforms.problem:
            self._tf_fine = time.monotonic()
        return [
            *sensor_reports(self.sensors, self._seen),
            sync_report(self.sensors, self._seen, self.diagnostics.has_clock()),
            transform_report(self.transforms, time.monotonic() - self._tf_fine),
            encoder_report(self.encoder, self.timings, self.worker.errors, self._in_use),
            *self.own_reports(),
        ]


def model_of(settings) -> str:
    """The model to load. Raises ValueError when none is named."""
    if not settings.model.weights:
        raise ValueError("parameter model.weights is empty: name a model folder, or a shipped model")
    return settings.model.weights
