"""What tasks have in common whose worlds are numbers of ours and bodies of a physics engine: their state, and back."""

from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from haltere.configs.errors import IntegrityError
from haltere.sims.chance import IntArray
from haltere.sims.single import SingleAgentTask
from haltere.sims.task import ObsTree

ConfigT = TypeVar("ConfigT")


class SavedWorlds(Protocol):
    """Worlds whose future depends on two arrays."""

    def state(self) -> tuple[IntArray, NDArray[np.float64]]:
        """Clocks, seeds and the like (W, N), and the bodies (W, ...); copies."""
        ...

    def load_state(self, numbers: IntArray, body: NDArray[np.float64]) -> bool:
        """Undo ``state``; False, and nothing is changed, where so many worlds can't have it."""
        ...


WorldsT = TypeVar("WorldsT", bound=SavedWorlds)


class BodiedTask(SingleAgentTask[ConfigT], Generic[ConfigT, WorldsT]):
    """W worlds of one agent whose whole state is that of ``_worlds``, which a subclass builds."""

    _worlds: WorldsT

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Clocks and seeds of the worlds, and the bodies; the rest of them follows."""
        worlds, body = self._worlds.state()
        return {"worlds": worlds, "body": body, "seeds": self._generator_state()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> ObsTree:
        """Go on exactly; see the base class. Call ``set_training_steps`` after it."""
        names = {"worlds", "body", "seeds"}
        if set(state) != names or not self._worlds.load_state(state["worlds"], state["body"]):
            raise IntegrityError(f"the saved state isn't that of {self.num_envs} worlds of {self.spec_.id}")
        self._set_generator_state(state["seeds"])
        self._running = True
        return self._observe()
