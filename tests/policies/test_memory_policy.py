"""The memory policy: its encoders, its layers, and its two halves for a trainer."""

from dataclasses import fields
from typing import Any

import pytest
import torch

from haltere.configs.errors import ConfigError
from haltere.policies.base import Obs, Signature
from haltere.policies.memory.config import MemoryConfig
from haltere.policies.memory.encoders import ImageEncoder
from haltere.policies.memory.model import MemoryPolicy
from haltere.policies.memory.module import restarted
from haltere.policies.memory.reconstruction import Reconstruction
from haltere.policies.registry import build_policy

from .memories import some_starts

SIGNATURE = Signature({"image": (11, 11, 3), "instruction": (5,)}, 4)
SMALL = {"width": 16, "layers": 2, "chunk": 4, "slots": 3, "top_k": 2, "window": 6, "span": 9, "channels": 4}
KINDS: list[dict[str, Any]] = [
    *({"memory": name} for name in ("hcam", "trxl", "attention", "lstm", "aaren", "titans")),
    {"summary": "token", "residual": "gate", "local": False},
]


def built(signature: Signature = SIGNATURE, **settings: object) -> MemoryPolicy:
    """A small policy."""
    policy = build_policy(MemoryConfig(**{**SMALL, **settings}), signature, seed=1)  # type: ignore[arg-type]
    assert isinstance(policy, MemoryPolicy)
    return policy.eval()


def observed(lanes: int, steps: int, seed: int) -> Obs:
    """Random observations (B, T, ...)."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(lanes, steps, *shape, generator=generator) for name, shape in SIGNATURE.obs.items()}


@pytest.mark.parametrize("settings", KINDS, ids=str)
@torch.no_grad()
def test_a_sequence_is_what_a_robot_does(settings: dict[str, Any]) -> None:
    """Encoders, two layers and heads: sixty steps in one go, or one by one with resets, to 1e-5 in single precision."""
    policy, lanes, steps = built(**settings), 3, 60
    obs, starts = observed(lanes, steps, seed=2), some_starts(lanes, steps, seed=2)
    whole = policy.sequence(obs, policy.initial_state(lanes), starts, reading=True)
    state, initial = policy.initial_state(lanes), policy.initial_state(lanes)
    for step in range(steps):
        now = {name: tensor[:, step] for name, tensor in obs.items()}
        out, state = policy(now, restarted(state, initial, starts[:, step]))
        score = whole.scores[:, step]
        torch.testing.assert_close(out["action"], score / (1 + score.abs()), rtol=0, atol=1e-5)
        assert ("read" in out) == (whole.read is not None)
        if whole.read is not None:
            torch.testing.assert_close(out["read"], whole.read[:, step].mean(dim=1), rtol=0, atol=1e-5)
    for name, tensor in whole.state.items():
        torch.testing.assert_close(tensor, state[name], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_distinct_frames_need_encoding_only_once() -> None:
    """A sequence of frames that recur, from their embeddings: what the whole sequence gives."""
    policy = built()
    few, pattern = observed(2, 3, seed=1), torch.tensor([0, 1, 2, 2, 2, 1, 0, 0, 1])
    starts = torch.zeros(2, len(pattern), dtype=torch.bool)
    embedding = policy.encode(few)[:, pattern]
    all_of_it = {name: tensor[:, pattern] for name, tensor in few.items()}
    got = policy.remember(embedding, policy.initial_state(2), starts)
    wanted = policy.sequence(all_of_it, policy.initial_state(2), starts)
    torch.testing.assert_close(got.scores, wanted.scores, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("side", "patch", "grid"), [(33, 3, 11), (99, 9, 11), (64, 6, 11), (84, 8, 11), (11, 1, 11), (3, 1, 3)]
)
def test_every_pixel_is_seen(side: int, patch: int, grid: int) -> None:
    """A patch is a cell of an 11 x 11 room at 3 and at 9 pixels a cell, and no pixel is left over at other sizes."""
    encoder = ImageEncoder((side, side, 3), 4, 16).double()
    assert (encoder.shape.patch, encoder.shape.grid) == (patch, (grid, grid))
    seen = torch.zeros(side, side, 3)
    for seed in range(4):  # a patch of which each unit happens to be negative passes nothing on
        generator = torch.Generator().manual_seed(seed)
        image = torch.randn(8, side, side, 3, generator=generator).double().requires_grad_()
        encoder(image).square().sum().backward()
        assert image.grad is not None
        seen += image.grad.abs().sum(dim=0)
    assert (seen > 0).all()


@torch.no_grad()
def test_colours_may_come_first_or_last() -> None:
    """The same picture laid out in two ways, and the same weights: the same embedding."""
    last, first = ImageEncoder((12, 15, 3), 4, 16), ImageEncoder((3, 12, 15), 4, 16)
    first.load_state_dict(last.state_dict())
    image = torch.randn(2, 12, 15, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(first(image.permute(0, 3, 1, 2)), last(image))


@torch.no_grad()
def test_actions_keep_the_order_of_the_scores() -> None:
    """However large the scores: the choice with the largest is the choice with the largest action."""
    policy = built()
    policy.head.weight.mul_(1e4)
    obs, state = {name: tensor[:, 0] for name, tensor in observed(64, 1, seed=3).items()}, policy.initial_state(64)
    action = policy(obs, state)[0]["action"]
    scores = policy.sequence({n: t[:, None] for n, t in obs.items()}, state, torch.zeros(64, 1).bool()).scores[:, 0]
    assert scores.abs().max() > 100
    assert torch.equal(action.argsort(dim=1), scores.argsort(dim=1))
    assert action.abs().max() < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 15}, r"policy\.width: must be even, got 15"),
        ({"heads": 3}, r"policy\.heads: must divide policy\.width 16, got 3"),
        ({"memory": "attention", "heads": 16}, r"policy\.heads: must leave an even width to each head .*, got 1"),
        ({"top_k": 4}, r"policy\.top_k: must be at most policy\.slots 3, got 4"),
        ({"convolution": 1}, r"policy\.convolution: must be 0, or at least 2 .*, got 1"),
        ({"convolution": 2, "memory_grad": False}, r"policy\.convolution: would never be trained .*; set it to 0"),
    ],
)
def test_settings_that_dont_go_together_are_named(settings: dict[str, Any], message: str) -> None:
    """A sentence with the setting's path, before anything is trained."""
    with pytest.raises(ConfigError, match=f"^{message}$"):
        built(**settings)


