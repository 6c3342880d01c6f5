"""Median CPU milliseconds per stage, from message to published answer: python scripts/benchmark_stages.py

One thread, real rclpy messages, models with random heads (weights do not change the time). With VXP_DATA a real KITTI
scan is used, else a synthetic one of the same size. CPU time of this process, so that a busy machine matters little.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vxp_ros.core.config import FrameSettings, OutputSettings
from vxp_ros.core.datatypes import Candidate, Frame, Image, Place, Recognition, Status
from vxp_ros.core.encoder import Encoder
from vxp_ros.core.geometry import make_transform
from vxp_ros.core.json_file import write_json
from vxp_ros.core.model_store import init_model
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.ros.conversions import to_camera, to_pixels, to_points
from vxp_ros.ros.publishers import candidates_message
from vxp_ros.sources import open_source

PLACES = 10_000


def main() -> None:
    options = parse_options()
    torch.set_num_threads(1)
    frame, data = example_frame()
    table = message_to_frame(frame, options.repeats)
    for recipe in options.models:
        table |= {f"{recipe}: {stage}": ms for stage, ms in encoder_stages(recipe, frame, options.repeats).items()}
    table |= search_and_publish(options.repeats)
    show(table, data, options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--models", nargs="*", default=["vxp_lite", "vxp"], help="recipes of config/models")
    parser.add_argument("--json", type=Path, help="write the table to this file")
    return parser.parse_args()


def median_cpu_ms(job, repeats: int, warm_up: int = 2) -> float:
    times = []
    for _ in range(warm_up + repeats):
        start = time.process_time()
        job()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times[warm_up:])


def example_frame() -> tuple[Frame, str]:
    """A frame with a cloud of about 120k points and a 640 x 480 image."""
    if "VXP_DATA" in os.environ:
        frame = next(iter(open_source(f"kitti:{os.environ['VXP_DATA']}/kitti:00")))
        data = f"KITTI 00, frame 0: {len(frame.points)} points"
    else:
        frame, data = synthetic_frame(), "synthetic scan of 120000 points"
    pixels = cv2.resize(next(iter(frame.images.values())).pixels, (640, 480))
    name, image = next(iter(frame.images.items()))
    camera = replace(image.camera, width=640, height=480) if image.camera else None
    return replace(frame, images={name: Image(pixels, camera)}), data + ", image of 640 x 480"


def synthetic_frame() -> Frame:
    random = np.random.default_rng(0)
    points = np.column_stack([random.uniform(-40, 40, (120_000, 2)), random.uniform(-2, 6, (120_000, 2))])
    pixels = random.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    return Frame(stamp_ns=1, images={"camera": Image(pixels)}, points=points.astype(np.float32))


def message_to_frame(frame: Frame, repeats: int) -> dict[str, float]:
    """The nodes receive bytes and turn them into messages on the worker's thread; both steps are measured."""
    from rclpy.serialization import deserialize_message, serialize_message

    image, info, cloud = messages_of(frame)
    serialized = [(serialize_message(message), type(message)) for message in (image, info, cloud)]

    def convert():
        points, rings = to_points(cloud, max_points=300_000, min_points=1000)
        Frame(stamp_ns=1, images={"camera": Image(to_pixels(image), to_camera(info))}, points=points, rings=rings)

    def deserialize():
        for data, message_type in serialized:
            deserialize_message(data, message_type)

    repeats = max(repeats, 50)
    return {
        "bytes to messages": median_cpu_ms(deserialize, repeats),
        "messages to Frame": median_cpu_ms(convert, repeats),
    }


def messages_of(frame: Frame):
    """The frame as rclpy messages, as a driver sends them."""
    import array

    from sensor_msgs.msg import CameraInfo, PointCloud2, PointField
    from sensor_msgs.msg import Image as ImageMessage

    pixels = next(iter(frame.images.values())).pixels
    image = ImageMessage(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", pixels.tobytes()))
    info = CameraInfo(height=480, width=640, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]
    names = ("x", "y", "z", "intensity")
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(names)]
    count = len(frame.points)
    cloud = PointCloud2(height=1, width=count, fields=fields, point_step=16, row_step=16 * count, is_dense=True)
    cloud.data = array.array("B", np.ascontiguousarray(frame.points, dtype="<f4").tobytes())
    return image, info, cloud


def encoder_stages(recipe: str, frame: Frame, repeats: int) -> dict[str, float]:
    """CPU ms of the four encoder stages. Encoder reports wall time; with one thread on a quiet core they agree."""
    with tempfile.TemporaryDirectory() as folder:
        init_model(recipe, Path(folder, "model"))
        encoder = Encoder.load(Path(folder, "model"), device="cpu", threads=1)
        runs = []
        for _ in range(repeats + 2):
            stage_ms: dict[str, float] = {}
            encoder.describe(frame, "camera", stage_ms)
            encoder.describe(frame, "lidar", stage_ms)
            runs.append(stage_ms)
    return {stage: statistics.median(run[stage] for run in runs[2:]) for stage in runs[0]}


def search_and_publish(repeats: int) -> dict[str, float]:
    random = np.random.default_rng(0)
    place_map = PlaceMap({"lidar": "benchmark-0"})
    for vector in random.standard_normal((PLACES, 256)).astype(np.float32):
        place_map.add(Place(stamp_ns=1, T_map_base=np.eye(4), descriptors={"lidar": vector}))
    query = random.standard_normal(256).astype(np.float32)
    search = median_cpu_ms(lambda: place_map.search(query, "lidar", 55), 10 * repeats)
    return {f"search among {PLACES} places": search, "publish (build and send the answer)": publish_ms(repeats)}


def publish_ms(repeats: int) -> float:
    import rclpy

    from vxp_ros.msg import PlaceCandidates

    candidates = tuple(Candidate(i, 1, 0.5, 0.6, 0.1, make_transform(np.eye(3), np.ones(3))) for i in range(5))
    answer = Recognition(1, "lidar", Status.OK, "place 0", candidates)
    rclpy.init()
    node = rclpy.create_node("benchmark_stages")
    publisher = node.create_publisher(PlaceCandidates, "candidates", 10)
    frames, output = FrameSettings(), OutputSettings()
    result = median_cpu_ms(
        lambda: publisher.publish(candidates_message(answer, "benchmark", frames, output)), 10 * repeats
    )
    node.destroy_node()
    rclpy.shutdown()
    return result


def show(stages: dict[str, float], data: str, options: argparse.Namespace) -> None:
    table = Table("stage", "median ms", title=f"{data}; {platform.processor() or platform.machine()}, 1 thread")
    for stage, ms in stages.items():
        table.add_row(stage, f"{ms:.2f}")
    Console().print(table)
    if options.json:
        write_json(options.json, {"data": data, "median_ms": stages})


main()
