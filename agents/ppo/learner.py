"""One stable-baselines3 PPO over lanes, an iteration at a time, with all of its state in a value."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger

from haltere.agents.optimiser import adam_arrays, linear, load_adam, not_finite, under
from haltere.agents.ppo.actor_critic import LaneActorCritic
from haltere.agents.ppo.config import PPOConfig
from haltere.agents.ppo.lanes_env import LanesEnv
from haltere.agents.ppo.rollout import LanePPO, SeededRolloutBuffer, SilentCallback
from haltere.agents.streams import first_episode_seed, torch_seed
from haltere.agents.trainer import Arrays, TrainerState
from haltere.configs.errors import ConfigError, HaltereError, IntegrityError
from haltere.policies.base import Policy
from haltere.sims.task import TaskVectorEnv

_RENAMED = {"train/policy_gradient_loss": "train/policy_loss"}
_MUST_BE_FINITE = ("train/policy_loss", "train/value_loss", "train/entropy_loss", "train/approx_kl")


class Streams(NamedTuple):
    """The independent random streams of a run, spawned from its one root seed, in this order."""

    policy: np.random.SeedSequence
    init: np.random.SeedSequence
    noise: np.random.SeedSequence
    order: np.random.SeedSequence
    worlds: np.random.SeedSequence

    @classmethod
    def spawn(cls, seed: int) -> "Streams":
        """From the root seed of a run."""
        return cls(*np.random.SeedSequence(seed).spawn(len(cls._fields)))


class Learner:
    """Actor, critic, optimiser, random generators and worlds of one PPO run.

    Initial weights, action noise, minibatch order and worlds each have a random stream of their own. No global
    generator is read, seeded or moved.
    """

    def __init__(self, env: TaskVectorEnv[Any], actor: Policy[Any], config: PPOConfig, streams: Streams) -> None:
        """Build everything; the worlds are reset by the first iteration, or restored by ``load_state_dict``.

        Args:
            env: ``config.worlds`` worlds in training mode.
            actor: the policy to train, in place.
            config: the hyper-parameters.
            streams: the run's random streams.

        Raises:
            ConfigError: the policy has memory, a rollout is a single step, or two settings contradict each other.
        """
        _check_memory(actor, env)
        self._config = config
        self._noise = torch.Generator().manual_seed(torch_seed(streams.noise))
        self._order = np.random.default_rng(streams.order)
        self._first_seed = first_episode_seed(streams.worlds, env.num_envs)
        self.lanes = LanesEnv(env, tuple(actor.signature.obs), config.episode_window)
        if config.rollout_steps * self.lanes.num_envs < 2:
            raise ConfigError(
                "trainer.rollout_steps: one lane needs at least 2, got 1: one step has no advantage to scale"
            )
        if config.ent_coef and config.log_std_final is not None:
            raise ConfigError(
                "trainer.ent_coef: has no effect on noise that trainer.log_std_final sets; give one of the two, got "
                f"{config.ent_coef} and {config.log_std_final}"
            )
        # Layers draw from torch's global generator when they are built. The critic's draw is overwritten from the run's
        # own stream, and the fork leaves the caller's generator where it was.
        with torch.random.fork_rng(devices=[]):
            self.model = self._build(actor, torch.Generator().manual_seed(torch_seed(streams.init)))
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self._callback = SilentCallback()
        self._callback.init_callback(self.model)
        self.lanes.bootstrap = self._discounted_value
        self.iterations = 0

    def _build(self, actor: Policy[Any], init_generator: torch.Generator) -> LanePPO:
        config = self._config
        model = LanePPO(
            LaneActorCritic,
            self.lanes,
            learning_rate=linear(config.learning_rate, config.learning_rate_final),
            n_steps=config.rollout_steps,
            batch_size=config.rollout_steps * self.lanes.num_envs,
            n_epochs=config.epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            clip_range_vf=config.clip_range_vf,
            ent_coef=config.ent_coef,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            target_kl=config.target_kl,
            rollout_buffer_class=SeededRolloutBuffer,
            rollout_buffer_kwargs={"generator": self._order},
            policy_kwargs={
                "actor": actor,
                "critic_width": config.critic_width,
                "log_std_init": config.log_std_init,
                "learn_log_std": config.log_std_final is None,
                "init": config.init,
                "init_generator": init_generator,
                "noise_generator": self._noise,
                "optimizer_kwargs": {"eps": config.adam_eps},
            },
            device="cpu",
        )
        # The buffer cuts equal minibatches of at most this many itself, so the constructor's warning about a remainder
        # (raised for any size that doesn't divide the rollout) wouldn't be true.
        model.batch_size = config.batch_size
        return model

    @property
    def steps(self) -> int:
        """Agent steps taken so far."""
        return self.model.num_timesteps

    @property
    def network(self) -> LaneActorCritic:
        """Actor, critic and log-std."""
        policy = self.model.policy
        assert isinstance(policy, LaneActorCritic)
        return policy

    def _discounted_value(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Value of final observations (n, D), discounted by one step, (n,)."""
        with torch.no_grad():
            value = self.network.predict_values(torch.from_numpy(flat)).squeeze(1)
        discounted: NDArray[np.float32] = value.numpy() * np.float32(self._config.gamma)
        return discounted

    def iterate(self) -> dict[str, float]:
        """One rollout and the update on it.

        Returns:
            The losses and what else is worth logging of the update, then the means over finished episodes.

        Raises:
            HaltereError: a loss or a weight is no longer finite; says at which step and where it came from.
        """
        model = self.model
        if model._last_obs is None:
            self.lanes.seed(self._first_seed)
            model._last_obs = self.lanes.reset()
            model._last_episode_starts = np.ones(self.lanes.num_envs, bool)
            self.network.critic.observe(torch.from_numpy(model._last_obs))
        self._schedule()
        self.lanes.task_env.set_training_steps(self.steps)
        model.collect_rollouts(self.lanes, self._callback, model.rollout_buffer, model.n_steps)
        model._update_current_progress_remaining(model.num_timesteps, self._config.total_steps)
        model.train()
        # Neighbouring steps see nearly the same, so every eighth says as much and costs an eighth.
        seen = model.rollout_buffer.observations[::8]
        self.network.critic.observe(torch.from_numpy(seen.reshape(-1, seen.shape[-1])))
        self.iterations += 1
        raw = model.logger.name_to_value
        logged = {_RENAMED.get(key, key): float(value) for key, value in raw.items()}
        model.logger.dump()
        self._check_finite(logged)
        means = {f"episode/{name}": value for name, value in self.lanes.episodes.means().items()}
        return {**logged, **means, "episode/finished": float(self.lanes.episodes.finished)}

    def _schedule(self) -> None:
        """Set the action noise of the next rollout and of the update on it, where it follows a schedule."""
        start, end = self._config.log_std_init, self._config.log_std_final
        if end is not None:
            progress = min(self.steps / self._config.total_steps, 1.0)
            with torch.no_grad():
                self.network.log_std.fill_(start + (end - start) * progress)

    def _check_finite(self, logged: dict[str, float]) -> None:
        bad = [name for name in _MUST_BE_FINITE if not np.isfinite(logged.get(name, 0.0))]
        bad += not_finite(self.network)
        if not bad:
            return
        buffer = self.model.rollout_buffer
        seen = {"observation": buffer.observations, "reward": buffer.rewards, "action": buffer.actions}
        source = next((name for name, array in seen.items() if not np.isfinite(array).all()), None)
        cause = f"an {source} of this rollout is NaN or infinite" if source else "the rollout itself is finite"
        raise HaltereError(f"training diverged at step {self.steps:,}: {', '.join(bad[:4])} not finite; {cause}")

    def state_dict(self) -> TrainerState:
        """See ``Trainer.state_dict``; taken between two iterations."""
        model = self.model
        assert isinstance(model._last_obs, np.ndarray) and model._last_episode_starts is not None
        arrays: Arrays = {
            "noise_generator": self._noise.get_state().numpy().copy(),
            "last_obs": model._last_obs.copy(),
            "last_episode_starts": np.asarray(model._last_episode_starts).copy(),
        }
        policy: Arrays = {}
        for name, value in self.network.state_dict().items():
            if name.startswith("actor."):
                policy[name.removeprefix("actor.")] = value.numpy().copy()
            else:
                arrays[f"network.{name}"] = value.numpy().copy()
        moments = adam_arrays(self.network, model.policy.optimizer)
        arrays |= {f"optimizer.{name}": value for name, value in moments.items()}
        arrays |= {f"episodes.{name}": value for name, value in self.lanes.episodes.state_dict().items()}
        arrays |= {f"env.{name}": np.array(value) for name, value in self.lanes.task_env.state_dict().items()}
        values = {
            "steps": model.num_timesteps,
            "iterations": self.iterations,
            "updates": model._n_updates,
            "order_generator": self._order.bit_generator.state,
        }
        return TrainerState(policy, arrays, values)

    def load_state_dict(self, state: TrainerState) -> None:
        """See ``Trainer.load_state_dict``."""
        model, arrays = self.model, state.arrays
        try:
            weights = {f"actor.{name}": value for name, value in state.policy.items()} | under("network.", arrays)
            self.network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
            load_adam(self.network, model.policy.optimizer, under("optimizer.", arrays))
            self._noise.set_state(torch.from_numpy(arrays["noise_generator"].copy()))
            self._order.bit_generator.state = state.values["order_generator"]
            self.lanes.episodes.load_state_dict(under("episodes.", arrays))
            obs = self.lanes.flatten(self.lanes.task_env.load_state_dict(under("env.", arrays)))
            last_obs, starts = arrays["last_obs"], arrays["last_episode_starts"]
            counters = [int(state.values[name]) for name in ("steps", "iterations", "updates")]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise IntegrityError(f"checkpoint: not a state of this configuration: {error}") from error
        if obs.tobytes() != np.asarray(last_obs, np.float32).tobytes():
            name = type(self.lanes.task_env).__name__
            raise IntegrityError(f"checkpoint: {name} restored other observations than it had, so resume isn't exact")
        model._last_obs = obs
        model._last_episode_starts = starts.copy()
        model.num_timesteps, self.iterations, model._n_updates = counters


def _check_memory(actor: Policy[Any], env: TaskVectorEnv[Any]) -> None:
    """See that single steps are enough to train on.

    Raises:
        ConfigError: the policy has memory; says what trains it.
    """
    if not actor.initial_state(1):
        return
    problem = f"trainer.type: ppo trains policies without memory, and the policy '{actor.config.type}' has one"
    if env.choices is None:
        raise ConfigError(f"{problem}; recurrent_ppo trains those where an action is a choice, as it isn't here")
    raise ConfigError(f"{problem}; an action of {env.spec_.id} is a choice, so: --trainer.type recurrent_ppo")
