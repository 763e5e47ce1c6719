"""The errors of exported models: a file that contradicts itself, an observation that doesn't fit, a NaN."""

from haltere.configs.errors import HaltereError, IntegrityError, RequestError


class ContractError(IntegrityError):
    """A model's contract is missing, malformed, or says something else than its graph. The model isn't run."""


class ObservationError(RequestError):
    """An observation has a name, shape or type that the model's contract doesn't have."""


class NonFiniteError(HaltereError):
    """An observation or a command holds NaN or infinity; nothing is sent to an actuator."""
