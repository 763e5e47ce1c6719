"""``README.md`` of a written policy: what it is, how to call it, what it costs, how that was measured."""

import math
from collections.abc import Sequence

from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.mcu.c_text import template
from haltere.deploy.mcu.cost import Cost
from haltere.deploy.mcu.examples import example
from haltere.deploy.mcu.header import LARGEST, count, key

_CORE_MHZ = 168


def readme(contract: Contract, costs: Sequence[Cost], missing: str, stack_bytes: int) -> str:
    """The text.

    Args:
        contract: of the policy.
        costs: as measured.
        missing: why something of them is missing; empty where nothing is.
        stack_bytes: most that a function may take, as the Makefile has it.
    """
    parity = contract.parity
    return template(
        "README.md",
        policy=contract.policy,
        task=contract.task,
        version=contract.haltere,
        weights=contract.weights,
        period_ms=f"{1000 * contract.ctrl_dt_s:g}",
        inputs=_table(contract.inputs),
        outputs=_table(contract.outputs),
        bounds=_bounds(contract),
        largest=f"{LARGEST:,.0f}",
        error=f"{parity.max_error:.1e}",
        tolerance=f"{parity.tolerance:.0e}",
        count=f"{parity.inputs:,}",
        cost=_cost_table(costs),
        budget=_budget(costs, contract),
        missing=f"\nNot measured here: {missing}.\n" if missing else "",
        buffers=4 * (count(contract.inputs) + count(contract.outputs)),
        stack=stack_bytes,
        example=_EXAMPLE if example(contract) else "",
    )


_EXAMPLE = """
## On a Crazyflie

[`crazyflie/`](crazyflie/README.md) is an out-of-tree controller for its firmware. It compiles; it hasn't flown.
"""


def _table(tensors: Sequence[Tensor]) -> str:
    shapes = ("".join(f"[{size}]" for size in tensor.shape) for tensor in tensors)
    rows = (f"| `{key(t)}{shape}` | {t.unit or '-'} |" for t, shape in zip(tensors, shapes, strict=True))
    return "\n".join(["| field | unit and frame |", "| --- | --- |", *rows])


def _bounds(contract: Contract) -> str:
    pairs = sorted(set(zip(contract.action_low, contract.action_high, strict=True)))
    if len(pairs) == 1:
        return f"between {pairs[0][0]:g} and {pairs[0][1]:g}"
    return "within `HALTERE_ACTION_LOW` and `HALTERE_ACTION_HIGH`"


def _cost_table(costs: Sequence[Cost]) -> str:
    columns = [f"`{cost.optimise}`" for cost in costs] or ["`-Os`"]
    rows: dict[str, list[int | None]] = {
        "instructions of `haltere_policy`": [cost.instructions for cost in costs],
        "instructions of `haltere_observation_ok`": [cost.check_instructions for cost in costs],
        "flash, weights included [bytes]": [cost.flash_bytes for cost in costs],
        "static RAM [bytes]": [cost.ram_bytes for cost in costs],
        "stack, deepest [bytes]": [cost.stack_bytes for cost in costs],
    }
    lines = [f"| Cortex-M4F | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name, values in rows.items():
        shown = ["not measured" if value is None else f"{value:,}" for value in values or [None]]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _budget(costs: Sequence[Cost], contract: Contract) -> str:
    counts = [cost.instructions for cost in costs if cost.instructions is not None]
    if not counts:
        return ""
    per_period = _CORE_MHZ * 1e6 * contract.ctrl_dt_s
    share = 10 ** math.ceil(math.log10(100 * max(counts) / per_period))
    return (
        f"\nA {_CORE_MHZ} MHz core (the Crazyflie's) has {per_period:,.0f} cycles in a control period. An instruction "
        f"takes one or\nmore of them; at one each, this is less than {share:g} % of the period. Cycles weren't "
        "measured: that takes the board.\n"
    )
