"""Attention over neighbours and obstacles for one drone of a swarm.

Source: Huang et al. 2023, arXiv:2309.13285, section IV-B, at the sizes of the network that was deployed: one encoder
layer, one head. One thing is ours: vectors are turned into the body frame before they are encoded (``body_features``),
which leaves 2,420 parameters at width 16 and two neighbours where the published inputs would take 2,596.

Two tokens make each softmax one sigmoid of a difference of scores: softmax(a, b) = (s, 1 - s) with s = sigmoid(a - b).
The difference of the tokens is therefore projected once, in place of each token, and that is what is computed.
"""

import math

import torch
from torch import Tensor, nn

from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.swarm.config import SwarmConfig

# Typical sizes of the features, as factors: position 1 m, velocity 1.4 m/s, tilt 0.5, body rate 5 rad/s, height 3 m.
SELF_SCALE = (1.0,) * 3 + (0.7,) * 3 + (2.0,) * 3 + (0.2,) * 3 + (0.3,)
NEIGHBOUR_SCALE = (1.0,) * 3 + (0.5,) * 3
OBSTACLE_SCALE = (1.0,) * 4
HEAD_GAIN = 0.1  # small first commands: an untrained drone should fall, not tumble
GRID_PITCH_M = 0.1
FAR_M = 1.0  # a cylinder further away than this reads as one at this distance


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

    def forward(self, x: Tensor) -> Tensor:
        """(B, features) in physical units to (B, width) in [-1, 1]."""
        return torch.tanh(nn.functional.linear(x, self.linear.weight * self.scale, self.linear.bias))


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
    rotation = me[:, 6:15].unflatten(1, (3, 3))
    rows = grid.unflatten(1, (3, 3))
    slope_x = (rows[:, 2] - rows[:, 0]).mean(dim=1, keepdim=True) / (2 * GRID_PITCH_M)
    slope_y = (rows[:, :, 2] - rows[:, :, 0]).mean(dim=1, keepdim=True) / (2 * GRID_PITCH_M)
    slope = torch.cat([slope_x, slope_y, torch.zeros_like(slope_x)], dim=1)
    own = me[:, :6].unflatten(1, (2, 3))
    theirs = neighbour.unflatten(2, (2, 3)).flatten(1, 2)
    # A row vector times the matrix from body to world is that vector in the body frame.
    turned = torch.cat([own, theirs, slope.unsqueeze(1)], dim=1) @ rotation
    self_features = torch.cat([turned[:, :2].flatten(1), me[:, 12:]], dim=1)
    neighbour_features = turned[:, 2 : 2 + 2 * others].flatten(1)
    obstacle_features = torch.cat([grid[:, 4:5].clamp(max=FAR_M), turned[:, 2 + 2 * others]], dim=1)
    return self_features, neighbour_features, obstacle_features


class TwoTokenAttention(nn.Module):
    """Single-head self-attention over exactly two tokens, with residual and layer norm.

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1, without biases, as in the published swarm network.
    """

    def __init__(self, width: int, *, learned: bool) -> None:
        """Build the four projections; ``learned=False`` fixes both weights at one half and ignores query and key."""
        super().__init__()
        self.learned = learned
        self.scale = 1.0 / math.sqrt(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            first: (B, width) token.
            second: (B, width) token.

        Returns:
            The two attended tokens (B, 2, width), and the weight that each of the two queries gives to the first
            token (B, 2); the second token has the rest.
        """
        tokens = torch.stack([first, second], dim=1)
        difference = first - second
        if self.learned:
            score = (self.query(tokens) * self.key(difference).unsqueeze(1)).sum(dim=-1) * self.scale
            weight = torch.sigmoid(score)
        else:
            weight = torch.full_like(tokens[..., 0], 0.5)
        mixed = second.unsqueeze(1) + weight.unsqueeze(-1) * difference.unsqueeze(1)
        return self.norm(tokens + self.out(self.value(mixed))), weight


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
        own, neighbours, surface = body_features(obs["self"], obs["neighbour"], obs["obstacle"])
        me = self.self_encoder(own)
        neighbour = self.neighbour_encoder(neighbours)
        obstacle = self.obstacle_encoder(surface)
        context, on_neighbour = self.attention(neighbour, obstacle)
        mean_weight = on_neighbour.mean(dim=1)
        action = self.head(self.fuse(torch.cat([me, context.flatten(1)], dim=1)))
        attention = torch.stack([mean_weight, 1.0 - mean_weight], dim=1)
        return {"action": action, "attention": attention}, state
