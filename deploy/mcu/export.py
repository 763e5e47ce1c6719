"""From a trained network to a folder of C99 without dependencies, kept only once parity is proven."""

import copy
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

from haltere.configs.errors import ParityError
from haltere.deploy.card import CARD_NAME, Card, write_card
from haltere.deploy.contract import Contract, Parity
from haltere.deploy.export import TOLERANCE, TaskFacts, contract_of
from haltere.deploy.mcu.c_text import template
from haltere.deploy.mcu.cost import Cost, measure_cost
from haltere.deploy.mcu.cross import CORTEX_M4
from haltere.deploy.mcu.examples import example
from haltere.deploy.mcu.golden import golden, golden_test
from haltere.deploy.mcu.header import header
from haltere.deploy.mcu.host import ARITHMETIC, WARNINGS, HostPolicy
from haltere.deploy.mcu.readme import readme
from haltere.deploy.mcu.registry import emitter
from haltere.deploy.parity import BATCHES, INPUTS, measure, one_thread
from haltere.deploy.store import check_replaceable, write_folder
from haltere.policies.base import Policy

SOURCE_NAME = "policy.c"
HEADER_NAME = "policy.h"
CONTRACT_NAME = "contract.json"
TEST_NAME = "test_policy.c"
_BUILT = ("build/test_policy", "build/policy-cortex-m4.o")
"""What the written Makefile makes in the folder."""
_SEED = 1


@dataclass(frozen=True)
class CManifest:
    """What an export made.

    Attributes:
        path: the folder.
        contract: as written into ``policy.h`` and ``contract.json``.
        parameters: of the network.
        costs: on a Cortex-M4F; empty where there is no cross compiler.
        not_measured: why something of the cost is missing; empty where nothing is.
    """

    path: Path
    contract: Contract
    parameters: int
    costs: tuple[Cost, ...]
    not_measured: str

    def as_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and numbers."""
        return {
            "path": str(self.path),
            "parameters": self.parameters,
            "weights": self.contract.weights,
            "parity": asdict(self.contract.parity),
            "cost": [asdict(cost) for cost in self.costs],
            "not_measured": self.not_measured,
        }

    def as_text(self) -> str:
        """What was made, for people."""
        parity = self.contract.parity
        lines = [
            f"{self.path}: {self.parameters:,} parameters as C99; make -C {self.path} test",
            f"parity: {parity.max_error:.1e} (at most {parity.tolerance:.0e}) over {parity.inputs:,} random inputs "
            f"at batches {', '.join(map(str, parity.batches))}",
            *(cost.as_text() for cost in self.costs),
        ]
        return "\n".join([*lines, f"not measured: {self.not_measured}"] if self.not_measured else lines)


def export_c(
    policy: Policy[Any],
    out: Path,
    *,
    facts: TaskFacts,
    card: Card | None = None,
    tol: float = TOLERANCE,
    cost: bool = True,
) -> CManifest:
    """Write a policy as C99: header, source with its weights, test with golden vectors, Makefile, README.

    Parity is measured before the folder appears under its name: the source is compiled for this machine and compared
    with the network at batches 1, 3 and 17 on 1,000 random inputs each.

    Args:
        policy: the trained network; left as it is.
        out: the folder; an earlier export of that name is replaced once the new one is whole.
        facts: what the contract says about the task.
        card: what made the policy, where that is known.
        tol: largest |C - torch| / max(1, |torch|) of any output.
        cost: measure flash, RAM, instructions and stack on a Cortex-M4F where the tools are installed.

    Raises:
        ParityError: the C code computes something else; no folder is left.
        RequestError: the policy can't be written as C, there is no C compiler, or something in ``out`` would be lost.
        HaltereError: a compiler refuses the code.
    """
    check_c_export(out)
    policy = copy.deepcopy(policy).eval()
    made: list[CManifest] = []

    def fill(folder: Path) -> None:
        with one_thread():
            made.append(_write(policy, folder, facts, tol, cost))
        if card is not None:
            write_card(card, folder / CARD_NAME)

    write_folder(out, fill)
    return replace(made[0], path=out)


def check_c_export(out: Path) -> None:
    """See that an export can be written to a folder: it is new, empty, or holds an earlier one and nothing else.

    What the folder's own Makefile built there is no obstacle, and goes with the earlier export once the new one is
    whole.

    Raises:
        RequestError: something in it would be lost.
    """
    check_replaceable(out, need=(SOURCE_NAME, HEADER_NAME, CONTRACT_NAME), made=_BUILT)


def _write(policy: Policy[Any], folder: Path, facts: TaskFacts, tol: float, cost: bool) -> CManifest:
    """Every file but the card."""
    program = emitter(policy)(policy)
    contract = _contract(policy, facts, tol)
    # The proof compares the very file that is kept; only the header's comment about it comes afterwards.
    (folder / HEADER_NAME).write_text(header(contract), encoding="utf-8")
    (folder / SOURCE_NAME).write_text(template("policy.c", code=program.code.rstrip("\n")), encoding="utf-8")
    contract = replace(contract, parity=_prove(policy, folder, contract, tol))
    vectors = golden(policy, tol)
    texts = {
        HEADER_NAME: header(contract),
        TEST_NAME: golden_test(vectors, contract),
        CONTRACT_NAME: contract.to_json() + "\n",
        "Makefile": _makefile(program.stack_bytes),
        **example(contract),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    flat = np.concatenate([array.reshape(len(array), -1) for array in vectors.inputs.values()], axis=1)
    costs, missing = measure_cost(folder, contract, flat, program.stack_bytes) if cost else ((), "it wasn't asked for")
    text = readme(contract, costs, missing, program.stack_bytes)
    (folder / "README.md").write_text(text, encoding="utf-8")
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    return CManifest(folder, contract, parameters, costs, missing)


def _contract(policy: Policy[Any], facts: TaskFacts, tol: float) -> Contract:
    sample = policy.random_obs(1, torch.Generator().manual_seed(_SEED))
    state = policy.initial_state(1)
    with torch.no_grad():
        first, _ = policy(sample, state)
    return contract_of(policy, facts, sample, state, first, Parity(tol, 0.0, INPUTS, BATCHES))


def _prove(policy: Policy[Any], folder: Path, contract: Contract, tol: float) -> Parity:
    error = measure(policy, HostPolicy(folder, contract).step).max_error
    if not error <= tol:
        raise ParityError(f"the C code is off by {error:.1e}, more than the {tol:.0e} allowed")
    return Parity(tol, error, INPUTS, BATCHES)


def _makefile(stack_bytes: int) -> str:
    text = files("haltere.deploy.mcu").joinpath("source", "Makefile").read_text(encoding="utf-8")
    flags = {"WARNINGS": WARNINGS, "ARITHMETIC": ARITHMETIC, "CORTEX_M4": CORTEX_M4, "STACK": (str(stack_bytes),)}
    for name, words in flags.items():
        text = text.replace(f"@{name}@", " ".join(words))
    return text
