"""The swarm policy against a plain transformer: the algebra in the module must not change what is computed."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional as F

from haltere.policies.base import Signature
from haltere.policies.registry import build_policy
from haltere.policies.swarm.config import SwarmConfig
from haltere.policies.swarm.model import SwarmPolicy

NEIGHBOURS = 2
SIGNATURE = Signature({"self": (19,), "neighbour": (NEIGHBOURS, 6), "obstacle": (9,)}, action=4)


def built(width: int, attention: str = "softmax", seed: int = 3) -> SwarmPolicy:
    """A policy whose every parameter, biases and layer norm included, is away from its neutral value."""
    policy = build_policy(SwarmConfig(width=width, attention=attention), SIGNATURE, seed)  # type: ignore[arg-type]
    assert isinstance(policy, SwarmPolicy)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return policy.double()


def observations(batch: int) -> dict[str, Tensor]:
    """Random ones, in float64 so that agreement means algebra and not luck."""
    generator = torch.Generator().manual_seed(7)
    shapes = SIGNATURE.obs.items()
    return {name: torch.randn(batch, *shape, generator=generator, dtype=torch.float64) for name, shape in shapes}


def drawn(position: np.ndarray) -> np.ndarray:
    """The same direction, the length d as d / (1 + d)."""
    length = math.sqrt(position @ position)
    return position / length * (length / (1.0 + length))


def body_frame(obs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Features of each encoder, one drone at a time in numpy: the transposed attitude times each world vector."""
    rows: dict[str, list[np.ndarray]] = {"self": [], "neighbour": [], "obstacle": []}
    for me, others, grid in zip(*(obs[name].numpy() for name in rows), strict=True):
        attitude, cells = me[6:15].reshape(3, 3), grid.reshape(3, 3)
        slope = [(cells[2] - cells[0]).sum() / 0.6, (cells[:, 2] - cells[:, 0]).sum() / 0.6, 0.0]
        up = attitude.T @ [0.0, 0.0, 1.0]
        rows["self"].append(np.concatenate([attitude.T @ drawn(me[:3]), attitude.T @ me[3:6], up, me[15:]]))
        seen = [attitude.T @ v for other in others for v in (drawn(other[:3]), other[3:])]
        rows["neighbour"].append(np.concatenate(seen))
        rows["obstacle"].append(np.concatenate([[min(grid[4], 1.0)], attitude.T @ slope]))
    return {name: torch.from_numpy(np.array(row)) for name, row in rows.items()}