OTHERS: dict[str, Any] = {
    **{"width": 8, "layers": 1, "heads": 2, "expansion": 3, "residual": "gate", "convolution": 3, "channels": 5},
    **{"chunk": 3, "slots": 2, "top_k": 1, "summary": "token", "local": False, "memory_grad": False},
    **{"window": 3, "span": 5, "reach": 9, "fast_hidden": 3},
}
"""Another value of every setting but the type and the memory itself."""


def _acted(policy: MemoryPolicy) -> list[torch.Tensor]:
    """Scores and state after 14 steps, more than any of the memories holds."""
    starts = torch.zeros(2, 14, dtype=torch.bool)
    done = policy.sequence(observed(2, 14, seed=8), policy.initial_state(2), starts)
    return [done.scores, *done.state.values()]


def _learned(policy: MemoryPolicy) -> list[torch.Tensor]:
    """The same, with what a trainer starts from and what it is told to do."""
    acted = _acted(policy)
    acted[0][:, -1].square().sum().backward()
    slopes = [parameter.grad for parameter in policy.parameters()]
    return [*acted, *policy.parameters(), *(slope for slope in slopes if slope is not None)]


def _same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["hcam", "trxl", "attention", "lstm", "aaren", "titans"])
def test_what_has_no_effect_is_what_changes_nothing(kind: str) -> None:
    """Just the settings that leave a beginner as it is, gradients and all, or a trained network and its weights."""
    assert {"type", "memory", *OTHERS} == {field.name for field in fields(MemoryConfig)}
    policy, idle = built(memory=kind), {True: set[str](), False: set[str]()}
    learned, shapes = _learned(policy), [parameter.shape for parameter in policy.parameters()]
    for name, value in OTHERS.items():
        assert getattr(policy.config, name) != value
        other = built(memory=kind, **{name: value})
        if _same(_learned(other), learned):
            idle[True].add(name)
        if [parameter.shape for parameter in other.parameters()] == shapes:
            other.load_state_dict(policy.state_dict())
            if _same(_acted(other), _acted(policy)):
                idle[False].add(name)
    assert {training: set(policy.config.without_effect(training)) for training in idle} == idle


def test_an_observation_that_is_no_image_is_named() -> None:
    """Two dimensions are neither a vector nor a picture."""
    with pytest.raises(ConfigError, match=r"memory doesn't fit this task: ValueError: an image is .* got \(7, 7\)"):
        built(Signature({"grid": (7, 7)}, 2))


