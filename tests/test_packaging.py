"""The package as a user gets it: one import name, all of the sources and nothing else, and an edge that stays light."""

import ast
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("agents", "configs", "deploy", "policies", "sims")
SWARM = "haltere/sims/mujoco/swarm/libhaltere_swarm.so"
LIBRARIES = {
    SWARM,
    "haltere/sims/ballet/libhaltere_ballet.so",
    "haltere/sims/carla/drive/libhaltere_drive.so",
    "haltere/sims/carla/sight/libhaltere_sight.so",
    "haltere/deploy/kernels/libhaltere_kernels.so",
    "haltere/deploy/bench/libhaltere_bench.so",
}
EDGE = {"haltere", "_editable_skbc_haltere", "numpy", "onnxruntime", "flatbuffers", "google", "packaging"}
"""What a robot has: numpy, ONNX Runtime and what that one needs."""

HEAVY = ("av", "gymnasium", "mujoco", "numpy", "onnx", "onnxruntime", "pydantic", "pybullet", "torch", "tyro", "yaml")


def sources() -> Iterator[Path]:
    """Every file that belongs to the package, seen from the root."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            inside = path.relative_to(ROOT)
            if path.is_file() and not {"__pycache__", "native"} & set(inside.parts):
                yield inside


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built from this tree with the tools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def python(code: str, folder: Path) -> str:
    """Standard output of a fresh interpreter that starts in ``folder``."""
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_wheel_holds_the_sources_and_the_libraries_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """A module or data file that the wheel forgets works in a checkout and fails at every user's."""
    found = {name for name in wheel.namelist() if name.startswith("haltere/") and not name.endswith("/")}
    assert found == {f"haltere/{path}" for path in sources()} | LIBRARIES


def test_wheel_installs_one_name(wheel: zipfile.ZipFile) -> None:
    """CARLA's PythonAPI and other packages have an ``agents`` of their own; we take no name but ours."""
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"haltere", f"haltere-{importlib.metadata.version('haltere')}.dist-info"}
    assert "haltere/__init__.py" not in wheel.namelist()


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_libraries_name_no_folder_of_the_build(name: str, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """At run time MuJoCo's own package has loaded libmujoco; a path of the build machine would find nothing."""
    library = wheel.extract(name, tmp_path)
    shown = subprocess.run(["readelf", "--dynamic", library], capture_output=True, text=True, check=True).stdout
    assert ("[libmujoco.so.3.3.0]" in shown) is (name == SWARM)
    assert "RPATH" not in shown and "RUNPATH" not in shown


def test_bare_install_needs_numpy_and_onnxruntime_only(wheel: zipfile.ZipFile) -> None:
    """What `pip install haltere` brings onto a robot."""
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    needs = Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist", [])
    bare = sorted(need for need in needs if "extra ==" not in need)
    assert [need.split("=")[0].split("<")[0].split(">")[0] for need in bare] == ["numpy", "onnxruntime"]


@pytest.mark.parametrize("name", [*PACKAGES, "tests"])
def test_generic_names_are_not_importable(name: str, tmp_path: Path) -> None:
    """In an editable install too, ``import agents`` finds nothing of ours."""
    code = f"import importlib.util, json; spec = importlib.util.find_spec({name!r})\n"
    code += "print(json.dumps([spec.origin, *(spec.submodule_search_locations or [])] if spec else []))"
    places = [Path(place) for place in json.loads(python(code, tmp_path)) if place]
    assert not [place for place in places if place.is_relative_to(ROOT) and ".venv" not in place.parts]


@pytest.mark.parametrize("module", ["haltere.deploy.runtime", "haltere.agents.cli.main"])
def test_edge_modules_import_nothing_else(module: str, tmp_path: Path) -> None:
    """With every other package out of reach, the runtime and the command line still load."""
    code = f"""
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {EDGE!r}:
            raise ModuleNotFoundError(f"no {{name}} on a robot", name=name)
sys.meta_path.insert(0, Absent())
importlib.import_module({module!r})
"""
    python(code, tmp_path)


def test_help_is_instant(tmp_path: Path) -> None:
    """`haltere --help` within 0.6 s, and without any of the packages that take longer to import than that."""
    code = f"""
import contextlib, io, sys
from haltere.agents.cli.main import main
with contextlib.redirect_stdout(io.StringIO()) as said:
    try:
        code = main(["--help"])
    except SystemExit as error:
        code = error.code
assert not code and "train" in said.getvalue()
print(*(name for name in {HEAVY!r} if name in sys.modules))
"""
    assert not python(code, tmp_path).split()
    # User and system time, not the wall's: other jobs on this machine aren't our cost. The first run may compile.
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run([sys.executable, "-m", "haltere.agents.cli.main", "--help"], check=True, capture_output=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) <= 0.6


def modules() -> list[Path]:
    """Every Python module of the package."""
    return [path for path in sources() if path.suffix == ".py"]


def test_modules_stay_small() -> None:
    """At most 500 lines each, half of them at most 150: what one sitting can read."""
    folders = [ROOT / "sims" / "native", ROOT / "deploy" / "native", ROOT / "deploy" / "include"]
    natives = [path.relative_to(ROOT) for folder in folders for path in folder.rglob("*.[ch]*")]
    lines = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in [*modules(), *natives]}
    assert not {path: count for path, count in lines.items() if count > 500}
    assert statistics.median(lines[str(path)] for path in modules()) <= 150


def test_functions_stay_small() -> None:
    """At most 60 lines each, docstring included."""
    long = []
    for path in modules():
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                long += [f"{path}:{node.lineno} {node.name} has {size} lines"] if size > 60 else []
    assert not long


def test_one_version_everywhere() -> None:
    """The installed package, its source, the citation and the changelog tell the same version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert importlib.metadata.version("haltere") == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
