"""Service requests answered by the worker's thread: the executor stays free, and one job runs at a time."""

import logging
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from ..core.errors import VxpError, printable
from .qos import service_qos
from .worker import NewestWorker

logger = logging.getLogger(__name__)


class Jobs:
    """Runs one service's work after another."""

    def __init__(self, node: Node):
        # The callbacks are coroutines that wait for the worker; in the node's own group they would hold up all others.
        self._group = ReentrantCallbackGroup()
        self._node = node
        self._is_running = False

    def serve(self, service_type: type, name: str, callback: Callable) -> None:
        """Offer a service whose `callback` is a coroutine that ends in `run`."""
        self._node.create_service(service_type, name, callback, callback_group=self._group, qos_profile=service_qos())

    async def run(self, worker: NewestWorker | None, job: Callable[[], None], response: Any) -> Any:
        """Have `job` fill in `response`; what goes wrong, and "busy", becomes success=false with a message."""
        if worker is None:
            return refuse(response, "the node is not configured: configure it first")
        if self._is_running:
            return refuse(response, "busy: another request is being served, try again")
        done = worker.request(job)
        if done is None:
            return refuse(response, "the node is shutting down")
        self._is_running = True
        try:
            await self._as_ros_future(done)
        finally:
            self._is_running = False
        return fill(response, done)

    def _as_ros_future(self, done) -> Future:
        """What a coroutine under rclpy can wait for."""
        future = Future(executor=self._node.executor)
        future.add_done_callback(lambda _: None)  # scheduling this wakes the executor
        done.add_done_callback(lambda _: future.set_result(None))
        return future


def fill(response: Any, done) -> Any:
    """The job has filled in the response, or failed."""
    if done.cancelled():
        return refuse(response, "the node was cleaned up before the request could be served")
    problem = done.exception()
    if isinstance(problem, VxpError | ValueError | OSError):
        return refuse(response, str(problem))
    if problem is not None:
        logger.error("unexpected error while serving a request", exc_info=problem)
        return refuse(response, f"internal error: {problem!r}; see the node's log")
    return response


def refuse(response: Any, message: str) -> Any:
    response.success = False
    response.message = printable(message)
    return response