def plain(policy: SwarmPolicy, obs: dict[str, Tensor], *, mean: bool) -> tuple[Tensor, Tensor]:
    """The published network, written the usual way: softmax over two tokens with torch's own attention.

    Source: Huang et al. 2023, arXiv:2309.13285, section IV-B, and Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    weights = policy.state_dict()

    def encode(name: str, x: Tensor) -> Tensor:
        scaled = x * policy.get_buffer(f"{name}.scale")
        return torch.tanh(F.linear(scaled, weights[f"{name}.linear.weight"], weights[f"{name}.linear.bias"]))

    def dense(name: str, x: Tensor) -> Tensor:
        return torch.tanh(F.linear(x, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"]))

    features = body_frame(obs)
    me = encode("self_encoder", features["self"])
    tokens = torch.stack([encode(f"{name}_encoder", features[name]) for name in ("neighbour", "obstacle")], dim=1)
    query, key, value = (tokens @ weights[f"attention.{name}.weight"].T for name in ("query", "key", "value"))
    if mean:
        shown = torch.full((len(me), 2, 2), 0.5, dtype=tokens.dtype)
        attended = value.mean(dim=1, keepdim=True).expand_as(value)
    else:
        shown = torch.softmax(query @ key.transpose(1, 2) / tokens.shape[-1] ** 0.5, dim=-1)
        attended = F.scaled_dot_product_attention(query, key, value)
    mixed = tokens + attended @ weights["attention.out.weight"].T
    norm = F.layer_norm(mixed, mixed.shape[-1:], weights["attention.norm.weight"], weights["attention.norm.bias"])
    fused = dense("fuse", torch.cat([me, norm[:, 0], norm[:, 1]], dim=1))
    return dense("head", fused), shown.mean(dim=1)


@pytest.mark.parametrize("width", [10, 16, 32, 256])
@pytest.mark.parametrize("attention", ["softmax", "mean"])
def test_one_sigmoid_is_the_softmax_of_two_tokens(width: int, attention: str) -> None:
    """Actions and attention weights equal those of torch's scaled dot-product attention."""
    policy = built(width, attention)
    obs = observations(17)
    out, state = policy(obs, policy.initial_state(17))
    action, weight = plain(policy, obs, mean=attention == "mean")
    torch.testing.assert_close(out["action"], action, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(out["attention"], weight, rtol=1e-12, atol=1e-12)
    assert state == {}


@pytest.mark.parametrize(("width", "published"), [(10, 1204), (16, 2596)])
def test_parameter_counts_are_the_deployed_networks(width: int, published: int) -> None:
    """The published onboard network's count at K = 2, less the inputs that the body frame saves: 6 of 19 and 5 of 9."""
    policy = built(width)
    assert sum(parameter.numel() for parameter in policy.parameters()) == published - (6 + 5) * width


def test_heading_does_not_matter() -> None:
    """Turn a whole scene about the vertical and the same motors do the same: what makes a small network enough.

    The scene is one flat wall, whose distance grid can be written down for any heading: distance along a normal.
    """
    policy, generator = built(16), np.random.default_rng(0)
    attitude = Rotation.from_rotvec(0.3 * generator.standard_normal(3)).as_matrix()
    vectors = generator.standard_normal((2 + 2 * NEIGHBOURS, 3))
    normal, rate = np.array([0.6, 0.8]), generator.standard_normal(3)
    offsets = np.array([[x, y] for x in (-0.1, 0.0, 0.1) for y in (-0.1, 0.0, 0.1)])
    actions = []
    for heading in (0.0, 1.0, 2.5):
        turn = Rotation.from_euler("z", heading).as_matrix()
        seen = vectors @ turn.T
        grid = 0.4 + offsets @ (turn[:2, :2] @ normal)
        me = np.concatenate([seen[0], seen[1], (turn @ attitude).ravel(), rate, [1.5]])
        arrays = {"self": me, "neighbour": seen[2:].reshape(NEIGHBOURS, 6), "obstacle": grid}
        actions.append(policy({name: torch.from_numpy(array[None]) for name, array in arrays.items()}, {})[0]["action"])
    torch.testing.assert_close(actions[1], actions[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(actions[2], actions[0], rtol=1e-12, atol=1e-12)


def test_a_drone_at_its_goal_is_no_exception() -> None:
    """A vector of length zero has no direction: the action there is finite, and that of a goal very close."""
    policy = built(16)
    at, near = observations(3), observations(3)
    at["self"][:, :3], near["self"][:, :3] = 0.0, 1e-9
    torch.testing.assert_close(policy(at, {})[0]["action"], policy(near, {})[0]["action"], rtol=0, atol=1e-7)


def test_far_goals_differ_in_direction_alone() -> None:
    """Ten metres away or a thousand is much the same; north or east is not."""
    policy = built(16)
    obs = {name: value[:1].repeat(3, *[1] * (value.ndim - 1)) for name, value in observations(1).items()}
    obs["self"][:, :3] = torch.tensor([[10.0, 0.0, 0.0], [1000.0, 0.0, 0.0], [0.0, 10.0, 0.0]])
    near, far, aside = policy(obs, {})[0]["action"]
    assert (near - far).abs().max() < 0.2 * (near - aside).abs().max()


def test_attention_really_attends() -> None:
    """The weights depend on what is seen, sum to one, and differ between observations."""
    out, _ = built(16)(observations(64), {})
    weight = out["attention"].detach().numpy()
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, rtol=1e-12)
    assert weight[:, 0].std() > 0.01


def test_mean_ablation_ignores_query_and_key() -> None:
    """With ``attention: mean`` no change of query or key changes the action; with softmax it does."""
    for attention, same in (("mean", True), ("softmax", False)):
        policy = built(16, attention)
        before = policy(observations(5), {})[0]["action"]
        with torch.no_grad():
            policy.attention.query.weight.mul_(-3.0)
            policy.attention.key.weight.add_(1.0)
        after = policy(observations(5), {})[0]["action"]
        assert torch.equal(before, after) is same


def test_each_drone_is_alone_in_the_batch() -> None:
    """No lane sees another: a batch of 33 gives what 33 batches of one give."""
    policy, obs = built(16), observations(33)
    together = policy(obs, {})[0]["action"]
    alone = torch.cat([policy({k: v[i : i + 1] for k, v in obs.items()}, {})[0]["action"] for i in range(33)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_actions_stay_in_range() -> None:
    """Motor commands lie in [-1, 1] whatever is observed."""
    policy = built(16)
    action = policy({name: 1e6 * value for name, value in observations(64).items()}, {})[0]["action"]
    assert bool((action.abs() <= 1.0).all())
