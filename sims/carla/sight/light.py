"""The sun, the sky and the haze of a weather. All levels are ours, chosen so that pictures can be read."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_CLEAREST_M = 2500.0
"""Where half of a colour is the horizon's, without fog."""
_FOGGIEST_M = 20.0
"""Likewise at a density of 100."""

_DAY = ((0.23, 0.45, 0.80), (0.72, 0.82, 0.92))
_CLOUDED = ((0.50, 0.54, 0.59), (0.72, 0.75, 0.78))
_DUSK = ((0.26, 0.30, 0.50), (0.93, 0.65, 0.45))
_NIGHT = ((0.03, 0.04, 0.09), (0.10, 0.12, 0.20))


class Weather(Protocol):
    """What of CARLA's weather is seen: percent, degrees, and metres."""

    @property
    def cloudiness(self) -> float: ...  # noqa: D102
    @property
    def sun_azimuth_angle(self) -> float: ...  # noqa: D102
    @property
    def sun_altitude_angle(self) -> float: ...  # noqa: D102
    @property
    def fog_density(self) -> float: ...  # noqa: D102
    @property
    def fog_distance(self) -> float: ...  # noqa: D102
    @property
    def wetness(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Clear:
    """A clear afternoon, as a weather that nobody has set."""

    cloudiness: float = 10.0
    sun_azimuth_angle: float = 40.0
    sun_altitude_angle: float = 50.0
    fog_density: float = 0.0
    fog_distance: float = 0.0
    wetness: float = 0.0


def light_of(weather: Weather) -> NDArray[np.float32]:
    """What the library needs of a weather.

    Returns:
        (19,): to the sun, direct light, ambient light, the sky's colours overhead and at the horizon, 3 each; the
        distance at which half of a colour is the horizon's [m]; factors of wet ground and of ground in the shade; how
        much of the sun's disc is seen.
    """
    azimuth, altitude = math.radians(weather.sun_azimuth_angle), math.radians(weather.sun_altitude_angle)
    sun = np.array([math.cos(altitude) * math.cos(azimuth), math.cos(altitude) * math.sin(azimuth), math.sin(altitude)])
    clouds, fog, wet = (_share(value) for value in (weather.cloudiness, weather.fog_density, weather.wetness))
    # Between 10 degrees below the horizon and 15 above it, night turns to dusk and dusk to day.
    day = _between(weather.sun_altitude_angle, 0.0, 15.0)
    dusk = _between(weather.sun_altitude_angle, -10.0, 0.0)
    cover = min(1.0, clouds + 0.6 * fog)
    sky = np.array(_DAY) * (1 - cover) + np.array(_CLOUDED) * cover
    twilight = np.array(_DUSK) * (1 - cover) + 0.6 * np.array(_CLOUDED) * cover
    sky = sky * day + (1 - day) * (twilight * dusk + np.array(_NIGHT) * (1 - dusk))
    zenith, horizon = sky[0] * (1 - 0.8 * fog) + sky[1] * 0.8 * fog, sky[1]
    strength = day * (1 - 0.85 * cover)
    direct = 0.62 * strength * np.array([1.0, 0.96, 0.88])
    grey = np.array([0.58, 0.61, 0.66]) + 0.27 * (1 - strength) * np.ones(3)
    ambient = grey * day + (1 - day) * (np.array([0.60, 0.55, 0.57]) * dusk + np.array([0.27, 0.30, 0.42]) * (1 - dusk))
    haze = _CLEAREST_M * (_FOGGIEST_M / _CLEAREST_M) ** (fog**0.5) + max(0.0, weather.fog_distance) * (fog > 0)
    factors = [haze, 1 - 0.22 * wet, 0.80 - 0.30 * strength, max(0.0, strength - 0.2)]
    return np.concatenate([sun, direct, ambient, zenith, horizon, factors]).astype(np.float32)


def _share(percent: float) -> float:
    return min(1.0, max(0.0, percent / 100))


def _between(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
