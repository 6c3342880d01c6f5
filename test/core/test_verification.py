"""Candidates against point clouds, and the registration in a process of its own."""

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import psutil
import pytest
from scan_samples import block, pose, scan

from vxp_ros.core import registration_process
from vxp_ros.core.config import VerifySettings
from vxp_ros.core.datatypes import Candidate, Place, Recognition, Status
from vxp_ros.core.errors import BadInput, ModelError
from vxp_ros.core.geometry import rotation_z
from vxp_ros.core.place_map import PlaceMap
from vxp_ros.core.registration import register
from vxp_ros.core.registration_process import RegistrationProcess
from vxp_ros.core.verification import find_verified, turned, verify

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="kiss-matcher has no wheel for Python 3.13")
HERE, BESIDE = pose(50, 20, 0.7), pose(3, -1, 0.2)


def map_of(*clouds: np.ndarray | None) -> PlaceMap:
    place_map = PlaceMap({"lidar": "test"})
    for cloud in clouds:
        place_map.add(Place(0, HERE, {"lidar": np.ones(2, np.float32)}, cloud=cloud))
    return place_map


def candidates_of(place_map: PlaceMap) -> list[Candidate]:
    return [Candidate(i, 0, 0.1, 0.9, 1.0, place.T_map_base) for i, place in enumerate(place_map.places())]


@pytest.fixture(scope="module")
def clouds() -> dict[str, np.ndarray]:
    here, elsewhere = block(0), block(7)
    return {
        "place": scan(here, pose(0, 0, 0), 0),
        "query": scan(here, BESIDE, 1),
        "other": scan(elsewhere, pose(0, 0, 0), 2),
    }


def test_the_confirmed_candidate_has_the_pose_of_the_query_in_the_map(clouds):
    place_map = map_of(clouds["other"], None, np.zeros((3, 3), np.float32), clouds["place"])
    found = find_verified(clouds["query"], candidates_of(place_map), place_map)
    assert found.candidate.place_id == 3
    assert found.candidate.is_verified and found.candidate.is_registered
    assert np.allclose(found.candidate.T_map_base, HERE @ BESIDE, atol=0.1)
    assert found.candidate.inlier_ratio == found.registration.inlier_ratio > 0.5


def test_nothing_confirms_without_a_cloud_or_at_another_place(clouds):
    place_map = map_of(clouds["other"])
    assert find_verified(None, candidates_of(place_map), place_map) is None
    assert find_verified(clouds["query"], candidates_of(place_map), place_map) is None


def test_a_turned_covariance_is_that_of_turned_errors():
    covariance, R = np.diag([4.0, 1.0, 0.5, 0.1, 0.2, 0.3]), rotation_z(np.pi / 2)
    assert np.allclose(np.diag(turned(covariance, R)), [1.0, 4.0, 0.5, 0.2, 0.1, 0.3])


def test_the_process_answers_as_the_function_does_and_leaves_the_interpreter_free(clouds):
    gaps, is_over = [], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not is_over.wait(0.005):
            gaps.append(time.perf_counter() - last)
            last = time.perf_counter()

    here = register(clouds["query"], clouds["place"])
    with RegistrationProcess() as process:
        process.register(clouds["query"], clouds["place"])
        watcher = threading.Thread(target=tick, daemon=True)
        watcher.start()
        start = time.perf_counter()
        there = process.register(clouds["query"], clouds["place"])
        seconds = time.perf_counter() - start
        is_over.set()
    assert there.is_accepted and there.reason == here.reason
    assert np.allclose(there.T_target_source, here.T_target_source, atol=1e-3)
    assert np.allclose(there.covariance, here.covariance, rtol=0.1, atol=1e-6)
    assert max(gaps) < seconds / 2  # in this process one gap lasts nearly as long as the whole call


def test_the_process_passes_errors_on_and_starts_again_when_it_died(clouds):
    with RegistrationProcess() as process:
        with pytest.raises(BadInput, match="registration needs") as problem:
            process.register(clouds["query"][:20], clouds["place"])
        assert problem.value.reason == "too_few_points"
        for delay in (0.0, 0.1):  # it is being told, and it is dead
            assert process.register(clouds["query"], clouds["place"]).is_accepted
            process._process.kill()
            time.sleep(delay)
            with pytest.raises(ModelError, match="died"):
                process.register(clouds["query"], clouds["place"])
        assert process.register(clouds["query"], clouds["place"]).is_accepted
    process.close()  # a second time does nothing