@pytest.mark.parametrize("shape", [(33, 33, 3), (3, 20, 26)])
def test_reconstruction_learns_what_was_sensed(shape: tuple[int, ...]) -> None:
    """A head for each observation, in its shape; a few steps of descent bring every loss down."""
    signature = Signature({"image": shape, "instruction": (5,)}, 4)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        heads = Reconstruction(signature, 4, 16)
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(6, 16, generator=generator)
    obs = {
        "image": (torch.rand(6, *shape, generator=generator) < 0.2).float(),
        "instruction": torch.eye(5)[torch.arange(6) % 5],
    }
    assert {name: logits.shape for name, logits in heads(features).items()} == {n: t.shape for n, t in obs.items()}
    optimiser = torch.optim.Adam(heads.parameters(), lr=1e-2)
    first = {name: loss.item() for name, loss in heads.losses(features, obs).items()}
    for _ in range(30):
        optimiser.zero_grad()
        torch.stack([*heads.losses(features, obs).values()]).sum().backward()
        optimiser.step()
    for name, loss in heads.losses(features, obs).items():
        assert loss.item() < 0.8 * first[name]


@pytest.mark.parametrize("settings", [*KINDS, {"local": False}], ids=str)
@pytest.mark.parametrize("at", [None, 13])
def test_every_parameter_learns_from_the_last_step(settings: dict[str, Any], at: int | None) -> None:
    """Through heads, layers, memory, convolution and encoders: each has a slope, after three full chunks."""
    policy = built(**settings, layers=1, convolution=2, memory_grad=True).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():  # away from what is neutral, where some slopes cancel
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    obs = {name: tensor.double() for name, tensor in observed(3, 14, seed=6).items()}
    starts, begin = torch.zeros(3, 14, dtype=torch.bool), policy.initial_state(3)
    if at is None:
        scores = policy.sequence(obs, begin, starts).scores
    else:
        scores = policy.remember(policy.encode(obs), begin, starts, at=torch.full((3, 1), at)).scores
    scores[:, -1].square().sum().backward()
    for name, parameter in policy.named_parameters():
        if settings.get("memory") == "aaren" and name.startswith("layers.0.norms.memory."):
            continue  # its query is fixed, so that told of a step, it doesn't look at it as well
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-8, name


@pytest.mark.parametrize("kind", ["hcam", "trxl", "attention"])
@pytest.mark.parametrize("changed", [0, 5, 13])
@torch.no_grad()
def test_a_step_lies_where_the_policy_says(kind: str, changed: int) -> None:
    """What is sensed in one step is in one place of the rings: the one that it names, from when it says, and is read.

    The rings of two lives that differ in that step differ in that place alone.
    """
    policy, lives = built(memory=kind, layers=1, local=False), []
    steps, after = policy.read_places
    obs = observed(1, changed + steps + after, seed=3)
    for scale in (1.0, 2.0):
        obs["instruction"][:, changed] *= scale
        state, last = policy.initial_state(1), None
        for step in range(changed - changed % steps + steps + after):
            last, (out, state) = state, policy({name: tensor[:, step] for name, tensor in obs.items()}, state)
        lives.append((last, state, out["read"]))
    (early, one, read), (early_too, other, _) = lives
    place = changed // steps % read.shape[1]
    assert steps == (4 if kind == "hcam" else 1)
    for name in policy.rings:
        differs = (one[name] != other[name]).flatten(2).any(dim=2)[0]
        assert differs.nonzero().flatten().tolist() == [place]
        assert torch.equal(early[name], early_too[name])
    assert kind == "hcam" or read[0, place] > 0


@pytest.mark.parametrize("settings", KINDS, ids=str)
@torch.no_grad()
def test_bounds_are_what_the_same_weights_do_with(settings: dict[str, Any]) -> None:
    """Weights fit a network with other bounds, and answer alike for as long as nothing is forgotten."""
    policy = built(**settings)
    bounded = policy.config.memory in ("hcam", "trxl", "attention")
    assert bool(policy.bounds) == bool(policy.read_places.steps) == bounded
    larger = {name: 2 * getattr(policy.config, name) for name in policy.bounds if name != "top_k"}
    other = built(**{**settings, **larger})
    other.load_state_dict(policy.state_dict())
    obs, starts = observed(2, 6, seed=4), torch.zeros(2, 6, dtype=torch.bool)
    one, two = (each.sequence(obs, each.initial_state(2), starts).scores for each in (policy, other))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
