"""The recurrent PPO trainer: the loop over iterations around one ``Learner``."""

from haltere.agents.iterative import IterativeTrainer, check_commands, torch_threads
from haltere.agents.recipe import Recipe
from haltere.agents.recurrent_ppo.config import RecurrentPPOConfig
from haltere.agents.recurrent_ppo.learner import Learner, Streams
from haltere.agents.run_folder import RunFolder
from haltere.agents.streams import torch_seed
from haltere.configs.errors import ConfigError
from haltere.policies.base import Signature
from haltere.policies.registry import build_policy
from haltere.sims.lanes import signature_shapes


class RecurrentPPOTrainer(IterativeTrainer):
    """Trains the recipe's policy with recurrent PPO in a run folder. Fits the ``Trainer`` protocol."""

    def __init__(self, recipe: Recipe, seed: int, run_folder: RunFolder, threads: int = 1) -> None:
        """Build worlds, policy and learner at the beginning of a run.

        Args:
            recipe: task, policy and ``RecurrentPPOConfig``.
            seed: root of every random stream.
            run_folder: where checkpoints and metrics go.
            threads: of the worlds; never changes a result.

        Raises:
            ConfigError: the recipe's trainer isn't recurrent PPO, or it can't train its policy or its task.
        """
        config = recipe.trainer
        if not isinstance(config, RecurrentPPOConfig):
            raise ConfigError(f"trainer.type: must be recurrent_ppo for the recurrent trainer, got {config!r:.80}")
        streams = Streams.spawn(seed)
        env = recipe.make_env(config.worlds, training=True, threads=threads)
        signature = Signature(*signature_shapes(env))
        with torch_threads(config.torch_threads):
            actor = build_policy(recipe.policy, signature, torch_seed(streams.policy))
            check_commands("recurrent_ppo", actor)
            learner = Learner(env, actor, config, streams)
        super().__init__(recipe, run_folder, config, signature, learner)
