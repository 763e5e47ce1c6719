"""What the C costs a Cortex-M4F: instructions of the compiled code, counted one by one; flash, RAM and stack.

``pytest -m mcu -s`` shows the table.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from haltere.configs.errors import HaltereError
from haltere.deploy.contract import Contract
from haltere.deploy.loading import TorchActor
from haltere.deploy.mcu import count, cross, qemu
from haltere.deploy.mcu.cost import OPTIMISATIONS, initialiser, measure_cost, run
from haltere.deploy.mcu.export import CManifest
from haltere.deploy.mcu.registry import emitter

from . import mcu_rivals
from .mcu_policies import WIDTHS, flight, mcu_policy
from .mcu_rivals import Rival

MISSING = cross.absent() or count.absent()
pytestmark = [pytest.mark.mcu, pytest.mark.skipif(bool(MISSING), reason=MISSING or "everything is there")]
MOST_INSTRUCTIONS = {10: 5_500, 16: 11_000, 32: 41_000}
"""What was promised; published flight code of this size takes 70,000 to 90,000."""
MOST_FLASH_BYTES = {10: 8 * 1024}
MEASURED = {
    (10, "-Os"): (4_529, 5_024, 352),
    (10, "-O3"): (3_911, 9_328, 352),
    (16, "-Os"): (7_909, 9_160, 496),
    (16, "-O3"): (7_333, 13_772, 556),
    (32, "-Os"): (22_098, 26_988, 892),
    (32, "-O3"): (21_714, 30_448, 888),
}
"""Instructions, flash and stack [bytes] with arm-none-eabi-gcc 12.2.1: a change detector, and the README's table."""
SLACK = 1.05
"""Another compiler of these years may need a little more."""
LIMIT = 1e-5
HEAD = f"{'network':<32}{'':<5}{'instructions':>13}{'flash':>9}{'RAM':>7}{'stack':>7}{'error':>10}"


def flat(obs: dict[str, NDArray[np.float32]], lanes: slice) -> NDArray[np.float32]:
    """Some lanes, every observation end to end."""
    parts = [array[lanes] for array in obs.values()]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


@pytest.fixture(scope="module")
def flown() -> NDArray[np.float32]:
    """Observations of flights, end to end, far apart from each other."""
    return np.ascontiguousarray(flat(flight(), slice(None, None, 97)))


@pytest.fixture(scope="module")
def made(mcu_exports: dict[int, CManifest]) -> dict[int, CManifest]:
    """A written folder for each width."""
    return mcu_exports


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Rows that the tests fill in; shown at the end, where output is."""
    rows: list[str] = []
    yield rows
    print("\n\nCortex-M4F, one call; bytes\n" + "\n".join([HEAD, *rows]))


def row(name: str, option: str, calls: list[count.Call], size: cross.Size, error: float | None) -> str:
    """One line of the table."""
    instructions, stack = max(call.instructions for call in calls), max(call.stack_bytes for call in calls)
    shown = "-" if error is None else f"{error:.0e}"
    return f"{name:<32}{option:<5}{instructions:>13,}{size.flash_bytes:>9,}{size.ram_bytes:>7,}{stack:>7,}{shown:>10}"


def worst(calls: Any, wanted: dict[str, NDArray[np.float32]]) -> float:  # noqa: ANN401
    """Largest error of the board's answers."""
    got = np.array([call.outputs for call in calls])
    return float(np.abs(got - flat(wanted, slice(None))).max())


def named(obs: NDArray[np.float32], contract: Contract) -> dict[str, NDArray[np.float32]]:
    """End to end to one array for each observation."""
    ends = np.cumsum([int(np.prod(tensor.shape)) for tensor in contract.inputs])[:-1]
    parts = zip(contract.inputs, np.split(obs, ends, axis=1), strict=True)
    return {t.name.removeprefix("obs."): np.ascontiguousarray(part).reshape(-1, *t.shape) for t, part in parts}


