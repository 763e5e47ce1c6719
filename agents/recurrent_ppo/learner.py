"""One recurrent PPO, an iteration at a time, with all of its state in a value."""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger

from haltere.agents.episodes import EpisodeWindow
from haltere.agents.optimiser import adam_arrays, load_adam, not_finite, under
from haltere.agents.recurrent_ppo.algorithm import EpisodePPO
from haltere.agents.recurrent_ppo.buffer import EpisodeBuffer
from haltere.agents.recurrent_ppo.config import RecurrentPPOConfig
from haltere.agents.recurrent_ppo.network import SequenceActorCritic
from haltere.agents.recurrent_ppo.rollout import Player
from haltere.agents.recurrent_ppo.sights import Sights
from haltere.agents.streams import torch_seed
from haltere.agents.trainer import Arrays, TrainerState
from haltere.configs.errors import ConfigError, HaltereError, IntegrityError
from haltere.policies.base import Policy
from haltere.sims.task import FIRST_HELD_OUT_SEED, TaskVectorEnv

_MUST_BE_FINITE = ("train/policy_loss", "train/value_loss", "train/entropy_loss", "train/approx_kl", "train/grad_norm")


class Streams(NamedTuple):
    """The independent random streams of a run, spawned from its one root seed, in this order."""

    policy: np.random.SeedSequence
    init: np.random.SeedSequence
    noise: np.random.SeedSequence
    order: np.random.SeedSequence
    worlds: np.random.SeedSequence
    asked: np.random.SeedSequence

    @classmethod
    def spawn(cls, seed: int) -> "Streams":
        """From the root seed of a run."""
        return cls(*np.random.SeedSequence(seed).spawn(len(cls._fields)))


