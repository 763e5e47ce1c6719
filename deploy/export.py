"""From a trained network to one ONNX file with its contract inside, kept only once parity is proven."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import torch
from torch import Tensor

from haltere.configs.errors import RequestError
from haltere.deploy.card import CARD_NAME, Card, write_card
from haltere.deploy.contract import ACTION, FORMAT, Chunking, Contract, Parity, StateTensor
from haltere.deploy.contract import Tensor as TensorSpec
from haltere.deploy.curve import CURVE_NAME
from haltere.deploy.fused import inlined, recorded
from haltere.deploy.onnx_file import DOMAIN, seal
from haltere.deploy.parity import BATCHES, INPUTS, Measured
from haltere.deploy.proof import onnx_model, prove, prove_kernels, reference_model
from haltere.deploy.rings import rings_of
from haltere.deploy.runtime.actor import INLINE_NAME, MODEL_NAME, OnnxActor
from haltere.deploy.store import check_replaceable, write_folder
from haltere.deploy.tracing import trace
from haltere.deploy.weights import CONFIG_NAME, WEIGHTS_NAME, save_weights, weights_digest
from haltere.policies.base import Obs, Output, Policy, State

if TYPE_CHECKING:
    from haltere.sims.task import TaskSpec

TOLERANCE = 1e-5
_TRACED_BATCH = 2
_EXPORT_SEED = 1


@dataclass(frozen=True)
class TaskFacts:
    """What a contract says about the task; the policy itself doesn't know it.

    Attributes:
        task: Gymnasium id.
        ctrl_dt_s: control period [s].
        units: unit and frame in words, by observation name and ``action``.
        action_low: lower bound of every action component.
        action_high: upper bound of every action component.
        safe_action: what to command every component where nothing better is known; None where the task says nothing.
    """

    task: str
    ctrl_dt_s: float
    units: Mapping[str, str]
    action_low: float = -1.0
    action_high: float = 1.0
    safe_action: float | None = None

    @staticmethod
    def of(spec: "TaskSpec") -> "TaskFacts":
        """The facts of a registered task; policies command [-1, 1]."""
        return TaskFacts(spec.id, spec.ctrl_dt_s, spec.units, safe_action=spec.safe_action)


@dataclass(frozen=True)
class Manifest:
    """What an export made.

    Attributes:
        path: the file.
        contract: as sealed into it.
        nodes: operators in its graph, each function as what is inside.
        size_bytes: of the file.
        parameters: of the network.
        fused: operators that a kernel may take over.
        kernel_error: largest difference from the trained network with our kernels; None where none was run.
        no_kernel: why none was run.
        inline: the copy without functions; None where none was asked for.
    """

    path: Path
    contract: Contract
    nodes: int
    size_bytes: int
    parameters: int
    fused: tuple[str, ...] = ()
    kernel_error: float | None = None
    no_kernel: str = ""
    inline: Path | None = None


def export(
    policy: Policy[Any], out: Path, *, facts: TaskFacts, tol: float = TOLERANCE, inline: Path | None = None
) -> Manifest:
    """Write a policy as one sealed ONNX file that stock ONNX Runtime runs, and that our kernels run faster.

    The batch axis is free. Parity is measured at batches 1, 3 and 17 on 1,000 random inputs each, and for a policy
    with state over 500 steps, before the file appears under its name: with ONNX Runtime alone, and with the kernels.

    Args:
        policy: the trained network; its mode is left as it was.
        out: the file.
        facts: what the contract says about the task.
        tol: largest |model - torch| / max(1, |torch|) of any output.
        inline: a second file without functions, for engines that know none, such as OpenVINO, tract and TVM. The ONNX
            project's own evaluator has to agree with it, too.

    Raises:
        ParityError: the exported graph computes something else; no file is left.
        RequestError: the policy can't be exported, or the file can't be written.
    """
    if inline == out:
        raise RequestError(f"{out}: can't be the copy without functions as well; name another file")
    modes = [(module, module.training) for module in policy.modules()]
    policy.eval()
    try:
        return _export(policy, out, facts, tol, inline)
    finally:
        for module, training in modes:
            module.training = training


def _export(policy: Policy[Any], out: Path, facts: TaskFacts, tol: float, inline: Path | None) -> Manifest:
    sample = policy.random_obs(_TRACED_BATCH, torch.Generator().manual_seed(_EXPORT_SEED))
    state = policy.initial_state(_TRACED_BATCH)
    with torch.no_grad(), recorded() as heard:
        first, _ = policy(sample, state)
    model = trace(policy, sample, state, first, heard)
    data = model.SerializeToString(deterministic=True)
    measured = prove(policy, onnx_model(data), tol)
    kernel_error, why_not = prove_kernels(policy, data, tol)
    flat = inlined(model)
    contract = contract_of(policy, facts, sample, state, first, _parity(measured, tol), rings_of(model, policy.rings))
    files = {out: data}
    if inline is not None:
        files[inline] = flat.SerializeToString(deterministic=True)
        prove(policy, onnx_model(files[inline]), tol)
        prove(policy, reference_model(flat), tol, slow=True)
    _write(files, contract)
    return Manifest(
        path=out,
        contract=contract,
        nodes=sum(node.op_type != "Constant" for node in flat.graph.node),
        size_bytes=out.stat().st_size,
        parameters=sum(parameter.numel() for parameter in policy.parameters()),
        fused=tuple(node.op_type for node in model.graph.node if node.domain == DOMAIN),
        kernel_error=kernel_error,
        no_kernel=why_not,
        inline=inline,
    )


def _write(files: Mapping[Path, bytes], contract: Contract) -> None:
    """Seal models, check every file as any tool and as our runtime would, and only then give them their names.

    In the order that they come in, so that no copy stands without the file that it is a copy of.
    """
    partial = {out: out.with_name(f".{out.name}.partial") for out in files}
    try:
        for out, data in files.items():
            partial[out].write_bytes(seal(data, contract))
            onnx.checker.check_model(str(partial[out]), full_check=True)
            OnnxActor(partial[out])
        for out in files:
            os.replace(partial[out], out)
    except OSError as error:
        raise RequestError(f"{out}: can't be written: {error.strerror or error}") from error
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)


def check_export(out: Path) -> None:
    """See that an export can be written to a folder: it is new, empty, or holds an earlier export and nothing else.

    Raises:
        RequestError: something in it would be lost.
    """
    check_replaceable(out, need=(WEIGHTS_NAME, MODEL_NAME, CARD_NAME))


def export_folder(
    policy: Policy[Any],
    out: Path,
    *,
    facts: TaskFacts,
    config: str,
    card: Card,
    curve: str = "",
    tol: float = TOLERANCE,
    inline: bool = False,
    add: Callable[[Path], None] | None = None,
) -> Manifest:
    """Write a whole policy folder: weights, ONNX file, configuration, card and digests, all of them or none.

    Args:
        policy: the trained network.
        out: the folder; an earlier export of that name is replaced once the new one is whole.
        facts: as in ``export``.
        config: text of the resolved ``config.yaml``.
        card: what made the policy.
        curve: how it learned, as ``curve_text`` gives it; no file is written where it is empty.
        tol: as in ``export``.
        inline: write the copy without functions as well.
        add: adds files to the folder before it gets its name, such as those of ``quantise``.

    Raises:
        ParityError: as in ``export``; no folder is left.
        RequestError: as in ``export`` and ``check_export``.
    """
    check_export(out)
    made: list[Manifest] = []

    def fill(folder: Path) -> None:
        save_weights(policy, folder / WEIGHTS_NAME)
        copy = folder / INLINE_NAME if inline else None
        made.append(export(policy, folder / MODEL_NAME, facts=facts, tol=tol, inline=copy))
        (folder / CONFIG_NAME).write_text(config, encoding="utf-8")
        write_card(card, folder / CARD_NAME)
        if curve:
            (folder / CURVE_NAME).write_text(curve, encoding="utf-8")
        if add is not None:
            add(folder)

    write_folder(out, fill)
    return replace(made[0], path=out / MODEL_NAME, inline=out / INLINE_NAME if inline else None)


def _parity(measured: Measured, tol: float) -> Parity:
    recurrent = (measured.recurrent_steps, measured.recurrent_error)
    return Parity(tol, measured.max_error, INPUTS, BATCHES, *recurrent, measured.ties)


def contract_of(
    policy: Policy[Any],
    facts: TaskFacts,
    obs: Obs,
    state: State,
    out: Output,
    parity: Parity,
    rings: Collection[str] = (),
) -> Contract:
    """The contract of a policy: what one step took (``obs``, ``state``) and gave (``out``), and what else is known.

    ``rings`` are the names of states that may be written in place.
    """
    size = policy.signature.action
    units = facts.units
    aux = (_spec(f"aux.{name}", tensor, "") for name, tensor in out.items() if name != ACTION)
    return Contract(
        format=FORMAT,
        haltere=version("haltere"),
        task=facts.task,
        policy=str(policy.config.type),
        ctrl_dt_s=facts.ctrl_dt_s,
        inputs=tuple(_spec(f"obs.{name}", tensor, units.get(name, "")) for name, tensor in obs.items()),
        outputs=(_spec(ACTION, out[ACTION], units.get(ACTION, "")), *aux),
        state=tuple(_state_spec(name, tensor, name in rings) for name, tensor in state.items()),
        action_low=(facts.action_low,) * size,
        action_high=(facts.action_high,) * size,
        weights=weights_digest(policy),
        parity=parity,
        safe_action=() if facts.safe_action is None else (facts.safe_action,) * size,
        read_steps=policy.read_places.steps,
        read_after=policy.read_places.after,
        chunking=Chunking() if policy.chunking is None else Chunking(*policy.chunking),
    )


def _spec(name: str, tensor: Tensor, unit: str) -> TensorSpec:
    return TensorSpec(name, tuple(tensor.shape[1:]), str(tensor.dtype).removeprefix("torch."), unit)


def _state_spec(name: str, tensor: Tensor, ring: bool) -> StateTensor:
    first = tensor.reshape(-1)[0]
    if not bool((tensor == first).all()):
        raise RequestError(f"state '{name}' must start as one constant, so that a runtime can start it without torch")
    dtype = str(tensor.dtype).removeprefix("torch.")
    return StateTensor(f"state.{name}", tuple(tensor.shape[1:]), dtype, float(first.item()), ring)
