"""The errors of exported models: a file that contradicts itself, an observation that doesn't fit, a NaN."""

from haltere.configs.errors import HaltereError, IntegrityError, RequestError


class ContractError(IntegrityError):
    """A model's contract is missing, malformed, or says something else than its graph. The model isn't run."""


class ObservationError(RequestError):
    """An observation has a name, shape or type that the model's contract doesn't have."""


class NoKernelLibraryError(HaltereError):
    """This machine has no library of fused kernels, or one for another processor. Models run without it."""


class NoFusedOperatorError(RequestError):
    """A model holds no operator that a kernel computes."""


class QuantisationError(HaltereError):
    """A policy with fewer bits flies worse than the one that it was made from. It isn't kept."""


class NonFiniteError(HaltereError):
    """An observation or a command holds NaN or infinity; nothing is sent to an actuator."""


def first_line(error: Exception) -> str:
    """What an engine's error says, without the rest that only its authors need."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
