"""Worlds, tasks, rollout and evaluation. Importing this tells Gymnasium of every task, and imports none of them."""

from importlib.util import find_spec

# The edge install has neither; whatever of sims it could use mustn't need them.
if find_spec("gymnasium") and find_spec("pydantic"):
    from haltere.sims.registration import register_tasks

    register_tasks()
