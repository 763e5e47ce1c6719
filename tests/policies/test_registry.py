"""Policies are found by directory and entry point, cheaply, and built without touching anyone's random stream."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import torch

from haltere.configs import discovery
from haltere.configs.errors import ConfigError, RequestError
from haltere.policies.base import Policy, Signature
from haltere.policies.registry import build_policy, check_effect, policy_config_type, policy_names, policy_type

SIGNATURE = Signature({"self": (19,), "neighbour": (2, 6), "obstacle": (9,)}, action=4)


def test_every_policy_has_a_config_of_its_name_and_one_network() -> None:
    """The two files of each directory fit together."""
    assert "swarm" in policy_names()
    for name in policy_names():
        assert policy_config_type(name)().type == name
        assert issubclass(policy_type(name), Policy)


def test_listing_and_configuring_does_not_import_torch() -> None:
    """Help and validation stay fast; torch is for those who build a network."""
    code = (
        "import sys; from haltere.policies import registry as r;"
        "[r.policy_config_type(n) for n in r.policy_names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_equal_seeds_equal_weights_and_no_global_seed() -> None:
    """Initialisation depends on the seed alone, and leaves torch's own stream where it was."""
    config = policy_config_type("swarm")()
    torch.rand(3)
    before = torch.random.get_rng_state()
    first, again, other = (build_policy(config, SIGNATURE, seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.0.weight"], other["head.0.weight"])


@pytest.mark.parametrize("name", ["self", "neighbour", "obstacle"])
@pytest.mark.parametrize("shape", [None, (), (5,)])
def test_a_policy_that_does_not_fit_its_task_is_named(name: str, shape: tuple[int, ...] | None) -> None:
    """A signature without what the network is built for, or of another shape, is a sentence before any training."""
    obs = {key: value for key, value in SIGNATURE.obs.items() if key != name}
    if shape is not None:
        obs[name] = shape
    with pytest.raises(ConfigError, match=r"^policy\.type: swarm doesn't fit this task: "):
        build_policy(policy_config_type("swarm")(), Signature(obs, 4), seed=0)


def test_an_unknown_name_gets_the_nearest() -> None:
    """A typo is a request error with a suggestion."""
    with pytest.raises(RequestError, match=r"no policy named 'swrm'; did you mean 'swarm'\?"):
        policy_config_type("swrm")


@dataclass(frozen=True)
class Candid:
    """A policy's configuration that says what does nothing."""

    size: int = 1
    cell_size: int = 1

    def without_effect(self, training: bool) -> dict[str, str]:
        """One setting in every network, another in a trained one."""
        return {"cell_size": "has no cells"} | ({} if training else {"size": "is that of the weights"})


def test_any_policy_may_say_which_settings_do_nothing() -> None:
    """What was typed is refused with the reason; a configuration without the method has a use for everything."""
    with pytest.raises(RequestError, match=r"^--policy\.cell-size: has no cells$"):
        check_effect(Candid(), ["size", "cell_size"], training=True)
    with pytest.raises(RequestError, match=r"^--policy\.size: is that of the weights$"):
        check_effect(Candid(), ["size"], training=False)
    check_effect(Candid(), ["size"], training=True)
    check_effect(policy_config_type("swarm")(), ["width", "attention"], training=False)


def test_two_packages_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which network a name means must not depend on the order of installation."""
    entries = EntryPoints([EntryPoint("swarm", "elsewhere", "haltere.policies")])
    monkeypatch.setattr(discovery, "entry_points", lambda group: entries.select(group=group))
    with pytest.raises(ConfigError, match=r"two packages define the policy 'swarm': .*policies\.swarm and elsewhere"):
        policy_names()


def test_a_plugin_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point that leads nowhere is a sentence, not a traceback."""
    entries = EntryPoints([EntryPoint("ghost", "no_such_package", "haltere.policies")])
    monkeypatch.setattr(discovery, "entry_points", lambda group: entries.select(group=group))
    assert "ghost" in policy_names()
    with pytest.raises(ConfigError, match=r"no module named 'no_such_package.config'"):
        policy_config_type("ghost")
