"""The recorder, through CARLA's unmodified client; and its files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haltere.configs.errors import RequestError
from haltere.sims.carla.geometry import Rotation, Transform, Vector
from haltere.sims.carla.server.embedded import EmbeddedServer
from haltere.sims.carla.server.recording.reports import blocked, collisions, told
from haltere.sims.carla.server.recording.track import Born, Frame, Track, Writer, load, path_of
from haltere.sims.carla.server.serving import ServerOptions
from haltere.sims.carla.server.wire import structs

carla = pytest.importorskip("carla", reason="CARLA's client has no wheel for this machine")

from .connecting import connected  # noqa: E402 -- it needs the client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of recordings."""
    return tmp_path / "recordings"


@pytest.fixture
def client(folder: Path) -> Iterator[Any]:
    """Of a server of its own, in synchronous mode."""
    with EmbeddedServer(ServerOptions(port=0, recordings=str(folder))) as server:
        yield connected(server)[0]


def crash(client: Any, ticks: int) -> tuple[Any, Any, list[Any]]:  # noqa: ANN401 -- of the carla package
    """One car drives into another one; both, and where the first one was after each tick."""
    world = client.get_world()
    library, place = world.get_blueprint_library(), world.get_map().get_spawn_points()[0]
    way = place.get_forward_vector()
    car = world.spawn_actor(library.find("vehicle.tesla.model3"), place)
    other = world.spawn_actor(
        library.find("vehicle.audi.tt"), carla.Transform(place.location + 12.0 * way, place.rotation)
    )
    for _ in range(20):
        world.tick()
    client.start_recorder("crash.rec")
    car.apply_control(carla.VehicleControl(throttle=1.0))
    places = []
    for _ in range(ticks):
        world.tick()
        places.append(car.get_transform())
    client.stop_recorder()
    client.get_server_version()  # the client doesn't wait for the former
    return car, other, places


def test_what_was_recorded_is_played_again(client: Any, folder: Path) -> None:  # noqa: ANN401
    """By new actors, tick by tick within a centimetre; they stay if they are to, and drive by themselves then."""
    car, other, places = crash(client, 80)
    assert (folder / "crash.rec").stat().st_size > 1000
    assert f"{car.id}  vehicle.tesla.model3  {other.id}" in client.show_recorder_collisions("crash.rec", "v", "v")
    assert car.destroy() and other.destroy()
    world = client.get_world()
    client.replay_file("crash.rec", 0.0, 0.0, 0)
    world.tick()
    (again,) = world.get_actors().filter("vehicle.tesla.model3")
    assert again.id != car.id
    for place in places[1:60]:
        world.tick()
        at = again.get_transform()
        assert at.location.distance(place.location) < 0.01 and abs(at.rotation.yaw - place.rotation.yaw) < 0.1
    client.stop_replayer(True)
    again.apply_control(carla.VehicleControl(throttle=1.0, reverse=True))
    start = again.get_location()
    for _ in range(60):
        world.tick()
    assert again.get_location().distance(start) > 1.0


def test_a_part_is_played(client: Any) -> None:  # noqa: ANN401
    """From a second on, negative from the end; who is still there plays himself."""
    car, _, places = crash(client, 60)
    world = client.get_world()
    for start_s in (1.0, -2.0):
        client.replay_file("crash.rec", start_s, 0.5, 0)
        world.tick()
        assert len(world.get_actors().filter("vehicle.*")) == 2
        assert car.get_location().distance(places[20].location) < 0.01
        for _ in range(9):
            world.tick()
        assert car.get_location().distance(places[29].location) < 0.01
        client.stop_replayer(False)
        world.tick()
        assert car.is_alive


@pytest.mark.parametrize("name", ["", "..", "../a", "a/b", "/etc/passwd", "x" * 200])
def test_only_files_of_the_folder_are_reached(client: Any, name: str) -> None:  # noqa: ANN401
    """Whatever the call."""
    with pytest.raises(RuntimeError, match="a file's name without folders"):
        client.show_recorder_file_info(name, True)
    with pytest.raises(RuntimeError, match="a file's name without folders"):
        client.start_recorder(name)


def test_a_recording_that_goes_on_is_no_file_yet(client: Any) -> None:  # noqa: ANN401
    """Asked for, it is refused; replayed, it ends first."""
    world = client.get_world()
    client.start_recorder("now.rec")
    world.tick()
    with pytest.raises(RuntimeError, match="still being recorded"):
        client.show_recorder_file_info("now.rec", False)
    client.replay_file("now.rec", 0.0, 0.0, 0)
    assert "Frames: 2" in client.show_recorder_file_info("now.rec", False)


def test_a_server_that_ends_ends_its_recording(folder: Path) -> None:
    """Nothing of it is lost."""
    with EmbeddedServer(ServerOptions(port=0, recordings=str(folder))) as server:
        client, world = connected(server)
        client.start_recorder("last.rec")
        for _ in range(10):
            world.tick()
    assert len(load(folder / "last.rec").frames) == 11


def test_what_is_no_recording_is_refused(client: Any, folder: Path) -> None:  # noqa: ANN401
    """In one sentence."""
    folder.mkdir()
    (folder / "text.rec").write_text("nothing")
    for name, sentence in (("text.rec", "not a recording"), ("none.rec", "there is no such recording")):
        with pytest.raises(RuntimeError, match=sentence):
            client.replay_file(name, 0.0, 0.0, 0)


def track() -> Track:
    """Two cars and somebody on foot: one stands, one drives into him and on."""
    description = [structs.Description(n, name) for n, name in enumerate(("vehicle.a", "vehicle.b", "walker.c"))]
    born = [Born(n + 1, each, Transform(Vector(float(n)), Rotation(yaw=10.0))) for n, each in enumerate(description)]
    frames = []
    for n in range(50):
        places = {1: (0.0,) * 9, 2: (0.1 * n, 5.0) + (0.0,) * 7, 3: (2.0, 5.0) + (0.0,) * 7}
        met = [(2, 3)] if 20 <= n < 25 or n == 40 else []
        frames.append(Frame(0.1 * n, born if n == 0 else [], [3] if n == 45 else [], places, met))
    return Track("grid", "today", frames)


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    """Written and read again."""
    writer = Writer(path_of(tmp_path, "a.rec"), track().town, track().date)
    for frame in track().frames:
        writer.add(frame)
    writer.close()
    found = load(tmp_path / "a.rec")
    assert found == track() and np.isclose(found.duration_s, 4.9)
    whole = (tmp_path / "a.rec").read_bytes()
    (tmp_path / "half.rec").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match=r"half\.rec: not a recording"):
        load(tmp_path / "half.rec")


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    """When it begins."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="file"):
        Writer(tmp_path / "file" / "a.rec", "grid", "today")


def test_reports_count(tmp_path: Path) -> None:
    """Meetings begin twice; the first car stands for 4.9 s, and the other one for none."""
    assert "Collisions: 2" in collisions(track(), "v", "w") and "Collisions: 2" in collisions(track(), "w", "a")
    assert "Collisions: 0" in collisions(track(), "v", "v")
    assert "2  v w  2  vehicle.b  3" in collisions(track(), "v", "w")
    stood = [line for line in blocked(track(), 2.0, 100.0).splitlines() if "vehicle" in line]
    assert stood == ["0  1  vehicle.a  4.9"]
    assert "Create 3: walker.c at (2, 0, 0)" in told(track(), every_frame=False) and "Destroy 3" in told(
        track(), every_frame=False
    )
    with pytest.raises(RequestError, match="no kind of actor 'z'"):
        collisions(track(), "z", "a")
