"""A contract as a C++ header, for a robot whose control loop is ``haltere/loop.hpp``."""

import re
from pathlib import Path

from haltere.configs.errors import RequestError
from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.mcu.c_text import numbers

INCLUDE = Path(__file__).parent / "include"
"""Where ``haltere/loop.hpp`` and its kind lie: what a compiler's ``-I`` needs."""

_TEMPLATE = """\
// Contract of policy {policy} for {task}, written by haltere {version}. Don't edit: write it again.
#pragma once

#include <haltere/contract.hpp>

namespace policy {{

inline constexpr haltere::TensorSpec kInputs[] = {{
{inputs}
}};
inline constexpr haltere::TensorSpec kAction = {action};
inline constexpr float kActionLow[] = {low};
inline constexpr float kActionHigh[] = {high};
inline constexpr float kSafeAction[] = {safe};
inline constexpr haltere::Contract kContract = {{
    {task_text}, {policy_text},
    {weights}, {period_ns}, kInputs, kAction, kActionLow, kActionHigh, kSafeAction,
}};

}}  // namespace policy
{more}"""
_LONGEST_LINE = 4096
_FIRST_LINE = re.compile(r"// Contract of policy .*, written by haltere .*")


def contract_header(contract: Contract, more: str = "") -> str:
    """The header: ``policy::kContract`` for the loop, ``policy::kInputs`` and ``policy::kAction`` to compare with.

    Args:
        contract: of the model.
        more: C++ that comes after it.
    """
    return _TEMPLATE.format(
        policy=_plain(contract.policy),
        task=_plain(contract.task),
        version=_plain(contract.haltere),
        inputs="\n".join(f"    {_spec(tensor)}," for tensor in contract.inputs),
        action=_spec(contract.outputs[0]),
        low=numbers(contract.action_low),
        high=numbers(contract.action_high),
        safe=numbers(contract.safe_action or contract.action_low),
        task_text=_string(contract.task),
        policy_text=_string(contract.policy),
        weights=_string(contract.weights),
        period_ns=round(contract.ctrl_dt_s * 1e9),
        more=more,
    )


def check_header_replaceable(path: Path) -> None:
    """See that writing a header costs nobody a file: there is none yet, or one that began as ours do.

    Raises:
        RequestError: it is another file.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        first = file.readline(_LONGEST_LINE).decode("utf-8", errors="replace").rstrip("\r\n")
    if _FIRST_LINE.fullmatch(first) is None:
        raise RequestError(f"{path}: isn't a header that haltere wrote, and would be lost; choose another file")


def _spec(tensor: Tensor) -> str:
    shape = ", ".join(map(str, tensor.shape))
    return f"{{{_string(tensor.name)}, {len(tensor.shape)}, {{{shape}}}, {_string(tensor.unit)}}}"


def _plain(text: str) -> str:
    """For a comment: nothing that would end its line."""
    return "".join(letter if letter.isprintable() else "_" for letter in text).replace("\\", "/")


def _string(text: str) -> str:
    """A literal with exactly the bytes of the text in UTF-8; a unit is compared to the last of them."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    letters = (chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(letters)}"'
