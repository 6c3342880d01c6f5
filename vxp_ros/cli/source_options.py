"""Options of the commands that read a SOURCE: which topics of a bag to take."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import SourceError

if TYPE_CHECKING:
    from ..sources import Source

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="bag:PATH, kitti:ROOT:SEQ or nuscenes:ROOT[:SCENE].")
]
ImageTopicOption = Annotated[str | None, typer.Option(help="Bags: image topic; '' for none.", show_default=False)]
PointsTopicOption = Annotated[
    str | None, typer.Option(help="Bags: PointCloud2 topic; '' for none.", show_default=False)
]
OdomTopicOption = Annotated[
    str | None, typer.Option(help="Bags: topic of the poses, Odometry or PoseStamped; '' for none.", show_default=False)
]
BaseFrameOption = Annotated[str | None, typer.Option(help="Bags: frame of the poses.", show_default=False)]


def open_with_topics(
    source: str, image_topic: str | None, points_topic: str | None, odom_topic: str | None, base_frame: str | None
) -> "Source":
    """The source that the options describe. Topics left out (None) keep the defaults of BagSource.

    Raises SourceError, also when a topic is given for a source that has none.
    """
    from ..sources import open_source

    options: dict = {}
    if image_topic is not None:
        options["cameras"] = {"camera": image_topic} if image_topic else {}
    if points_topic is not None:
        options["points"] = points_topic or None
    if odom_topic is not None:
        options["odom"] = odom_topic
    if base_frame is not None:
        options["base"] = base_frame
    if options and not source.startswith("bag:"):
        raise SourceError(f"{source} is no bag: topics and base frame can be named for bag:PATH only")
    return open_source(source, **options)