def resident_mb(pid: int) -> float:
    """Of a process whose fork has ended, or will in a moment."""
    process = psutil.Process(pid)
    psutil.wait_procs(process.children(recursive=True), timeout=10)
    return sum(entry.memory_info().rss for entry in [process, *process.children(recursive=True)]) / 2**20


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4", "u1", "?"])
@pytest.mark.parametrize("shape", [(5, 3), (0, 4), (), (7,)])
def test_arrays_come_out_of_a_pipe_as_they_went_in(dtype, shape):
    values, pipe = np.random.default_rng(1).uniform(0, 200, shape).astype(dtype), io.BytesIO()
    for array in (values, values.T):
        registration_process.write_array(pipe, array)
    size = pipe.tell()
    pipe.seek(0)
    for array in (values, values.T):
        read = registration_process.read_array(pipe)
        assert (read.dtype, read.shape) == (array.dtype, array.shape) and read.flags.writeable
        np.testing.assert_array_equal(read, array)
    pipe.seek(0)
    pipe.truncate(size - 1)
    with pytest.raises(EOFError):
        [registration_process.read_array(pipe) for _ in range(2)]


@pytest.mark.parametrize("about", ['{"dtype": "|O", "shape": [1]}', '{"dtype": "|u1", "shape": [-1]}'])
def test_no_other_array_comes_out_of_a_pipe(about):
    pipe = io.BytesIO(about.encode() + b"\n" + bytes(8))
    with pytest.raises(ValueError, match=r"OBJECT|negative"):
        registration_process.read_array(pipe)


def test_whatever_cannot_be_told_leaves_the_process_in_step(clouds, monkeypatch):
    with RegistrationProcess() as process:
        process.register(clouds["query"], clouds["place"], np.eye(4).tolist())  # as the function takes it
        with monkeypatch.context() as patch:
            patch.setattr(registration_process, "read_line", lambda _pipe: {})  # no field of an answer
            with pytest.raises(ModelError, match="died"):
                process.register(clouds["query"], clouds["place"])
        assert process.register(clouds["query"], clouds["place"]).is_accepted


def test_an_answer_leaves_nothing_for_the_search_for_garbage(clouds):
    with RegistrationProcess() as process:
        process.register(clouds["query"], clouds["place"])
        gc.collect()
        gc.disable()
        try:
            process.register(clouds["query"], clouds["place"])
            assert gc.collect() < 10
            buffer = io.BytesIO()
            np.save(buffer, np.eye(4))
            buffer.seek(0)
            np.load(buffer)
            assert gc.collect() >= 10  # the control
        finally:
            gc.enable()


NAIVE = """
import sys, numpy, psutil
from vxp_ros.core.registration import register
cloud, resident = numpy.load(sys.argv[1]), lambda: psutil.Process().memory_info().rss / 2**20
register(cloud, cloud)
before = resident()
for _ in range(int(sys.argv[2])):
    register(cloud, cloud)
print(resident() - before)
"""


@pytest.mark.slow
def test_memory_stays_where_it_is(clouds, record_property, tmp_path):
    """Of a robot that stands where a keyframe was made, KISS-Matcher keeps 17 MiB with every call."""
    calls, most_mb = 5, 20
    with RegistrationProcess() as process:
        process.register(clouds["place"], clouds["place"])
        before = resident_mb(process._process.pid)
        for _ in range(calls):
            assert process.register(clouds["place"], clouds["place"]).is_accepted
        ours = resident_mb(process._process.pid) - before
    np.save(tmp_path / "cloud.npy", clouds["place"])
    command = [sys.executable, "-c", NAIVE, str(tmp_path / "cloud.npy"), str(calls)]  # this one has memory to spare
    naive = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
    record_property("MiB kept by five calls", round(ours, 1))
    record_property("of a naive process", round(naive, 1))
    assert ours < most_mb < naive


def test_what_ends_a_fork_is_told_as_death(clouds):
    """As KISS-Matcher does over clouds that it does not bear."""
    with RegistrationProcess() as process:
        assert process.register(clouds["query"], clouds["place"]).is_accepted
        is_over = threading.Event()
        killer = threading.Thread(target=kill_forks_of, args=(process._process.pid, is_over))
        killer.start()
        with pytest.raises(ModelError, match="died"):
            for _ in range(50):  # one may have answered before it is found
                process.register(clouds["query"], clouds["place"])
        is_over.set()
        killer.join()
        assert process.register(clouds["query"], clouds["place"]).is_accepted


