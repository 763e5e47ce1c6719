"""What can be set about driving a route."""

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class EndpointConfig:
    """Which CARLA it is driven in.

    Attributes:
        host: of a CARLA that runs already, or of a ``haltere carla``; where empty, each world begins a server of its
            own, and ends it.
        port: of its calls.
        timeout_s: at most for one of its answers.
    """

    __pydantic_config__ = STRICT

    host: str = ""
    port: Annotated[int, Ge(1), Le(65_533)] = 2000
    timeout_s: Annotated[float, Gt(0.0), Le(3600.0)] = 30.0


@dataclass(frozen=True)
class RouteConfig:
    """Where, among whom, and how far.

    Attributes:
        town: a map that the server has, such as ``grid``, ``europe``, ``highway``, ``parking``; or, for a server that
            runs already, one of its own.
        vehicles: others on the road.
        shortest_m: routes are no shorter.
        longest_m: nor longer.
        limit_s: an episode is cut off after so long.
        standing_s: one who goes slower than 1 km/h for so long has failed; red lights take less.
        off_route_m: one whose middle is further from the route than this has failed.
        carla: the server.
    """

    __pydantic_config__ = STRICT

    town: str = "grid"
    vehicles: Annotated[int, Ge(0), Le(200)] = 6
    shortest_m: Annotated[float, Ge(20.0), Le(10_000.0)] = 100.0
    longest_m: Annotated[float, Ge(20.0), Le(10_000.0)] = 300.0
    limit_s: Annotated[float, Ge(1.0), Le(3600.0)] = 120.0
    standing_s: Annotated[float, Ge(1.0), Le(3600.0)] = 60.0
    off_route_m: Annotated[float, Ge(0.5), Le(20.0)] = 3.0
    carla: EndpointConfig = field(default_factory=EndpointConfig)
