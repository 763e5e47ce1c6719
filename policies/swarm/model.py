"""Attention over neighbours and obstacles for one drone of a swarm.

Source: Huang et al. 2023, arXiv:2309.13285, section IV-B, at the sizes of the network that was deployed: one encoder
layer, one head. One thing is ours: vectors are turned into the body frame before they are encoded (``body_features``),
which leaves 2,420 parameters at width 16 and two neighbours where the published inputs would take 2,596.

Two tokens make each softmax one sigmoid of a difference of scores: softmax(a, b) = (s, 1 - s) with s = sigmoid(a - b).
The difference of the tokens is therefore projected once, in place of each token, and that is what is computed.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.fused import fused
from haltere.policies.swarm.config import SwarmConfig

# Typical sizes of the features, as factors: drawn-in position 0.5, velocity 1.4 m/s, tilt 0.5, body rate 5 rad/s,
# height 3 m.
SELF_SCALE = (2.0,) * 3 + (0.7,) * 3 + (2.0,) * 3 + (0.2,) * 3 + (0.3,)
NEIGHBOUR_SCALE = (2.0,) * 3 + (0.5,) * 3
OBSTACLE_SCALE = (1.0,) * 4
HEAD_GAIN = 0.1  # small first commands: an untrained drone should fall, not tumble
GRID_PITCH_M = 0.1
FAR_M = 1.0  # a cylinder further away than this reads as one at this distance
# Signs of a distance grid's nine readings, x slowest, in its slope (x, y, 0).
SLOPE_SIGNS = torch.tensor([(x, y, 0.0) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])


class Encoder(nn.Module):
    """One linear layer and tanh over features in physical units.

    The features' typical sizes are folded into the weight, so what trains sees inputs near one while the layer stays
    one matrix, on a microcontroller too. They are saved with the weights, whose meaning depends on them.
    """

    scale: Tensor

    def __init__(self, scale: tuple[float, ...], width: int) -> None:
        """Build for one factor a feature."""
        super().__init__()
        self.linear = nn.Linear(len(scale), width)
        self.register_buffer("scale", torch.tensor(scale))

    def weights(self) -> tuple[Tensor, Tensor]:
        """(width, features) matrix for features in physical units, and (width,) bias."""
        return self.linear.weight * self.scale, self.linear.bias


def draw_in(pairs: Tensor) -> Tensor:
    """Keep the direction of every position and map its length d to d / (1 m + d), below one; leave velocities.

    Far away the direction is what matters, which a tanh of a long vector's components would round off to a corner of a
    cube; close by, the vector itself.

    Args:
        pairs: (B, 2n, 3), positions [m] and velocities [m/s] in turn.
    """
    is_position = torch.tensor([1.0, 0.0]).repeat(pairs.shape[1] // 2).unsqueeze(1)
    length: Tensor = torch.linalg.vector_norm(pairs * is_position, dim=-1, keepdim=True)
    return pairs / (1.0 + length)


def body_features(me: Tensor, neighbour: Tensor, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What is sensed, seen from the drone: every vector of the world frame turned into the body frame.

    A drone's motors push along its own axes, so in the body frame the way to fly doesn't depend on the heading, and a
    small network needn't learn the product of attitude and error. The distance grid becomes the distance in its middle
    and its slope, which points away from the nearest surface (of length one beside a single one).

    Args:
        me: (B, 19) as the task gives it.
        neighbour: (B, K, 6).
        grid: (B, 9), x slowest.

    Returns:
        (B, 13) goal error [m], velocity [m/s], world's up, body rate [rad/s], height [m]; (B, 6K) relative positions
        [m] and velocities [m/s]; (B, 4) distance [m] and slope. Vectors in the body frame.
    """
    others = neighbour.shape[1]
    own, theirs = me[:, :6].unflatten(1, (2, 3)), neighbour.reshape(-1, 2 * others, 3)
    # Three differences over two pitches each; their mean.
    slope = grid @ SLOPE_SIGNS.to(grid.dtype) / (3 * 2 * GRID_PITCH_M)
    vectors = torch.cat([draw_in(torch.cat([own, theirs], dim=1)), slope.unsqueeze(1)], dim=1)
    # A row vector times the matrix from body to world is that vector in the body frame.
    turned = (vectors @ me[:, 6:15].unflatten(1, (3, 3))).flatten(1)
    own_size, their_size = 6, 6 * others
    self_features = torch.cat([turned[:, :own_size], me[:, 12:]], dim=1)
    neighbour_features = turned[:, own_size : own_size + their_size]
    obstacle_features = torch.cat([grid[:, 4:5].clamp(max=FAR_M), turned[:, own_size + their_size :]], dim=1)
    return self_features, neighbour_features, obstacle_features


class TwoTokenAttention(nn.Module):
    """Single-head self-attention over exactly two tokens, with residual and layer norm.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1, without biases, as in the published swarm network.
    """

    def __init__(self, width: int, *, learned: bool) -> None:
        """Build the four projections; ``learned=False`` fixes both weights at one half and ignores query and key."""
        super().__init__()
        self.learned = learned
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def weights(self) -> tuple[Tensor, ...]:
        """Query, key, value, out: (width, width) each; then the norm's (width,) weight and bias."""
        matrices = (self.query.weight, self.key.weight, self.value.weight, self.out.weight)
        return *matrices, self.norm.weight, self.norm.bias


