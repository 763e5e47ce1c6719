"""The trainer that learns from demonstrations: the loop over iterations around one ``Learner``."""

from pathlib import Path
from typing import Any

from haltere.agents.imitation.config import ImitationConfig
from haltere.agents.imitation.demonstrations import load
from haltere.agents.imitation.learner import Learner, Streams
from haltere.agents.iterative import IterativeTrainer, torch_threads
from haltere.agents.recipe import Recipe
from haltere.agents.run_folder import RunFolder
from haltere.agents.streams import torch_seed
from haltere.configs.errors import ConfigError
from haltere.deploy.loading import torch_actor
from haltere.policies.base import Policy, Signature
from haltere.policies.chunking.base import ChunkPolicy
from haltere.policies.registry import build_policy
from haltere.sims.evaluate import WORLDS, evaluate
from haltere.sims.lanes import signature_shapes
from haltere.sims.task import FIRST_ROLLOUT_SEED


class ImitationTrainer(IterativeTrainer):
    """Trains the recipe's policy on demonstrations in a run folder. Fits the ``Trainer`` protocol."""

    def __init__(self, recipe: Recipe, seed: int, run_folder: RunFolder, threads: int = 1) -> None:
        """Read the demonstrations, and build policy and learner at the beginning of a run.

        Args:
            recipe: task, policy and ``ImitationConfig``.
            seed: root of every random stream.
            run_folder: where checkpoints and metrics go.
            threads: of the worlds that the policy is tried in; never changes a result.

        Raises:
            ConfigError: the recipe's trainer isn't this one, or its policy can't be trained with it.
            RequestError: the demonstrations aren't there, aren't of this task, or are damaged.
        """
        config = recipe.trainer
        if not isinstance(config, ImitationConfig):
            raise ConfigError(f"trainer.type: must be imitation to learn from demonstrations, got {config!r:.80}")
        streams = Streams.spawn(seed)
        env = recipe.make_env(1)
        try:
            if env.agents is not None:
                raise ConfigError(f"trainer.type: imitation trains one agent, and {env.spec_.id} has a swarm of them")
            signature = Signature(*signature_shapes(env))
            with torch_threads(config.torch_threads):
                policy = build_policy(recipe.policy, signature, torch_seed(streams.policy))
                if not isinstance(policy, ChunkPolicy):
                    raise ConfigError(
                        f"trainer.type: imitation trains policies that plan a chunk of commands, and the policy "
                        f"'{policy.config.type}' isn't one"
                    )
                demos = Path(config.demos or f"demos/{recipe.task_name}")
                learner = Learner(policy, load(demos, env, config.episodes), config, streams, self._play)
        finally:
            env.close()
        self._threads = threads
        super().__init__(recipe, run_folder, config, signature, learner)

    def _play(self, policy: Policy[Any]) -> dict[str, float]:
        """Success and the other metrics of a policy in the task."""
        seeds = range(FIRST_ROLLOUT_SEED, FIRST_ROLLOUT_SEED + self._recipe.trainer.rollout_episodes)
        report = evaluate(
            torch_actor(policy),
            lambda worlds: self._recipe.make_env(worlds, threads=self._threads),
            seeds,
            task=self._recipe.task_name,
            actor_name="training",
            runtime="torch",
            worlds=self._recipe.worlds(WORLDS),
        )
        return {"success": report.success.mean, **{name: value.mean for name, value in report.metrics.items()}}
