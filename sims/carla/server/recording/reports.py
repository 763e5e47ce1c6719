"""What a recording tells, as text for people."""

from haltere.configs.errors import RequestError
from haltere.sims.carla.server.recording.track import Track

_KINDS = {"h": "hero", "v": "vehicle", "w": "walker", "t": "traffic light", "o": "other", "a": "any"}
_CM_IN_M = 100.0


def told(track: Track, *, every_frame: bool) -> str:
    """Who came and went, frame by frame; or in short."""
    lines = [f"Version: 1\nMap: {track.town}\nDate: {track.date}\n"]
    for number, frame in enumerate(track.frames, start=1):
        if not (every_frame or frame.born or frame.gone or frame.met):
            continue
        lines.append(f"Frame {number} at {frame.time_s:g} seconds")
        for born in frame.born:
            where = born.place.location
            lines.append(f" Create {born.number}: {born.description.name} at ({where.x:g}, {where.y:g}, {where.z:g})")
            lines += [f"  {each.name} = {each.value}" for each in born.description.attributes if every_frame]
        lines += [f" Destroy {gone}" for gone in frame.gone]
        lines += [f" Collision between {one} and {other}" for one, other in frame.met]
        if every_frame:
            lines.append(f" Positions: {len(frame.places)}")
    lines.append(f"\nFrames: {len(track.frames)}\nDuration: {track.duration_s:g} seconds\n")
    return "\n".join(lines)


def collisions(track: Track, first: str, second: str) -> str:
    """When two of some kinds began to touch.

    Args:
        track: the recording.
        first: a letter: ``h`` hero, ``v`` vehicle, ``w`` walker, ``t`` traffic light, ``o`` other, ``a`` any.
        second: of the other one.

    Raises:
        RequestError: there is no such letter.
    """
    for letter in (first, second):
        if letter not in _KINDS:
            known = ", ".join(f"{key} ({kind})" for key, kind in _KINDS.items())
            raise RequestError(f"no kind of actor '{letter}' (valid: {known})")
    kinds, names = _kinds(track), {number: born.description.name for number, born in track.born().items()}
    lines = [f"Version: 1\nMap: {track.town}\nDate: {track.date}\n", "Time   Types  Id  Actor 1  Id  Actor 2"]
    touching: set[tuple[int, int]] = set()
    count = 0
    for frame in track.frames:
        now = {(min(pair), max(pair)) for pair in frame.met}
        for one, other in sorted(now - touching):
            for a, b in ((one, other), (other, one)):
                if _is(kinds.get(a, "o"), first) and _is(kinds.get(b, "o"), second):
                    types = f"{kinds.get(a, 'o')} {kinds.get(b, 'o')}"
                    lines.append(f"{frame.time_s:g}  {types}  {a}  {names.get(a, 'town')}  {b}  {names.get(b, 'town')}")
                    count += 1
                    break
        touching = now
    lines.append(f"\nFrames: {len(track.frames)}\nCollisions: {count}\nDuration: {track.duration_s:g} seconds\n")
    return "\n".join(lines)


def _kinds(track: Track) -> dict[int, str]:
    found = {}
    for number, born in track.born().items():
        role = {each.name: each.value for each in born.description.attributes}.get("role_name")
        letter = born.description.name[0]
        found[number] = "h" if role == "hero" else letter if letter in "vw" else "o"
    return found


def _is(kind: str, wanted: str) -> bool:
    return wanted in ("a", kind) or (wanted == "v" and kind == "h")


def blocked(track: Track, least_s: float, least_cm: float) -> str:
    """Vehicles that moved less than a distance for at least a time.

    Args:
        track: the recording.
        least_s: seconds.
        least_cm: centimetres, as CARLA counts here.
    """
    lines = [f"Version: 1\nMap: {track.town}\nDate: {track.date}\n", "Time  Id  Actor  Duration"]
    born, since = track.born(), dict[int, tuple[float, tuple[float, ...]]]()
    stood: list[tuple[float, int, float]] = []

    def left(number: int, now_s: float) -> None:
        began_s, _ = since.pop(number)
        if now_s - began_s >= least_s:
            stood.append((began_s, number, now_s - began_s))

    for frame in track.frames:
        for number in [number for number in since if number not in frame.places]:
            left(number, frame.time_s)
        for number, pose in frame.places.items():
            if number not in born or not born[number].description.name.startswith("vehicle."):
                continue
            if number in since:
                moved = sum((a - b) ** 2 for a, b in zip(pose[:3], since[number][1][:3], strict=True)) ** 0.5
                if moved * _CM_IN_M < least_cm:
                    continue
                left(number, frame.time_s)
            since[number] = (frame.time_s, pose)
    for number in list(since):
        left(number, track.duration_s)
    lines += [
        f"{began:g}  {number}  {born[number].description.name}  {lasted:g}" for began, number, lasted in sorted(stood)
    ]
    lines.append(f"\nFrames: {len(track.frames)}\nDuration: {track.duration_s:g} seconds\n")
    return "\n".join(lines)
