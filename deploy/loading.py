"""From a folder to something that acts: the trained policy in torch, or an Actor for any name on a command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haltere.configs.catalogue import read_task_path
from haltere.configs.errors import IntegrityError, RequestError, unknown_name
from haltere.configs.loader import validate
from haltere.deploy.actor_path import UNTRAINED, actor_path
from haltere.deploy.contract import Chunking, Contract
from haltere.deploy.runtime.actor import MODEL_NAME, OnnxActor
from haltere.deploy.runtime.chunks import ChunkActor, in_its_loop
from haltere.deploy.runtimes import RUNTIMES, Precision
from haltere.deploy.store import MANIFEST_NAME, verify_folder
from haltere.deploy.weights import CONFIG_NAME, WEIGHTS_NAME, load_into, read_weights
from haltere.policies.base import Obs, Output, Policy, Signature, State
from haltere.policies.registry import build_policy, check_effect, policy_config_type
from haltere.sims.actor import Actor, ExpertActor, RandomActor


class TorchActor:
    """Runs a policy in torch on B lanes at once; B is that of the observations.

    Attributes:
        policy: in evaluation mode.
    """

    def __init__(self, policy: Policy[Any]) -> None:
        """Take the policy; it is put into evaluation mode."""
        self.policy = policy.eval()
        self._state: State | None = None

    @property
    def read_steps(self) -> int:
        """The policy's, as a contract would have it."""
        return self.policy.read_places.steps

    @property
    def read_after(self) -> int:
        """The policy's, as a contract would have it."""
        return self.policy.read_places.after

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget: every lane, or those where ``mask`` (B,) is true."""
        if mask is None or self._state is None:
            self._state = None
            return
        lanes = torch.from_numpy(mask)
        initial = self.policy.initial_state(int(mask.sum()))
        for name, tensor in self._state.items():
            tensor[lanes] = initial[name]

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One control step: observations (B, ...) float32 in, ``"action"`` (B, A) and every other output out."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in obs.items()}
        if self._state is None:
            self._state = self.policy.initial_state(len(next(iter(tensors.values()))))
        with torch.no_grad():
            out, self._state = self._step(tensors, self._state)
        return {name: tensor.numpy() for name, tensor in out.items()}

    def _step(self, obs: Obs, state: State) -> tuple[Output, State]:
        """A step whose next state is this actor's own, for the next step and ``reset`` to write into."""
        out, following = self.policy.step(obs, state, reuse=True)
        # A ring's rows stay where they are: copying those that a step leaves alone takes ten times as long as the step.
        # Others are cloned, because a policy may hand back the very tensors that it was given, or gives as its output.
        own = {key for key in self.policy.rings if following[key] is state[key]}
        return out, {key: tensor if key in own else tensor.clone() for key, tensor in following.items()}


def load_policy(folder: Path, changes: Mapping[str, Any] | None = None) -> Policy[Any]:
    """Rebuild a trained policy from a policy folder or a run folder (its newest checkpoint).

    Args:
        folder: where it is.
        changes: settings of the network to change for an ablation; the weights must still fit.

    Returns:
        The policy in evaluation mode.

    Raises:
        RequestError: there is no policy there, or its weights don't fit a changed network, or a change does nothing.
        IntegrityError: a file isn't the one that was written; nothing of it was parsed.
        ConfigError: its ``config.yaml`` is of another version, or a change isn't possible.
    """
    files = verify_folder(policy_folder(folder), need=[CONFIG_NAME, WEIGHTS_NAME])
    file = read_task_path(files[CONFIG_NAME])
    settings = {**file.policy, **(changes or {})}
    config: Any = validate(policy_config_type(file.policy["type"]), settings, file.source, "policy")
    check_effect(config, changes or (), training=False)
    tensors, signature = read_weights(files[WEIGHTS_NAME])
    policy = build_policy(config, signature, seed=0)
    if changes:
        both = {name: (file.policy.get(name), value) for name, value in changes.items()}
        _check_shapes(policy, tensors, both, folder)
    load_into(policy, tensors, str(files[WEIGHTS_NAME]))
    return policy.eval()


def _check_shapes(
    policy: Policy[Any], tensors: Mapping[str, torch.Tensor], changes: Mapping[str, tuple[Any, Any]], folder: Path
) -> None:
    """See that trained weights fit a network whose settings were changed, each from the first value to the second."""
    wanted = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    first = next((name for name in (*wanted, *got) if wanted.get(name) != got.get(name)), None)
    if first is None:
        return
    changed = {name: values for name, values in changes.items() if values[0] != values[1]}
    asked = ", ".join(f"--policy.{name.replace('_', '-')} {new}" for name, (_, new) in changed.items())
    trained = ", ".join(f"{'the default' if old is None else old}" for old, _ in changed.values())
    raise RequestError(
        f"{asked}: needs other weights than those of {folder}, which were trained with {trained}: '{first}' would be "
        f"{wanted.get(first, 'gone')}, and is {got.get(first, 'missing')}"
    )


