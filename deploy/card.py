"""A policy's card: the command, seed and steps that made it, and what it was measured to do."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from haltere.configs.errors import IntegrityError, RequestError

CARD_NAME = "card.json"
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("task", "policy", "weights", "command", "unit", "demonstrations"), str),
    **dict.fromkeys(("parameters", "seed", "steps"), int),
    "wall_s": (int, float),
    **dict.fromkeys(("evaluation", "changes"), dict),
}


@dataclass(frozen=True)
class Card:
    """Where a policy comes from and how good it is.

    Attributes:
        task: Gymnasium id.
        policy: type of the network.
        parameters: of the network.
        weights: SHA-256 of the weights, as in the contract.
        command: what was typed to train it.
        seed: of the training.
        steps: that it was trained for.
        wall_s: wall time of the training [s].
        evaluation: the evaluator's report; empty where it wasn't measured.
        unit: what the steps are.
        demonstrations: SHA-256 of what it learned from, where those were demonstrations.
        changes: settings of the network that ``haltere export`` was told to change since the training, by name.
    """

    task: str
    policy: str
    parameters: int
    weights: str
    command: str
    seed: int
    steps: int
    wall_s: float
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "agent steps"
    demonstrations: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


def write_card(card: Card, path: Path) -> None:
    """Write the card as indented JSON."""
    path.write_text(json.dumps(asdict(card), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_card(path: Path) -> Card:
    """Read what ``write_card`` wrote.

    Raises:
        RequestError: there is no such file.
        IntegrityError: it isn't a card.
    """
    try:
        return _card(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file; haltere export writes one") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path}: not a policy's card: {error}") from error


def _card(data: object) -> Card:
    """A card from what JSON gave.

    Raises:
        TypeError: a key is missing or unknown, or a value has another type.
    """
    if not isinstance(data, dict):
        raise TypeError(f"must be an object, got {type(data).__name__}")
    card = Card(**data)
    for name, kind in _KINDS.items():
        value = getattr(card, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(f"{name}: of the wrong type, {type(value).__name__}")
    success = card.evaluation.get("success")
    if success is not None and not _is_interval(success):
        raise TypeError("evaluation.success: must hold mean, low and high, each from 0 to 1")
    return card


def _is_interval(value: object) -> bool:
    """Whether a value is a rate with its interval."""
    if not isinstance(value, dict):
        return False
    numbers = [value.get(name) for name in ("mean", "low", "high")]
    return all(isinstance(number, int | float) and 0 <= number <= 1 for number in numbers)
