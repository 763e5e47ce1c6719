"""Noise schedule and samplers against diffusers', step by step; and a chunk that comes out of noise."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from haltere.configs.errors import ConfigError
from haltere.policies.base import Signature
from haltere.policies.chunking.schedule import ddim, ddpm, squared_cosine
from haltere.policies.diffusion.config import DiffusionConfig
from haltere.policies.diffusion.model import DiffusionPolicy
from haltere.policies.registry import build_policy

from .repeating import repeated

SIGNATURE = Signature({"state": (5,)}, 2)
SMALL: dict[str, Any] = {"width": 16, "layers": 1, "horizon": 4, "executed": 2}
PREDICTION = {"velocity": "v_prediction", "chunk": "sample"}


def policy(**settings: Any) -> DiffusionPolicy:  # noqa: ANN401
    """A small one whose weights are far enough from zero for its estimates to matter."""
    built = build_policy(DiffusionConfig(**{**SMALL, **settings}), SIGNATURE, seed=3)
    assert isinstance(built, DiffusionPolicy)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in built.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return built.eval()


def scheduler(kind: Any, target: str, refinements: int, levels: int) -> Any:  # noqa: ANN401
    """Of diffusers, with the same settings."""
    made = kind(
        num_train_timesteps=levels,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=PREDICTION[target],
        timestep_spacing="trailing",
        clip_sample=True,
        clip_sample_range=1.0,
    )
    made.set_timesteps(refinements)
    return made


def test_betas_are_diffusers() -> None:
    """To the last digits of float32, in which diffusers has them."""
    theirs = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2").betas
    np.testing.assert_allclose(squared_cosine(100).numpy(), theirs.numpy(), rtol=2e-6)


@pytest.mark.parametrize("target", ["velocity", "chunk"])
@pytest.mark.parametrize(("refinements", "levels"), [(10, 100), (2, 100), (100, 100), (5, 50), (1, 10)])
def test_ddim_steps_as_diffusers_does(target: str, refinements: int, levels: int) -> None:
    """Every refinement of a chunk, from the same noise with the same network."""
    mine = policy(target=target, refinements=refinements, levels=levels)
    theirs = scheduler(DDIMScheduler, target, refinements, levels)

    def step(estimated: Tensor, level: int, chunk: Tensor, added: Tensor) -> Tensor:
        stepped: Tensor = theirs.step(estimated, level, chunk, use_clipped_model_output=True).prev_sample
        return stepped

    compare(mine, theirs, step)


@given(st.integers(1, 200), st.data())
def test_a_step_ends_where_the_next_one_begins(levels: int, data: st.DataObject) -> None:
    """Also where the levels aren't a multiple of the refinements, which diffusers' DDIM takes for granted.

    A chunk and noise that are known go through both samplers as what they are: DDIM's step keeps them, and DDPM's
    keeps their shares in the mean and gives the rest of the variance back.
    """
    refinements = data.draw(st.integers(1, levels))
    for sampler in (ddim, ddpm):
        table = sampler(levels, refinements)
        assert table.level[0] == levels - 1
        assert (table.level.diff() < 0).all()
        then = torch.cat([table.signal[1:], torch.ones(1)]).double()
        signal, noise = table.signal.double(), table.noise.double()
        kept = table.to_chunk + table.to_same * signal
        np.testing.assert_allclose(kept, then, atol=1e-5)
        spread = (table.to_noise + table.to_same * noise) ** 2 + table.fresh.double() ** 2
        np.testing.assert_allclose(spread, 1.0 - then**2, atol=1e-5)


@pytest.mark.parametrize("target", ["velocity", "chunk"])
@pytest.mark.parametrize(("refinements", "levels"), [(100, 100), (20, 100)])
def test_ddpm_steps_as_diffusers_does(target: str, refinements: int, levels: int, monkeypatch: Any) -> None:  # noqa: ANN401
    """With the noise that the policy was given in the place of what diffusers would draw."""
    mine = policy(target=target, sampler="ddpm", refinements=refinements, levels=levels)
    theirs = scheduler(DDPMScheduler, target, refinements, levels)
    module = "diffusers.schedulers.scheduling_ddpm.randn_tensor"

    def step(estimated: Tensor, level: int, chunk: Tensor, added: Tensor) -> Tensor:
        monkeypatch.setattr(module, lambda *_, **__: added)
        stepped: Tensor = theirs.step(estimated, level, chunk).prev_sample
        return stepped

    compare(mine, theirs, step)


def compare(mine: DiffusionPolicy, theirs: Any, step: Any) -> None:  # noqa: ANN401
    """Refine one chunk beside the other; each step begins with the same chunk."""
    generator = torch.Generator().manual_seed(5)
    state = mine.initial_state(3)
    for level in theirs.timesteps.tolist():
        obs = mine.random_obs(3, generator)
        begun = state["chunk"] if state and state["done"].any() else obs["noise"][:, 0]
        with torch.no_grad():
            output, following = mine(obs, state)
            sensed = mine.normaliser.obs({"state": obs["state"]})
            estimated = mine.estimate(sensed, begun, torch.full((3,), level))
        wanted = step(estimated, level, begun, obs["noise"][:, -1])
        refined = following["chunk"] if following else output["chunk"]  # one refinement leaves no state
        np.testing.assert_allclose(refined, wanted, atol=2e-5, rtol=2e-4)
        state = following
    assert (output["chunk"].abs() <= 1.0).all()
    if state:
        assert state["done"].tolist() == [[float(mine.config.refinements)]] * 3


def test_a_new_chunk_begins_with_noise_after_the_last_refinement() -> None:
    """What was refined before doesn't matter then."""
    mine = policy(refinements=3)
    generator = torch.Generator().manual_seed(6)
    obs, state = mine.random_obs(2, generator), mine.initial_state(2)
    chunks = []
    with torch.no_grad():
        for _ in range(6):
            output, state = mine(obs, state)
            chunks.append(output["chunk"])
    for first, second in zip(chunks[:3], chunks[3:], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(chunks[0], chunks[2])


@pytest.mark.parametrize("settings", [{}, {"target": "chunk"}, {"network": "unet", "channels": (16, 24)}], ids=str)
def test_one_call_is_ten(settings: dict[str, Any]) -> None:
    """Unrolled, the same chunk comes out at once."""
    one, many = policy(**settings, unrolled=True), policy(**settings)
    obs, state = one.random_obs(3, torch.Generator().manual_seed(8)), many.initial_state(3)
    assert one.initial_state(3) == {} and one.chunking.refinements == 1
    with torch.no_grad():
        whole, _ = one(obs, {})
        for _ in range(many.config.refinements):
            last, state = many(obs, state)
    assert last["chunk"].std() > 0.1
    np.testing.assert_allclose(whole["chunk"], last["chunk"], atol=1e-5)


@pytest.mark.parametrize("target", ["velocity", "chunk"])
def test_a_trained_network_gives_back_what_it_was_shown(target: str) -> None:
    """Two chunks, one for each of two observations: DDIM finds the right one from any noise."""
    torch.manual_seed(0)
    # A sum of gradient norms that differs between machines decides nothing here: the margin is wide.
    shown = torch.tensor([0.6, -0.6])[:, None, None].expand(2, 4, 2)
    np.testing.assert_allclose(repeated(policy(target=target), shown, 400, 3e-3), shown, atol=0.15)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"executed": 5}, "policy.executed: must be at most policy.horizon 4, got 5"),
        ({"refinements": 200}, "policy.refinements: must be at most policy.levels 100, got 200"),
        ({"unrolled": True, "sampler": "ddpm"}, "policy.unrolled: is for policy.sampler ddim; ddpm draws noise"),
        ({"width": 18}, "policy.width: must be even and a multiple of policy.heads 4, got 18"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], says: str) -> None:
    """With both of them named."""
    with pytest.raises(ConfigError, match=says):
        build_policy(DiffusionConfig(**{**SMALL, **settings}), SIGNATURE, seed=0)