def policy_folder(path: Path) -> Path:
    """The policy folder that a path stands for: itself, a finished run's policy, or the newest whole checkpoint.

    A checkpoint is whole where its files are those of its manifest. The other two are what was asked for, and are
    verified by whoever loads them.

    Raises:
        RequestError: there is none.
        IntegrityError: there are checkpoints, and all of them are damaged.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "no such folder"
        raise RequestError(f"{path}: {found}; expected a policy or a run, which are folders")
    for folder in (path, path / "policy"):
        if all((folder / name).is_file() for name in (WEIGHTS_NAME, MANIFEST_NAME)):
            return folder
    steps = [step for step in path.glob("checkpoints/*") if step.name.isdecimal()]
    damage: IntegrityError | None = None
    for folder in sorted(steps, key=lambda step: int(step.name), reverse=True):
        try:
            verify_folder(folder, need=[CONFIG_NAME, WEIGHTS_NAME])
        except IntegrityError as error:
            damage = damage or error
        else:
            return folder
    if damage is not None:
        raise IntegrityError(f"{path}: none of its {len(steps)} checkpoints is whole; the newest: {damage}")
    raise RequestError(f"{path}: neither a policy folder (no {WEIGHTS_NAME}) nor a run with a checkpoint")


def resolve_actor(
    name: str,
    *,
    task: str,
    signature: Signature,
    runtime: str = "torch",
    precision: Precision = "fp32",
    zoo: str | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> Actor:
    """The actor that ``--actor`` and ``--runtime`` name.

    Args:
        name: ``zoo``, ``zoo:NAME``, ``expert``, ``random``, a policy or run folder, an exported file, or a folder of C.
        task: Gymnasium id of the task that it will act in, for errors.
        signature: what that task gives and takes, one lane of it.
        runtime: ``torch``, ``onnx``, ``fused`` (ONNX Runtime with our kernels), or ``c``: what a microcontroller
            runs, compiled for this machine. An expert and a random actor have none.
        precision: of the large matrices: other than ``fp32`` for an exported policy alone, as ``OnnxActor`` has it.
        zoo: the task's default zoo entry.
        seed: of the random actor, and of what a policy draws.
        changes: settings of the network to change for an ablation, in torch alone.

    Raises:
        RequestError: nothing has that name, or it doesn't fit the task or the runtime.
        IntegrityError: its files are damaged.
    """
    if runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    if changes and name in UNTRAINED:
        raise RequestError(f"--policy.* changes a trained network; --actor {name} has none")
    if changes and runtime != "torch":
        raise RequestError("--policy.* changes a trained network, which only --runtime torch can do")
    if precision != "fp32" and (runtime not in ("onnx", "fused") or name in UNTRAINED):
        raise RequestError(f"--precision {precision} is for an exported policy, with --runtime onnx or fused")
    if runtime != "torch" and name in UNTRAINED:
        raise RequestError(f"--runtime {runtime} runs a trained network; --actor {name} has none")
    if name == "random":
        return RandomActor(signature.action, seed)
    if name == "expert":
        return ExpertActor()
    path = actor_path(name, task, zoo, others=UNTRAINED)
    if runtime == "torch":
        if path.suffix == ".onnx":
            raise RequestError(f"{path} is an exported file; it runs with --runtime onnx or fused, not torch")
        policy = load_policy(path, changes)
        _check_fit(name, task, signature, policy.signature)
        return torch_actor(policy, seed)
    if runtime == "c":
        return _c_actor(name, path, task, signature)
    model = OnnxActor(path if path.is_file() else _exported(path), fused=runtime == "fused", precision=precision)
    _check_fit(name, task, signature, _signature(model.contract))
    return in_its_loop(model, seed=seed)


def torch_actor(policy: Policy[Any], seed: int = 0) -> Actor:
    """A policy in torch, with the loop around it where it plans chunks.

    Args:
        policy: put into evaluation mode.
        seed: of the noise that chunks begin with.
    """
    return in_loop_of(policy, TorchActor(policy), seed)


def in_loop_of(policy: Policy[Any], model: Actor, seed: int = 0) -> Actor:
    """What acts with a policy's calls: they themselves, or where it plans chunks the loop around it.

    Args:
        policy: whose calls they are.
        model: makes them.
        seed: of the noise that chunks begin with.
    """
    if policy.chunking is None:
        return model
    signature = policy.signature
    return ChunkActor(model, Chunking(*policy.chunking), signature.obs, signature.action, seed=seed)


def _c_actor(name: str, path: Path, task: str, signature: Signature) -> Actor:
    """A folder of C, or a trained policy written as C in passing."""
    from haltere.deploy.export import TaskFacts
    from haltere.deploy.mcu.actor import CActor
    from haltere.deploy.mcu.export import SOURCE_NAME
    from haltere.sims.task import registered_task

    if path.suffix == ".onnx":
        raise RequestError(f"{path} is an exported file; it runs with --runtime onnx or fused, not c")
    if (path / SOURCE_NAME).is_file():
        actor = CActor(path)
        _check_fit(name, task, signature, _signature(actor.contract))
        return actor
    policy = load_policy(path)
    _check_fit(name, task, signature, policy.signature)
    return CActor.of(policy, TaskFacts.of(registered_task(task).spec_))


def _signature(contract: Contract) -> Signature:
    obs = {tensor.name.removeprefix("obs."): tensor.shape for tensor in contract.sensed}
    return Signature(obs, contract.outputs[0].shape[0])


def _exported(path: Path) -> Path:
    folder = policy_folder(path)
    if not (folder / MODEL_NAME).is_file():
        raise RequestError(f"{folder}: has no {MODEL_NAME}; haltere export makes one, or use --runtime torch")
    return folder


def _check_fit(name: str, task: str, wanted: Signature, got: Signature) -> None:
    if dict(wanted.obs) == dict(got.obs) and wanted.action == got.action:
        return
    shapes = [
        f"{key} {got.obs.get(key, 'nothing')} instead of {wanted.obs.get(key, 'nothing')}"
        for key in {**wanted.obs, **got.obs}
        if wanted.obs.get(key) != got.obs.get(key)
    ]
    if wanted.action != got.action:
        shapes.append(f"{got.action} action components instead of {wanted.action}")
    raise RequestError(f"actor '{name}' doesn't fit {task}: it has {', '.join(shapes)}")
