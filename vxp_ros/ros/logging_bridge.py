"""Log lines of the ROS-free core, shown by the node's own logger (so also on /rosout and under --log-level)."""

import logging

from rclpy.node import Node

from ..core.errors import printable


class NodeLogHandler(logging.Handler):
    """Forwards Python log records to a node."""

    def __init__(self, node: Node):
        super().__init__()
        self._logger = node.get_logger()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = printable(self.format(record))
        # One call per severity on its own line: rclpy refuses to change the severity of a line of code.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def forward_logs(node: Node) -> NodeLogHandler:
    """Send what vxp_ros logs to `node` from now on; undo with `stop_forwarding`."""
    handler = NodeLogHandler(node)
    logger = logging.getLogger("vxp_ros")
    logger.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return handler


def stop_forwarding(handler: NodeLogHandler) -> None:
    logging.getLogger("vxp_ros").removeHandler(handler)
