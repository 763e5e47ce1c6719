"""Other generators of C from the registries, with their code where ours would be: the same board, the same call."""

import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from haltere.deploy.contract import Contract
from haltere.deploy.export import export
from haltere.deploy.mcu import cross
from haltere.deploy.mcu.cost import initialiser, run
from haltere.deploy.mcu.count import Call
from haltere.deploy.mcu.export import HEADER_NAME
from haltere.deploy.mcu.host import ARITHMETIC
from haltere.policies.base import Policy

from .mcu_policies import FACTS

LIBRARIES = ("--specs=nano.specs", "--specs=nosys.specs", "-lm")
EMLEARN_LAYERS = (40, 32, 32, 4)
_STUB = "void haltere_policy(const void *obs, void *out) { (void)obs; (void)out; }\n"
_EMX = """#include "policy.h"
void model(const float [1][19], const float [1][2][6], const float [1][9], float [1][4], float [1][2]);
void haltere_policy(const haltere_observation *obs, haltere_output *out) {
  model((const float (*)[19])obs->self, (const float (*)[2][6])obs->neighbour, (const float (*)[9])obs->obstacle,
        (float (*)[4])out->action, (float (*)[2])out->attention);
}
"""
_EMLEARN = """#include "policy.h"
#include "net.h"
void haltere_policy(const haltere_observation *obs, haltere_output *out) {
  eml_net_regress(&net, obs->self, 40, out->action, 4);
}
"""


class Rival(NamedTuple):
    """What a generator's code came to."""

    size: cross.Size
    calls: list[Call]


def absent(package: str) -> str:
    """Why a generator can't be tried; empty where it can."""
    return "" if find_spec(package) else f"the Python package {package} isn't installed"


def emx_sources(policy: Policy[Any], place: Path) -> list[Path]:
    """emx-onnx-cgen's C of the very network, from the ONNX file without functions."""
    inline = place / "inline.onnx"
    export(policy, place / "policy.onnx", facts=FACTS, inline=inline)
    model = onnx.load(inline)
    model.ClearField("metadata_props")
    onnx.save(model, inline)
    command = [sys.executable, "-m", "emx_onnx_cgen", "compile", str(inline), str(place / "emx.c")]
    options = ["--input-dim", "batch=1", "--model-name", "model", "--fp32-accumulation-strategy", "simple"]
    options += ["--large-temp-threshold", "0"]  # no heap
    subprocess.run([*command, *options], check=True, capture_output=True)
    (place / "adapter.c").write_text(_EMX)
    return [place / "emx.c", place / "adapter.c"]


def emlearn_sources(place: Path) -> tuple[list[Path], list[NDArray[np.float64]]]:
    """A perceptron of about as many parameters as width 16 has, as emlearn writes it; and the matrices it was given.

    Another network: emlearn knows no attention.
    """
    from emlearn import net

    generator = np.random.default_rng(0)
    pairs = list(pairwise(EMLEARN_LAYERS))
    weights = [generator.normal(size=pair) / pair[0] ** 0.5 for pair in pairs]
    biases = [np.zeros(outputs) for _, outputs in pairs]
    code = net.c_generate_net_loadable(["tanh"] * len(pairs), weights, biases, "net")
    (place / "net.h").write_text(code)
    (place / "adapter.c").write_text(_EMLEARN)
    return [place / "adapter.c"], weights


def include_emlearn() -> str:
    """Where its headers lie."""
    return f"-I{files('emlearn')}"


def measure(
    sources: list[Path], contract: Contract, folder: Path, obs: NDArray[np.float32], optimise: str, *extra: str
) -> Rival:
    """Compile a generator's code with our flags, link it with the libraries that it needs, and count.

    Flash and RAM are what it adds to a program whose policy does nothing, libraries included.
    """
    place = sources[0].parent
    (place / HEADER_NAME).write_text((folder / HEADER_NAME).read_text())
    (place / "stub.c").write_text(_STUB)
    flags = ["-std=gnu99", "-w", *ARITHMETIC, *cross.CORTEX_M4, f"-I{folder}", *extra]
    built: dict[str, Path] = {}
    for source in [*sources, place / "stub.c"]:
        built[source.name] = source.with_suffix(".o")
        command = [f"{cross.PREFIX}gcc", *flags, optimise, "-c", str(source), "-o", str(built[source.name])]
        subprocess.run(command, check=True)
    stub = built.pop("stub.c")
    sizes, program = [], None
    for objects in ([stub], list(built.values())):
        image = cross.build_image(objects, folder, initialiser(contract, obs[0]), place, libraries=LIBRARIES)
        sizes.append(cross.size(image))
        program = cross.read_image(image, place)
    assert program is not None
    added = cross.Size(sizes[1].flash_bytes - sizes[0].flash_bytes, sizes[1].ram_bytes - sizes[0].ram_bytes)
    return Rival(added, list(run(program, contract, obs)))