@pytest.mark.parametrize("optimise", OPTIMISATIONS)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_compiled_code_is_within_its_budget_and_right(
    made: dict[int, CManifest], flown: NDArray[np.float32], table: list[str], tmp_path: Path, width: int, optimise: str
) -> None:
    """Few instructions, little flash, no variables, a bounded stack; and on the board it answers as torch does."""
    folder, contract = made[width].path, made[width].contract
    bound = emitter(mcu_policy(width))(mcu_policy(width)).stack_bytes
    size = cross.build_object(folder, tmp_path / "policy.o", optimise, stack_bytes=bound)
    image = cross.build_image([tmp_path / "policy.o"], folder, initialiser(contract, flown[0]), tmp_path)
    calls = list(run(cross.read_image(image, tmp_path), contract, flown))
    error = worst(calls, TorchActor(mcu_policy(width)).act(named(flown, contract)))
    table.append(row(f"haltere, width {width}", optimise, calls, size, error))
    assert error <= LIMIT
    instructions, stack = max(call.instructions for call in calls), max(call.stack_bytes for call in calls)
    assert instructions <= MOST_INSTRUCTIONS[width]
    assert optimise != "-Os" or size.flash_bytes <= MOST_FLASH_BYTES.get(width, 1 << 20)
    got = (instructions, size.flash_bytes, stack)
    assert all(value <= SLACK * known for value, known in zip(got, MEASURED[width, optimise], strict=True)), got
    assert size.ram_bytes == 0
    assert stack <= bound + 64  # and what haltere_policy calls


