"""What a call of MoDE costs, counted from its settings."""

from typing import NamedTuple

from haltere.policies.base import Signature
from haltere.policies.mode.config import ModeConfig


class Cost(NamedTuple):
    """Of one refinement for one lane.

    Attributes:
        multiply_adds: in products of matrices; norms, activations and sums are left out. Attention is counted in full,
            as it is computed, also where it is causal.
        active: parameters that it reads.
        parameters: that there are.
    """

    multiply_adds: int
    active: int
    parameters: int


def cost(config: ModeConfig, signature: Signature, *, cached: bool) -> Cost:
    """Count.

    Args:
        config: the settings; ``routing`` isn't looked at.
        signature: what one lane senses and commands.
        cached: whether experts are folded ahead, or routers ask in every call.

    Raises:
        ValueError: an observation is an image; what looking at it costs isn't counted.
    """
    if images := [name for name, shape in signature.obs.items() if len(shape) != 1]:
        raise ValueError(f"counts what is sensed as vectors, and '{images[0]}' is an image")
    width, layers, action = config.width, config.layers, signature.action
    tokens = 1 + config.observed + config.horizon
    sensed = sum(shape[0] for shape in signature.obs.values())
    expert = 3 * width * config.expansion * width
    router = 0 if config.experts == 1 else width * width + width * config.experts
    router_bias = 0 if config.experts == 1 else width + config.experts
    sense = sensed * 2 * width + 2 * width * width
    ends = 2 * width * action
    projections = 4 * width * width

    products = config.observed * sense + config.horizon * ends
    products += layers * (tokens * (projections + config.active * expert) + 2 * tokens * tokens * width)
    products += 0 if cached else width + layers * router

    level = 2 * width
    rest = sense + 3 * width + ends + width + action + tokens * width + width  # with biases, places and the last norm
    a_layer = projections + 4 * width + 2 * width + 2 * (width // config.heads)
    shared = rest + layers * a_layer
    routing = level + layers * (router + router_bias)
    return Cost(
        multiply_adds=products,
        active=shared + layers * config.active * expert + (0 if cached else routing),
        parameters=shared + layers * config.experts * expert + routing,
    )
