"""The table of frames: what is written comes back, the authors' files are read, nearness equals brute force."""

from dataclasses import fields

import numpy as np
import pytest

from vxp_ros.core.errors import SourceError
from vxp_training.datasets.annotation import (
    Annotation,
    concatenate,
    heading_from_track,
    neighbours,
    read_annotation,
    write_annotation,
    yaw_difference,
)

# An index column without a name, absolute paths of another computer, microseconds: as the authors' generator writes it.
AUTHORS = """Unnamed: 0.1,Unnamed: 0,timestamp,date,northing,easting,yaw,submap_path,img_path
0,0,1400505709783450,2014-05-19,5735941.728159,620061.591778,-0.112237,/storage/oxford/submap/a/1.npy,/storage/oxford/image/a/1.png
1,1,1400505723969093,2014-05-19,5735945.528253,620061.223831,-0.114042,/storage/oxford/submap/a/2.npy,/storage/oxford/image/a/2.png
"""


def make(count: int, drive: str = "a", seed: int = 0) -> Annotation:
    random = np.random.default_rng(seed)
    return Annotation(
        np.full(count, drive), np.arange(count) * 100_000_001 + 1_700_000_000_123_456_789,
        random.uniform(-300, 300, count), random.uniform(-300, 300, count), random.uniform(-np.pi, np.pi, count),
        np.array([f"image/{row}.png" for row in range(count)]), np.array([f"cloud/{row}.bin" for row in range(count)]),
    )  # fmt: skip


def same(a: Annotation, b: Annotation) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Annotation))


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_written_comes_back_to_the_last_digit(tmp_path, swapped):
    table = concatenate([make(7, "00"), make(5, "02, odd name", seed=1)])
    write_annotation(tmp_path / "annotation.csv", table, swapped)
    assert same(read_annotation(tmp_path / "annotation.csv", swapped_ne_columns=swapped), table)
    assert [path.name for path in tmp_path.iterdir()] == ["annotation.csv"]


def test_swapped_columns_hold_the_east_under_northing(tmp_path):
    table = make(3)
    write_annotation(tmp_path / "annotation.csv", table, swapped_ne_columns=True)
    plainly = read_annotation(tmp_path / "annotation.csv")
    assert np.array_equal(plainly.northing, table.easting) and np.array_equal(plainly.easting, table.northing)


def test_a_file_of_the_authors(tmp_path):
    (tmp_path / "submap/a").mkdir(parents=True)
    (tmp_path / "image/a").mkdir(parents=True)
    (tmp_path / "submap/a/1.npy").touch()
    (tmp_path / "image/a/1.png").touch()
    (tmp_path / "all_annotation.csv").write_text(AUTHORS)
    table = read_annotation(tmp_path / "all_annotation.csv", "us", root=tmp_path)
    assert table.stamp_ns.tolist() == [1400505709783450000, 1400505723969093000]
    assert table.positions.tolist()[0] == [5735941.728159, 620061.591778]
    assert table.cloud.tolist() == ["submap/a/1.npy", "submap/a/2.npy"]
    assert table.image.tolist() == ["image/a/1.png", "image/a/2.png"]


def test_seconds_keep_their_digits(tmp_path):
    (tmp_path / "a.csv").write_text(
        AUTHORS.replace("1400505709783450", "1.0362240e-01").replace("1400505723969093", "2")
    )
    table = read_annotation(tmp_path / "a.csv", "s")
    assert table.stamp_ns.tolist() == [103622400, 2_000_000_000]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (AUTHORS.replace("easting", "east"), "lacks the columns easting"),
        (AUTHORS.splitlines()[0], "holds no row"),
        (AUTHORS.replace("620061.223831", "here"), "line 3: not a number"),
        (AUTHORS.replace("-0.114042", "nan"), "line 3: holds a number that is not finite"),
        (AUTHORS.replace("1400505709783450", "1e40"), "line 2: 1e40 us is no time of this age"),
        ("", "lacks the columns timestamp"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match=f"a.csv.*{message}"):
        read_annotation(tmp_path / "a.csv", "us")


def test_missing_files(tmp_path):
    with pytest.raises(SourceError, match=r"nothing.csv cannot be read"):
        read_annotation(tmp_path / "nothing.csv")
    (tmp_path / "a.csv").write_text(AUTHORS)
    with pytest.raises(SourceError, match=r"/storage/oxford/image/a/1.png, but no end of that path is a file below"):
        read_annotation(tmp_path / "a.csv", "us", root=tmp_path)


def test_neighbours_equal_brute_force():
    table = make(200)
    queries = np.vstack([table.positions[:20], [[1e6, 1e6]]])
    distances = np.linalg.norm(queries[:, None] - table.positions[None], axis=2)
    found = neighbours(queries, table.positions, 50.0)
    assert [rows.tolist() for rows in found] == [np.flatnonzero(row <= 50.0).tolist() for row in distances]
    assert len(found[-1]) == 0 and found[-1].dtype == np.int64
    assert [len(rows) for rows in neighbours(queries[:2], np.zeros((0, 2)), 50.0)] == [0, 0]


def test_the_radius_itself_is_near():
    assert neighbours(np.zeros((1, 2)), np.array([[0.0, 20.0], [0.0, 20.001]]), 20.0)[0].tolist() == [0]


def test_yaw_differences_wrap_around():
    a = np.array([3.1, -3.1, 0.0, np.pi, 0.2])
    b = np.array([-3.1, 3.1, 2 * np.pi, -np.pi, 0.7])
    assert yaw_difference(a, b) == pytest.approx([2 * np.pi - 6.2, 2 * np.pi - 6.2, 0, 0, 0.5], abs=1e-12)


def test_the_heading_of_a_track():
    north_then_west = np.array([[0.0, 0], [1, 0], [2, 0], [2, 0], [2, -1], [2, -2]])
    assert heading_from_track(north_then_west) == pytest.approx([np.pi / 2] * 2 + [np.pi] * 4)
    assert heading_from_track(np.zeros((3, 2))).tolist() == [0, 0, 0]


def test_selecting_rows_and_drives():
    table = concatenate([make(3, "b"), make(2, "a")])
    assert table.drives == ["b", "a"]
    assert table.rows_of("a").tolist() == [3, 4]
    assert table.select(table.northing > 1e9).drives == []
    with pytest.raises(SourceError, match="no drive c in the annotation; it has b, a"):
        table.rows_of("c")