def test_the_projects_readme_shows_what_was_measured() -> None:
    """Each width's row at -Os, to the instruction."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for width in WIDTHS:
        instructions, flash, stack = MEASURED[width, "-Os"]
        assert f"\n| {width} | {instructions:,} | {flash:,} B | {stack:,} B | " in text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_readme_has_the_figures_that_were_measured(made: dict[int, CManifest], width: int) -> None:
    """One column an optimisation; the text is what the manifest holds."""
    assert [cost.optimise for cost in made[width].costs] == list(OPTIMISATIONS) and not made[width].not_measured
    text = (made[width].path / "README.md").read_text()
    for figure in ("instructions", "flash_bytes", "ram_bytes", "stack_bytes"):
        values = [getattr(cost, figure) for cost in made[width].costs]
        assert f" | {values[0]:,} | {values[1]:,} |" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_qemu_comes_to_the_same_count_and_the_same_answer(
    made: dict[int, CManifest], flown: NDArray[np.float32], tmp_path: Path, width: int
) -> None:
    """Another emulator with another way to count: within 2 %, and every bit of the answer."""
    if reason := qemu.absent():
        pytest.skip(reason)
    folder, contract = made[width].path, made[width].contract
    cross.build_object(folder, tmp_path / "policy.o", "-Os")
    image = cross.build_image([tmp_path / "policy.o"], folder, initialiser(contract, flown[3]), tmp_path)
    (call,) = run(cross.read_image(image, tmp_path), contract, flown[3:4])
    opinion = qemu.ask(image)
    print(f"\nwidth {width}, -Os: unicorn {call.instructions:,}, QEMU {opinion.instructions:,.0f} instructions")
    assert opinion.instructions == pytest.approx(call.instructions, rel=0.02)
    assert opinion.outputs == call.outputs


def test_a_count_is_exact(made: dict[int, CManifest], tmp_path: Path) -> None:
    """Code whose instructions a person can count: three before the loop, three in each of five turns, one to return."""
    code = """
    #include "policy.h"
    __attribute__((naked)) void haltere_policy(const haltere_observation *obs, haltere_output *out) {
      __asm__("mov r2, #5\\n str r2, [sp, #-24]\\n ldr r3, [r0]\\n"
              "1: sub r2, r2, #1\\n cmp r2, #0\\n bne 1b\\n bx lr");
    }
    """
    (tmp_path / "known.c").write_text(code)
    folder, contract = made[10].path, made[10].contract
    command = [f"{cross.PREFIX}gcc", *cross.CORTEX_M4, "-Os", f"-I{folder}", "-c", tmp_path / "known.c"]
    subprocess.run([*command, "-o", tmp_path / "known.o"], check=True)
    zeros = np.zeros((1, 40), np.float32)
    image = cross.build_image([tmp_path / "known.o"], folder, initialiser(contract, zeros[0]), tmp_path)
    program = cross.read_image(image, tmp_path)
    (call,) = run(program, contract, zeros)
    assert (call.instructions, call.stack_bytes) == (3 + 5 * 3 + 1, 24)
    if not qemu.absent():
        assert qemu.ask(image).instructions == pytest.approx(19 + 5, abs=3)  # and the loop of calls around it


def test_code_that_never_returns_is_an_error(made: dict[int, CManifest], tmp_path: Path) -> None:
    """And not a session that hangs."""
    (tmp_path / "lost.c").write_text("void haltere_policy(void) { *(volatile int *)0x60000000 = 1; }\n")
    folder, contract = made[10].path, made[10].contract
    command = [f"{cross.PREFIX}gcc", *cross.CORTEX_M4, "-Os", "-c", tmp_path / "lost.c", "-o", tmp_path / "lost.o"]
    subprocess.run(command, check=True)
    zeros = np.zeros((1, 40), np.float32)
    image = cross.build_image([tmp_path / "lost.o"], folder, initialiser(contract, zeros[0]), tmp_path)
    with pytest.raises(HaltereError, match="the emulated Cortex-M4F stopped at 0x8"):
        run(cross.read_image(image, tmp_path), contract, zeros)


def test_a_library_call_a_double_and_a_deep_stack_are_refused(made: dict[int, CManifest], tmp_path: Path) -> None:
    """The cross build would say so: each of the promises is one that it can break."""
    for code, said in (
        ("x = expf(x);", "undefined reference to `expf'"),
        ("x = x * 0.1;", "double"),
        ("volatile float big[4096]; big[0] = x; x = big[0];", "stack usage"),
    ):
        folder = tmp_path / str(len(said))
        folder.mkdir()
        (folder / "policy.h").write_text((made[10].path / "policy.h").read_text())
        source = (made[10].path / "policy.c").read_text()
        head, tail = source.split("static inline float tanh_of(float x) {")
        (folder / "policy.c").write_text(f"{head}static inline float tanh_of(float x) {{ {code}{tail}")
        with pytest.raises(HaltereError, match=said):
            measure_cost(folder, made[10].contract, np.zeros((1, 40), np.float32), 600)


def test_the_makefile_builds_for_the_board(made: dict[int, CManifest]) -> None:
    """Flags, bound on the stack and the search for libraries are in the folder itself."""
    done = subprocess.run(["make", "-C", made[16].path, "cortex-m4"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{made[16].costs[0].flash_bytes} " in " ".join(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_the_same_network_through_emx_onnx_cgen(
    made: dict[int, CManifest], flown: NDArray[np.float32], table: list[str], tmp_path: Path, width: int
) -> None:
    """A generator from ONNX takes more instructions for the same answers."""
    if reason := mcu_rivals.absent("emx_onnx_cgen"):
        pytest.skip(reason)
    contract = made[width].contract
    sources = mcu_rivals.emx_sources(mcu_policy(width), tmp_path)
    wanted = TorchActor(mcu_policy(width)).act(named(flown[:4], contract))
    for cost in made[width].costs:
        rival = mcu_rivals.measure(sources, contract, made[width].path, flown[:4], cost.optimise)
        error = worst(rival.calls, wanted)
        table.append(row(f"emx-onnx-cgen, width {width}", cost.optimise, rival.calls, rival.size, error))
        assert error <= LIMIT
        assert cost.instructions is not None
        assert cost.instructions < min(call.instructions for call in rival.calls)


@pytest.mark.slow
def test_a_perceptron_through_emlearn(
    made: dict[int, CManifest], flown: NDArray[np.float32], table: list[str], tmp_path: Path
) -> None:
    """Another network: without attention in emlearn, a perceptron with about as many weights is what it can do."""
    if reason := mcu_rivals.absent("emlearn"):
        pytest.skip(reason)
    sources, weights = mcu_rivals.emlearn_sources(tmp_path)
    hidden = flown[:4].astype(np.float64)
    for matrix in weights:
        hidden = np.tanh(hidden @ matrix)
    name = "emlearn, " + "-".join(map(str, mcu_rivals.EMLEARN_LAYERS)) + " tanh"
    for optimise in OPTIMISATIONS:
        include = mcu_rivals.include_emlearn()
        rival: Rival = mcu_rivals.measure(sources, made[16].contract, made[16].path, flown[:4], optimise, include)
        error = float(np.abs(np.array([call.outputs[:4] for call in rival.calls]) - hidden).max())
        table.append(row(name, optimise, rival.calls, rival.size, error))
        assert error <= LIMIT
