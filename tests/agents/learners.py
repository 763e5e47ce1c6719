"""A recurrent PPO learner without a run folder, on the toy and on Ballet, and its rollouts step by step."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from haltere.agents.recurrent_ppo.buffer import Played
from haltere.agents.recurrent_ppo.learner import Learner, Streams
from haltere.policies.base import Signature
from haltere.policies.registry import build_policy
from haltere.sims.lanes import choice_to_scores, signature_shapes
from tests.recall import RecallConfig, recall_recipe

BALLET = {
    "env.dancers": "mix",
    "env.delay": 16,
    "env.curriculum": [],
    "env.choice_steps": 6,
    "policy.width": 16,
    "policy.slots": 48,
    "policy.channels": 4,
    "trainer.worlds": 6,
    "trainer.tries": 1,
    "trainer.free": 1,
    "trainer.bound": "draw",
    "trainer.baseline": "critic",
    "trainer.noise": "step",
    "trainer.batch_episodes": 6,
}


def learner(
    env: RecallConfig | None = None,
    policy: dict[str, Any] | None = None,
    seed: int = 3,
    recipe: Any = None,  # noqa: ANN401 - a Recipe
    **settings: Any,  # noqa: ANN401 - of the trainer
) -> Learner:
    """A learner without a run folder; on the toy unless another recipe is given."""
    recipe = recipe or recall_recipe(env, policy, **settings)
    worlds = recipe.make_env(recipe.trainer.worlds, training=True)
    actor = build_policy(recipe.policy, Signature(*signature_shapes(worlds)), seed=0)
    return Learner(worlds, actor, recipe.trainer, Streams.spawn(seed))


def played(one: Learner, seed: int = 5) -> Played:
    """One episode in every world."""
    obs, _ = one._env.reset(seed=seeds(one, seed))
    return one.player.play(obs)


def seeds(one: Learner, seed: int) -> list[int]:
    """One for each world, the same for all tries."""
    tries = one._config.tries
    return [seed + world // tries for world in range(one._env.num_envs)]


@torch.no_grad()
def step_by_step(one: Learner, rollout: Played, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities, values and rewards (T, lanes) of a rollout's choices, by plain steps of the policy."""
    env, network = one._env, one.network
    obs, _ = env.reset(seed=seeds(one, seed))
    lanes, agents = len(rollout.lengths), env.agents or 1
    state, running = network.actor.initial_state(lanes), np.ones(lanes, bool)
    found = np.zeros((3, *rollout.acting.shape), np.float32)

    def sensed(tree: dict[str, np.ndarray]) -> dict[str, Tensor]:
        skip = 1 if env.agents is None else 2
        return {name: torch.from_numpy(array.reshape(lanes, *array.shape[skip:])) for name, array in tree.items()}

    for step, choice in enumerate(rollout.choices):
        done = network.policy.advance(network.policy.encode(sensed(obs)), state)
        state = done.state
        chances = torch.distributions.Categorical(logits=done.scores)
        found[0, step] = chances.log_prob(torch.from_numpy(choice)).numpy()
        found[1, step] = network.critic(done.features)[:, 0].numpy()
        actions = choice_to_scores(choice, env.choices or 0)
        obs, reward, terminated, truncated, infos = env.step(actions.reshape(env.action_space.shape))
        found[2, step] = np.where(running, reward.reshape(-1), 0.0)
        for lane in np.flatnonzero(np.repeat(truncated, agents) & running):
            last = {name: tensor for name, tensor in sensed(infos["final_obs"]).items()}
            features = network.policy.advance(network.policy.encode(last), state).features
            found[2, step, lane] += one._config.gamma * float(network.critic(features)[lane, 0])
        running &= ~np.repeat(terminated | truncated, agents)
        assert one._config.free is not None or (rollout.lengths[running] > step + 1).all()
    assert not running.any()
    return found[0], found[1], found[2]
