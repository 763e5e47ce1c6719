"""The policies by name: ours by directory, a plugin's by the entry-point group ``haltere.policies``.

A policy is a package with ``config.py`` (a dataclass whose field ``type`` is the name) and ``model.py`` (one
``Policy``). Listing names and reading configurations doesn't import torch.

A configuration some of whose settings do nothing beside others may have a method that says so, and typing one of them
is then refused: ``without_effect(training) -> Mapping[str, str]`` gives each such setting and the reason, in words that
go after "--policy.name: ". ``training`` is false where a network isn't trained any more.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haltere.configs.discovery import directory_packages, import_part, is_config_for, the_one_class, with_plugins
from haltere.configs.errors import ConfigError, RequestError, unknown_name

if TYPE_CHECKING:
    from haltere.policies.base import Policy, Signature

GROUP = "haltere.policies"


def policy_names() -> list[str]:
    """Names of every policy, sorted; nothing is imported."""
    return list(_packages())


def policy_config_type(name: str) -> type:
    """The configuration dataclass of a policy.

    Raises:
        RequestError: no policy has that name.
        ConfigError: its ``config.py`` doesn't define exactly one such dataclass.
    """
    return the_one_class(
        import_part(f"{_package(name)}.config"), f"dataclass with type = '{name}'", is_config_for(name)
    )


def policy_type(name: str) -> "type[Policy[Any]]":
    """The network class of a policy; imports torch.

    Raises:
        RequestError: no policy has that name.
        ConfigError: its ``model.py`` doesn't define exactly one ``Policy``.
    """
    from haltere.policies.base import Policy

    return the_one_class(
        import_part(f"{_package(name)}.model"), "subclass of Policy", lambda cls: issubclass(cls, Policy)
    )


def check_effect(config: Any, given: Iterable[str], *, training: bool) -> None:  # noqa: ANN401 -- any policy's
    """Refuse settings that do nothing: nothing that was typed is quietly ignored.

    Args:
        config: the policy's configuration, with them.
        given: names of the settings that were typed; what a file says is as it may be.
        training: whether the network is about to be trained.

    Raises:
        RequestError: one of them has no effect; says why.
    """
    tell = getattr(config, "without_effect", None)
    reasons = {} if tell is None else tell(training)
    for name in given:
        if name in reasons:
            raise RequestError(f"--policy.{name.replace('_', '-')}: {reasons[name]}")


def build_policy(config: Any, signature: "Signature", seed: int) -> "Policy[Any]":  # noqa: ANN401 -- any policy's
    """A freshly initialised network; equal seeds give equal weights, and torch's own stream is left as it was.

    Args:
        config: the policy's configuration; its ``type`` names the policy.
        signature: what one lane senses and commands.
        seed: of the initial weights, below 2**63.

    Raises:
        RequestError: no policy has that name.
        ConfigError: the network can't be built for this signature, or fails on an observation of its shapes.
    """
    import torch

    network = policy_type(config.type)
    with torch.random.fork_rng(devices=[]):
        # The CPU's generator alone: torch.manual_seed would also seed every accelerator's, which fork_rng leaves.
        torch.default_generator.manual_seed(seed)
        try:
            policy = network(config, signature)
            _try_once(policy, signature)
        except (KeyError, IndexError, ValueError, RuntimeError, TypeError) as error:
            given = ", ".join(f"{name} {shape}" for name, shape in signature.obs.items())
            what = f"it asks for {error}:" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
            reason = " ".join(what.split())
            raise ConfigError(
                f"policy.type: {config.type} doesn't fit this task: {reason} "
                f"(the task gives {given} and takes {signature.action} action components)"
            ) from error
    return policy


def draw_zeros(policy: "Policy[Any]", seed: int) -> None:
    """Draw the matrices of a fresh network that begin as zeros, so that it answers as a trained one might.

    Such a network's answer depends on nothing before it is trained, and what an export, a kernel or a rounding makes of
    the rest of it would stay hidden.

    Args:
        policy: changed in place.
        seed: of what is drawn.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.dim() > 1 and not weight.any():
                weight.copy_(torch.randn(weight.shape, generator=generator) / weight.shape[-1] ** 0.5)


def _try_once(policy: "Policy[Any]", signature: "Signature") -> None:
    """One step on zeros: an observation that a network lacks shows only in ``forward``.

    Raises:
        ValueError: the action isn't what the signature says.
    """
    import torch

    obs = {name: torch.zeros(2, *shape) for name, shape in policy.inputs.items()}
    with torch.no_grad():
        output, _ = policy(obs, policy.initial_state(2))
    if output["action"].shape != (2, signature.action):
        raise ValueError(f"the action of two lanes has shape {tuple(output['action'].shape)}")


def _package(name: str) -> str:
    """The package of a policy."""
    packages = _packages()
    if name not in packages:
        raise unknown_name("policy", name, packages, "haltere list")
    return packages[name]


def _packages() -> dict[str, str]:
    """Name -> package."""
    builtin = directory_packages(Path(__file__).parent, "haltere.policies", ("config.py", "model.py"))
    return with_plugins("policy", builtin, GROUP)