class Learner:
    """Actor, critic, optimiser, random generators and worlds of one run.

    Initial weights, choices, minibatch order, worlds and the steps that are reconstructed each have a random stream of
    their own. No global generator is read, seeded or moved. Between two iterations no episode is under way, so no
    memory is part of the state; every iteration gives the worlds seeds of the run's own.
    """

    def __init__(
        self, env: TaskVectorEnv[Any], actor: Policy[Any], config: RecurrentPPOConfig, streams: Streams
    ) -> None:
        """Build everything.

        Args:
            env: ``config.worlds`` worlds in training mode.
            actor: the policy to train, in place.
            config: the hyper-parameters.
            streams: the run's random streams.

        Raises:
            ConfigError: the task has no choices, or the policy can't be trained on sequences.
        """
        choices = check(config, env, actor)
        agents = env.agents or 1
        lanes = env.num_envs * agents
        self._config = config
        self._env = env
        self._noise = torch.Generator().manual_seed(torch_seed(streams.noise))
        self._order, self._asked = np.random.default_rng(streams.order), np.random.default_rng(streams.asked)
        self._seeds = np.random.default_rng(streams.worlds)
        self.episodes = EpisodeWindow(lanes, env.spec_.metrics, config.episode_window)
        # Layers draw from torch's global generator when they are built; the fork leaves the caller's where it was.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(torch_seed(streams.init))
            init = torch.Generator().manual_seed(torch_seed(streams.init))
            self.network = SequenceActorCritic(actor, config, init)
        # Lanes of the same agent in worlds of the same seed.
        alike = ((np.arange(env.num_envs) // config.tries * agents)[:, None] + np.arange(agents)).reshape(-1)
        sights = Sights(actor.signature.obs, alike)
        self.player = Player(env, self.network, sights, alike, self._noise, config, self.episodes)
        nothing = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.buffer = EpisodeBuffer(
            *(1, nothing, spaces.Discrete(choices)),
            generator=self._order,
            tries=config.tries,
            agents=agents,
            compare=config.baseline == "tries",
            free=config.free if config.bound == "each" else None,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            n_envs=lanes,
            device="cpu",
        )
        self._sights = sights
        self.model = EpisodePPO(self.network, sights, self.buffer, config, self._asked)
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        self.iterations = 0

    @property
    def steps(self) -> int:
        """Agent steps taken so far."""
        return self.model.num_timesteps

    def iterate(self) -> dict[str, float]:
        """One episode in every world and the update on them.

        Returns:
            The losses and what else is worth logging of the update, then the means over finished episodes.

        Raises:
            HaltereError: a loss or a weight is no longer finite, or no action of any episode had an effect.
        """
        model, total = self.model, self._config.total_steps
        self._env.set_training_steps(self.steps)
        if stages := self._config.narrowed:
            self.network.policy.read_at_most(next((stage.top_k for stage in stages if self.steps < stage.until), None))
        seeds = self._seeds.integers(FIRST_HELD_OUT_SEED, size=self._env.num_envs // self._config.tries)
        obs, _ = self._env.reset(seed=np.repeat(seeds, self._config.tries).tolist())
        self.network.eval()
        played = self.player.play(obs)
        if not played.acting.any():
            raise HaltereError(f"{self._env.spec_.id}: no action of any episode had an effect, so nothing is learned")
        self.buffer.fill(played)
        model.num_timesteps += int(played.lengths.sum())
        model._update_current_progress_remaining(model.num_timesteps, total)
        self.network.train()
        model.train()
        self.iterations += 1
        logged = {key: float(value) for key, value in model.logger.name_to_value.items()}
        model.logger.dump()
        self._check_finite(logged)
        means = {f"episode/{name}": value for name, value in self.episodes.means().items()}
        levels = {f"success/{name}": value for name, value in self.episodes.levels(self._env.levels).items()}
        return {**logged, **means, **levels, "episode/finished": float(self.episodes.finished)}

    def _check_finite(self, logged: dict[str, float]) -> None:
        bad = [name for name in _MUST_BE_FINITE if not np.isfinite(logged.get(name, 0.0))] + not_finite(self.network)
        if not bad:
            return
        source = None if np.isfinite(self.buffer.rewards).all() else "a reward"
        source = source if self._sights.finite() else "an observation"
        cause = f"{source} of these episodes is NaN or infinite" if source else "the episodes themselves are finite"
        raise HaltereError(f"training diverged at step {self.steps:,}: {', '.join(bad[:4])} not finite; {cause}")

    def state_dict(self) -> TrainerState:
        """See ``Trainer.state_dict``; taken between two iterations."""
        arrays: Arrays = {"noise_generator": self._noise.get_state().numpy().copy()}
        policy: Arrays = {}
        for name, value in self.network.state_dict().items():
            if name.startswith("actor."):
                policy[name.removeprefix("actor.")] = value.numpy().copy()
            else:
                arrays[f"network.{name}"] = value.numpy().copy()
        moments = adam_arrays(self.network, self.network.optimizer)
        arrays |= {f"optimizer.{name}": value for name, value in moments.items()}
        arrays |= {f"episodes.{name}": value for name, value in self.episodes.state_dict().items()}
        if self.iterations:
            arrays |= {f"env.{name}": np.array(value) for name, value in self._env.state_dict().items()}
        values = {
            "steps": self.steps,
            "iterations": self.iterations,
            "updates": self.model._n_updates,
            "seeds_generator": self._seeds.bit_generator.state,
            "order_generator": self._order.bit_generator.state,
            "asked_generator": self._asked.bit_generator.state,
        }
        return TrainerState(policy, arrays, values)

    def load_state_dict(self, state: TrainerState) -> None:
        """See ``Trainer.load_state_dict``."""
        arrays = state.arrays
        try:
            weights = {f"actor.{name}": value for name, value in state.policy.items()} | under("network.", arrays)
            self.network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
            load_adam(self.network, self.network.optimizer, under("optimizer.", arrays))
            self._noise.set_state(torch.from_numpy(arrays["noise_generator"].copy()))
            self._seeds.bit_generator.state = state.values["seeds_generator"]
            self._order.bit_generator.state = state.values["order_generator"]
            self._asked.bit_generator.state = state.values["asked_generator"]
            self.episodes.load_state_dict(under("episodes.", arrays))
            counters = [int(state.values[name]) for name in ("steps", "iterations", "updates")]
            if counters[1]:
                self._env.load_state_dict(under("env.", arrays))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise IntegrityError(f"checkpoint: not a state of this configuration: {error}") from error
        self.model.num_timesteps, self.iterations, self.model._n_updates = counters


def check(config: RecurrentPPOConfig, env: TaskVectorEnv[Any], actor: Policy[Any]) -> int:
    """See that settings go together, and with the task and the policy; returns how many choices that has.

    Raises:
        ConfigError: they don't.
    """
    if env.choices is None:
        others = "ppo trains others, with policies without memory"
        if not actor.initial_state(1):
            others = f"the policy '{actor.config.type}' has no memory, so: --trainer.type ppo"
        raise ConfigError(
            f"trainer.type: recurrent_ppo trains where an action is a choice, and in {env.spec_.id} it isn't; {others}"
        )
    if env.num_envs % config.tries:
        raise ConfigError(f"trainer.tries: must divide trainer.worlds {env.num_envs}, got {config.tries}")
    if (ends := [stage.until for stage in config.narrowed]) != sorted(set(ends)):
        raise ConfigError(f"trainer.narrowed: each stage must end later, got {ends}")
    if config.free is not None and config.free > config.tries:
        raise ConfigError(f"trainer.free: must be at most trainer.tries {config.tries}, got {config.free}")
    if config.free is not None and config.free < config.tries and config.gamma != 1.0:
        raise ConfigError(
            f"trainer.gamma: must be 1 where tries hold on to a first choice (trainer.free {config.free} of "
            f"{config.tries}), got {config.gamma}"
        )
    if config.baseline == "tries" and config.tries < 2:
        raise ConfigError(f"trainer.baseline: tries needs trainer.tries of at least 2, got {config.tries}")
    if config.bound == "each" and (config.baseline != "tries" or config.tries - (config.free or 0) != env.choices):
        raise ConfigError(
            f"trainer.bound: each needs trainer.baseline tries and as many trainer.tries as trainer.free and the "
            f"{env.choices} choices together, got {config.baseline}, {config.tries} and {config.free}"
        )
    if config.bound == "each" and not config.free:
        got = "none" if config.free is None else config.free
        raise ConfigError(f"trainer.free: must be at least 1, to learn what comes after a first choice, got {got}")
    return env.choices
