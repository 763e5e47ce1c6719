"""Attention over neighbours and obstacles for one drone of a swarm.

Source: Huang et al. 2023, arXiv:2309.13285, section IV-B, at the sizes of the network that was deployed: one encoder
layer, one head, 2,596 parameters at width 16 and two neighbours.

Two tokens make each softmax one sigmoid of a difference of scores: softmax(a, b) = (s, 1 - s) with s = sigmoid(a - b).
The difference of the tokens is therefore projected once, in place of each token, and that is what is computed.
"""

import math

import torch
from torch import Tensor, nn

from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.swarm.config import SwarmConfig

# Typical sizes of what is sensed, as factors: position 1 m, velocity 1 m/s, rotation 1, body rate 3 rad/s, height 5 m.
SELF_SCALE = (1.0,) * 3 + (1.0,) * 3 + (1.0,) * 9 + (0.3,) * 3 + (0.2,)
NEIGHBOUR_SCALE = (1.0,) * 3 + (0.5,) * 3
# On a grid of 0.1 m the distances differ by at most 0.14 m, and those differences say where the obstacle is.
DIFFERENCE_SCALE = 5.0
HEAD_GAIN = 0.1  # small first commands: an untrained drone should fall, not tumble


def grid_features(cells: int) -> Tensor:
    """The distance grid as its mean and, enlarged, each other cell's difference from it: (cells, cells), invertible."""
    features = DIFFERENCE_SCALE * (torch.eye(cells) - 1.0 / cells)
    features[cells // 2] = 1.0 / cells
    return features


class Encoder(nn.Module):
    """One linear layer and tanh over features that are themselves linear in what is sensed.

    Features are of typical size one, which is what trains well. They are folded into the weight: the layer stays one
    matrix on physical units, on a microcontroller too. They are saved with the weights, whose meaning depends on them.
    """

    features: Tensor

    def __init__(self, features: Tensor, width: int) -> None:
        """Build.

        Args:
            features: (F, inputs), each row a feature.
            width: units.
        """
        super().__init__()
        self.linear = nn.Linear(len(features), width)
        self.register_buffer("features", features)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) in physical units to (B, width) in [-1, 1]."""
        return torch.tanh(nn.functional.linear(x, self.linear.weight @ self.features, self.linear.bias))


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
        others, grid = signature.obs["neighbour"][0], math.prod(signature.obs["obstacle"])
        self.self_encoder = Encoder(torch.diag(torch.tensor(SELF_SCALE)), width)
        self.neighbour_encoder = Encoder(torch.diag(torch.tensor(NEIGHBOUR_SCALE * others)), width)
        self.obstacle_encoder = Encoder(grid_features(grid), width)
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
        me = self.self_encoder(obs["self"])
        neighbour = self.neighbour_encoder(obs["neighbour"].flatten(1))
        obstacle = self.obstacle_encoder(obs["obstacle"])
        context, on_neighbour = self.attention(neighbour, obstacle)
        mean_weight = on_neighbour.mean(dim=1)
        action = self.head(self.fuse(torch.cat([me, context.flatten(1)], dim=1)))
        attention = torch.stack([mean_weight, 1.0 - mean_weight], dim=1)
        return {"action": action, "attention": attention}, state