def kill_forks_of(pid: int, is_over: threading.Event) -> None:
    while not is_over.wait(0.001):
        with suppress(psutil.NoSuchProcess):
            for fork in psutil.Process(pid).children():
                fork.kill()


def test_a_process_that_hangs_is_ended(clouds, monkeypatch):
    monkeypatch.setattr(registration_process, "PATIENCE_S", 0.5)
    with RegistrationProcess() as process:
        process._process = registration_process.start()
        os.kill(process._process.pid, signal.SIGSTOP)
        with pytest.raises(ModelError, match="died"):
            process.register(clouds["query"], clouds["place"])


def test_a_closed_process_stays_closed(clouds):
    process = RegistrationProcess()
    process.close()
    with pytest.raises(ModelError, match="is closed"):
        process.register(clouds["query"], clouds["place"])
    assert process._process is None


def test_a_candidate_keeps_what_it_had(clouds):
    place_map = map_of(clouds["place"])
    given = replace(candidates_of(place_map)[0], probability=0.7)
    found = find_verified(clouds["query"], [given], place_map)
    assert (found.candidate.probability, found.candidate.distance) == (0.7, 0.1)


def ask(place_map: PlaceMap, cloud: np.ndarray | None, status: Status = Status.OK, **settings) -> Recognition:
    answer = Recognition(5, "lidar", status, "as searched", tuple(candidates_of(place_map)), stage_ms={"search": 1.0})
    return verify(answer, cloud, place_map, VerifySettings(**settings))


@pytest.mark.parametrize("status", [Status.OK, Status.AMBIGUOUS])
def test_the_confirmed_candidate_leads_and_the_refused_ones_become_no_better(clouds, status):
    place_map = map_of(clouds["other"], clouds["place"], clouds["place"])
    answer = ask(place_map, clouds["query"], status)
    assert answer.status == Status.OK
    assert [entry.place_id for entry in answer.candidates] == [1, 0, 2]
    assert [entry.is_verified for entry in answer.candidates] == [True, False, False]
    assert np.allclose(answer.candidates[0].T_map_base, HERE @ BESIDE, atol=0.1)
    refused, untried = answer.candidates[1:]
    assert refused == replace(candidates_of(place_map)[0], inlier_ratio=refused.inlier_ratio)
    assert 0 <= refused.inlier_ratio < 1 and np.isnan(untried.inlier_ratio)
    assert "place 1 confirmed" in answer.message and ("as searched" in answer.message) == (status == Status.AMBIGUOUS)
    assert set(answer.stage_ms) == {"search", "verify"}


@pytest.mark.parametrize(("probability", "expected"), [(0.3, Status.AMBIGUOUS), (0.8, Status.OK)])
def test_a_confirmed_place_that_is_unlikely_stays_ambiguous(clouds, probability, expected):
    place_map = map_of(clouds["place"])
    candidate = replace(candidates_of(place_map)[0], probability=probability)
    answer = Recognition(5, "lidar", Status.OK, "as searched", (candidate,))
    answer = verify(answer, clouds["query"], place_map, VerifySettings(min_probability=0.7))
    assert answer.status == expected and answer.candidates[0].is_verified
    assert ("verify.min_probability 0.7" in answer.message) == (expected == Status.AMBIGUOUS)


def test_an_answer_that_the_clouds_refuse_is_ambiguous(clouds):
    place_map = map_of(clouds["other"], clouds["place"])
    answer = ask(place_map, clouds["query"], candidates=1)
    assert answer.status == Status.AMBIGUOUS
    assert [entry.place_id for entry in answer.candidates] == [0, 1]
    assert not any(entry.is_verified or entry.is_registered for entry in answer.candidates)
    assert "confirm no candidate (place 0: " in answer.message


def test_what_cannot_be_tried_stays_as_it_was_and_says_why(clouds):
    for cloud, places, words in ((None, clouds["place"], "no point cloud"), (clouds["query"], None, "no point clouds")):
        answer = ask(map_of(places), cloud)
        assert (answer.status, answer.candidates[0].is_verified) == (Status.OK, False)
        assert answer.message.startswith("as searched; the place's pose, not verified: ") and words in answer.message
    unknown = ask(map_of(clouds["place"]), clouds["query"], Status.NO_MATCH)
    assert (unknown.status, unknown.message) == (Status.NO_MATCH, "as searched")
