"""The Actor that runs a written policy: the C source that goes onto the robot, compiled for this machine."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import RequestError
from haltere.deploy.contract import ACTION, Contract
from haltere.deploy.errors import ContractError, NonFiniteError, ObservationError
from haltere.deploy.export import TaskFacts
from haltere.deploy.mcu.export import CONTRACT_NAME, HEADER_NAME, SOURCE_NAME, export_c
from haltere.deploy.mcu.host import HostPolicy
from haltere.deploy.store import verify_folder
from haltere.policies.base import Policy


class CActor:
    """Runs ``policy.c`` on B lanes, one after the other; B is that of the observations.

    Attributes:
        contract: what the folder says about itself.
    """

    contract: Contract

    def __init__(self, folder: Path) -> None:
        """Verify, compile and load a folder that ``export_c`` wrote.

        Raises:
            RequestError: there is no such folder, or no C compiler.
            IntegrityError: a file isn't the one that was written; nothing was compiled.
            ContractError: it has no contract.
        """
        if not (folder / SOURCE_NAME).is_file():
            raise RequestError(f"{folder}: has no {SOURCE_NAME}; haltere export --target c makes one")
        files = verify_folder(folder, need=(SOURCE_NAME, HEADER_NAME, CONTRACT_NAME))
        try:
            text = files[CONTRACT_NAME].read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ContractError(f"{files[CONTRACT_NAME]}: not text: {error}") from error
        self.contract = Contract.from_json(text)
        self._host = HostPolicy(folder, self.contract)
        self._shapes = {tensor.name.removeprefix("obs."): tensor.shape for tensor in self.contract.inputs}

    @staticmethod
    def of(policy: Policy[Any], facts: TaskFacts) -> "CActor":
        """Write a policy as C, prove its parity, and run that.

        Raises:
            ParityError: as ``export_c``.
            RequestError: as ``export_c``.
        """
        with tempfile.TemporaryDirectory(prefix="haltere-") as place:
            export_c(policy, Path(place) / "policy", facts=facts, cost=False)
            return CActor(Path(place) / "policy")

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Nothing is remembered."""

    def act(self, obs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One control step.

        Args:
            obs: each observation of the contract, (B, ...) float32; nothing else.

        Returns:
            ``"action"`` (B, A) within the contract's bounds, and each ``aux`` output under its key.

        Raises:
            ObservationError: a name, shape or type isn't the contract's.
            NonFiniteError: a lane's observation isn't ok, as ``haltere_observation_ok`` has it; no lane was run.
        """
        lanes = self._lanes(obs)
        flat = np.concatenate([obs[key].reshape(lanes, -1) for key in self._shapes], axis=1)
        out, bad = self._host.run(flat)
        if bad >= 0:
            raise NonFiniteError(f"the observation of lane {bad} isn't finite, or larger than any sensor's")
        return {name if name == ACTION else name.removeprefix("aux."): a for name, a in self._host.split(out).items()}

    def _lanes(self, obs: Mapping[str, NDArray[Any]]) -> int:
        """Number of lanes, once the observations are what the contract says."""
        if obs.keys() != self._shapes.keys():
            raise ObservationError(f"the contract has the observations {', '.join(self._shapes)}, got {', '.join(obs)}")
        lanes = len(next(iter(obs.values())))
        for key, shape in self._shapes.items():
            if obs[key].shape != (lanes, *shape) or obs[key].dtype != np.float32 or lanes == 0:
                wanted = f"({', '.join(['lanes', *map(str, shape)])}) float32"
                raise ObservationError(f"observation '{key}' must be {wanted}, got {obs[key].shape} {obs[key].dtype}")
        return lanes
