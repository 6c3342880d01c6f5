"""Pictures and page of a hand-made run."""

import re

import cv2
import numpy as np
import pytest

from vxp_ros.demo import pictures, report
from vxp_ros.demo.record import MODES


@pytest.fixture
def drawn(good_run, tmp_path) -> pictures.Pictures:
    return pictures.draw_all(good_run, tmp_path / "pictures")


def test_pictures_show_something(drawn):
    assert {mode: len(files) for mode, files in drawn.examples.items()} == {
        "2D-2D": 1, "3D-3D": 1, "2D-3D": 2, "3D-2D": 2, "fused": 1,
    }  # fmt: skip
    for path in [drawn.matches, drawn.latency, *drawn.examples["2D-3D"]]:
        image = cv2.imread(str(path))
        assert min(image.shape[:2]) > 300
        assert image.std() > 5


def test_match_lines_have_the_colour_of_their_verdict(drawn):
    pixels = cv2.imread(str(drawn.matches))[:, :, ::-1].astype(int)
    third, half = pixels.shape[1] // 3, pixels.shape[0] // 2
    upper_left, upper_right = pixels[: half - 40, :third], pixels[: half - 40, 2 * third :]
    right, wrong = (
        np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) for color in (pictures.RIGHT, pictures.WRONG)
    )

    def has(area, color):
        return bool((np.abs(area - color).sum(axis=2) < 40).any())

    assert has(upper_left, right)  # 2D-2D: all right
    assert not has(upper_left, wrong)
    assert has(upper_right, right)  # 2D-3D: the first one right, the others wrong
    assert has(upper_right, wrong)


def rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def test_the_page_is_whole_and_self_contained(good_run, drawn, tmp_path):
    path = tmp_path / "report.html"
    report.write_report(good_run, drawn, path)
    html = path.read_text()
    assert html.count('<img src="data:image/') == 2 + 7
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "http" not in html
    for mode in MODES:
        assert mode in html
    assert "synthetic towns" in html
    assert "{{" not in html


def test_text_in_the_page_is_escaped(good_run, drawn, tmp_path):
    good_run.summary["caveats"] = ["<script>alert(1)</script>"]
    report.write_report(good_run, drawn, tmp_path / "report.html")
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_what_each_process_took_stands_beside_its_phase(good_run):
    good_run.summary["cpu"] = {"2D-2D.localizer": 50.0, "2D-2D.player": 5.0, "mapping.mapper": 60.0}
    good_run.summary["seconds"] = {"model and bags": 1.0, "mapping": 3.0}
    assert report.processes_by_phase(good_run.summary) == {
        "model and bags": {},
        "mapping": {"node": "mapping.mapper"},
        "2D-2D": {"node": "2D-2D.localizer", "player": "2D-2D.player"},
    }


def test_numbers_that_are_missing():
    assert report.share(None) == "-"
    assert report.share(45.6) == "46 %"
    assert report.percent(float("nan")) == "-"
    assert report.percent(0.254) == "25 %"
    assert report.number(None) == "-"
    assert report.number(12.345, 1) == "12.3"


def test_no_line_is_drawn_where_the_drive_jumps():
    line = pictures.with_gaps(np.array([[0.0, 0], [5, 0], [1000, 0], [1003, 4]]))
    assert np.isnan(line[2]).all()
    assert line[[0, 1, 3, 4]].tolist() == [[0, 0], [5, 0], [1000, 0], [1003, 4]]


def test_no_cloud_and_no_thumbnail(good_run, tmp_path):
    from dataclasses import replace

    place_map = good_run.place_map
    place_map._places[0] = replace(place_map.place(0), cloud=None, thumbnail=b"")
    path = pictures.draw_example(good_run, good_run.answers[0], tmp_path / "x.png")
    assert path.stat().st_size > 1000