def attend(
    first: Tensor,
    second: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    *,
    learned: bool,
) -> tuple[Tensor, Tensor]:
    """Compute the attention that ``TwoTokenAttention`` has the weights of.

    Args:
        first: (B, width) token.
        second: (B, width) token.
        query: (width, width), as are key, value and out.
        key: see query.
        value: see query.
        out: see query.
        norm_weight: (width,).
        norm_bias: (width,).
        learned: as for the module.

    Returns:
        The two attended tokens (B, 2, width), and the weight that each of the two queries gives to the first token
        (B, 2); the second token has the rest.
    """
    tokens = torch.stack([first, second], dim=1)
    difference = first - second
    if learned:
        scale = 1.0 / math.sqrt(first.shape[1])
        score = (linear(tokens, query) * linear(difference, key).unsqueeze(1)).sum(dim=-1) * scale
        weight = torch.sigmoid(score)
    else:
        weight = torch.full_like(tokens[..., 0], 0.5)
    mixed = second.unsqueeze(1) + weight.unsqueeze(-1) * difference.unsqueeze(1)
    return layer_norm(tokens + linear(linear(mixed, value), out), norm_bias.shape, norm_weight, norm_bias), weight


def fly(
    me: Tensor,
    neighbour: Tensor,
    obstacle: Tensor,
    self_weight: Tensor,
    self_bias: Tensor,
    neighbour_weight: Tensor,
    neighbour_bias: Tensor,
    obstacle_weight: Tensor,
    obstacle_bias: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    fuse_weight: Tensor,
    fuse_bias: Tensor,
    head_weight: Tensor,
    head_bias: Tensor,
    *,
    learned: bool = True,
) -> tuple[Tensor, Tensor]:
    """Compute the whole policy from observations and weights alone; see ``SwarmPolicy``.

    The order of the weights is that of the kernel of the same name. The encoders' are for features in physical units.

    Returns:
        (B, 4) action and (B, 2) attention.
    """
    own, neighbours, surface = body_features(me, neighbour, obstacle)
    first = torch.tanh(linear(neighbours, neighbour_weight, neighbour_bias))
    second = torch.tanh(linear(surface, obstacle_weight, obstacle_bias))
    attention = (query, key, value, out, norm_weight, norm_bias)
    context, on_neighbour = attend(first, second, *attention, learned=learned)
    mean_weight = on_neighbour.mean(dim=1)
    encoded = torch.tanh(linear(own, self_weight, self_bias))
    joined = torch.tanh(linear(torch.cat([encoded, context.flatten(1)], dim=1), fuse_weight, fuse_bias))
    action = torch.tanh(linear(joined, head_weight, head_bias))
    return action, torch.stack([mean_weight, 1.0 - mean_weight], dim=1)


class SwarmPolicy(Policy[SwarmConfig]):
    """Four motor commands from what one drone senses. Stateless.

    Observations (B = drones in the batch, K = neighbours):
        self       (B, 19)    position minus goal [m], velocity [m/s], rotation matrix row by row, body rate [rad/s],
                              height [m]; world frame but for the body rate
        neighbour  (B, K, 6)  relative position [m] and velocity [m/s], world frame
        obstacle   (B, 9)     distance to the nearest surface on a 3 x 3 grid of 0.1 m [m]

    Output:
        action     (B, 4)     thrust of each motor, -1 is off and +1 is full
        attention  (B, 2)     weight on neighbours and on obstacles, mean of the two queries; sums to one
    """

    def __init__(self, config: SwarmConfig, signature: Signature) -> None:
        """Build the network for the signature's number of neighbours."""
        super().__init__(config, signature)
        width = config.width
        self.self_encoder = Encoder(SELF_SCALE, width)
        self.neighbour_encoder = Encoder(NEIGHBOUR_SCALE * signature.obs["neighbour"][0], width)
        self.obstacle_encoder = Encoder(OBSTACLE_SCALE, width)
        self.attention = TwoTokenAttention(width, learned=config.attention == "softmax")
        self.fuse = nn.Sequential(nn.Linear(3 * width, width), nn.Tanh())
        self.head = nn.Sequential(nn.Linear(width, signature.action), nn.Tanh())
        self._initialise()

    def _initialise(self) -> None:
        """Xavier weights, as published, and zero biases; a head that begins small."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, gain=HEAD_GAIN if module is self.head[0] else 1.0)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, obs: Obs, state: State) -> tuple[Output, State]:
        """One control step; see the class for names, shapes and units."""
        inputs = (obs["self"], obs["neighbour"], obs["obstacle"])
        encoders = (self.self_encoder, self.neighbour_encoder, self.obstacle_encoder)
        fuse, head = cast(nn.Linear, self.fuse[0]), cast(nn.Linear, self.head[0])
        weights = (
            *(weight for encoder in encoders for weight in encoder.weights()),
            *self.attention.weights(),
            *(fuse.weight, fuse.bias, head.weight, head.bias),
        )
        if self.attention.learned:
            action, attention = fused("SwarmPolicy", fly, inputs, weights)
        else:  # the ablation, which has no kernel
            action, attention = fly(*inputs, *weights, learned=False)
        return {"action": action, "attention": attention}, state
