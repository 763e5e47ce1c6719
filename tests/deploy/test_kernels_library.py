"""The kernel library as a neighbour: what doesn't fit is refused with a sentence, and nothing else is disturbed."""

import ctypes
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haltere.configs.errors import HaltereError, RequestError
from haltere.deploy.kernels import library as module
from haltere.deploy.kernels.library import (
    instruction_set,
    instruction_sets,
    library_path,
    load,
    operators,
    use_instruction_set,
)
from haltere.deploy.kernels.op import Op

from . import kernel_oracles as oracles
from .kernel_oracles import Array

HEADER = Path(__file__).parents[2] / "deploy" / "include" / "haltere" / "kernels.h"


def python(code: str) -> str:
    """Standard output of a fresh interpreter."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def dense(name: str = "Dense", weights: Any = None, precision: str = "fp32", **attributes: int) -> Op:  # noqa: ANN401
    """A small layer, 3 to 2, unless told otherwise."""
    return Op(name, [np.ones((2, 3), np.float32)] if weights is None else weights, precision, **attributes)


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_names_that_do_not_exist_get_the_nearest() -> None:
    """Operators, precisions, attributes and instruction sets."""
    with pytest.raises(RequestError, match="no operator named 'SwarmPolice'; did you mean 'SwarmPolicy'"):
        dense(name="SwarmPolice")
    with pytest.raises(RequestError, match="no precision named 'fp16'; did you mean 'bf16'"):
        dense(precision="fp16")
    with pytest.raises(RequestError, match="no attribute of ChunkAttention named 'head'; did you mean 'heads'"):
        dense(name="ChunkAttention", head=3)
    with pytest.raises(RequestError, match="no attribute of Dense named 'heads'"):
        dense(heads=3)
    with pytest.raises(RequestError, match="no instruction set named 'sse9'"):
        use_instruction_set("sse9")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    """Wherever they are; a damaged network mustn't fly."""
    case = oracles.swarm(7, 2, 1)
    for index, each in enumerate(case.weights):
        spoiled = [w.copy() for w in case.weights]
        spoiled[index].reshape(-1)[each.size // 2] = value
        with pytest.raises(RequestError, match=f"^SwarmPolicy: weight {index} holds NaN or infinity$"):
            Op(case.name, spoiled)


def test_what_is_not_a_float32_array_is_refused() -> None:
    """Doubles, lists and too many dimensions; and what can't be read or written in place."""
    with pytest.raises(RequestError, match="weight 0 must be a float32 array, got float64"):
        dense(weights=[np.ones((2, 3))])
    with pytest.raises(RequestError, match="weight 0 must be a float32 array, got list"):
        dense(weights=[[1.0]])
    with pytest.raises(RequestError, match="weight 0 may have at most 6 dimensions"):
        dense(weights=[np.ones((1,) * 7, np.float32)])
    op, x, y = dense(), np.ones((4, 3), np.float32), np.empty((4, 2), np.float32)
    with pytest.raises(RequestError, match="input 0 must be contiguous"):
        op.run([np.ones((3, 4), np.float32).T], [y])
    y.flags.writeable = False
    with pytest.raises(RequestError, match="output 0 is read-only"):
        op.run([x], [y])


def test_shapes_that_do_not_fit_are_refused() -> None:
    """Each sentence says which array, what it must be and what it is."""
    case = oracles.swarm(8, 2, 3)
    with pytest.raises(RequestError, match=r"SwarmPolicy: self_w must be \(any, 13\), got \(8, 12\)"):
        Op(case.name, [case.weights[0][:, :12], *case.weights[1:]])
    with pytest.raises(RequestError, match=r"6 inputs for each of 1 to 8 neighbours, got \(8, 54\)"):
        Op(case.name, [*case.weights[:2], np.ones((8, 54), np.float32), *case.weights[3:]])
    with pytest.raises(RequestError, match=r"SwarmPolicy has 16 weights \(self_w .*head_b\), got 15"):
        Op(case.name, case.weights[:15])
    block = oracles.denoiser_block((5, 2, 3), 7, 3)
    with pytest.raises(RequestError, match=r"DenoiserBlock: down_w must be \(6, 7\), got \(6, 8\)"):
        Op(block.name, [*block.weights[:8], np.ones((6, 8), np.float32), block.weights[9]], heads=2)
    with pytest.raises(RequestError, match=r"steering must be \(3, 6\), got \(1, 6\)"):
        block.op()(block.inputs[0], block.inputs[1][:1])
    with pytest.raises(RequestError, match=r"steer must be \(3, 1, 36\), got \(3, 6\)"):
        oracles.steered_block((5, 2, 3), 7, 3).op()(*block.inputs)
    op, inputs = case.op(), case.inputs
    with pytest.raises(RequestError, match=r"neighbour must be \(3, 2, 6\), got \(3, 3, 6\)"):
        op(inputs[0], np.ones((3, 3, 6), np.float32), inputs[2])
    with pytest.raises(RequestError, match=r"SwarmPolicy has 3 inputs \(self neighbour obstacle\), got 2"):
        op(*inputs[:2])
    with pytest.raises(RequestError, match=r"input 0 has no possible shape: \(0, 19\)"):
        op(*(each[:0] for each in inputs))
    action, attention = op(*inputs)
    with pytest.raises(RequestError, match=r"output 1 must be \(3, 2\), got \(2, 2\)"):
        op.run(inputs, [action, attention[:2]])


def test_attributes_are_needed_and_bounded() -> None:
    """A missing or impossible number of heads or choices."""
    case = oracles.chunk_attention(12, 3, 4, 2, 2, 1)
    with pytest.raises(RequestError, match="attribute 'top_k' is missing"):
        Op(case.name, case.weights, heads=3)
    with pytest.raises(RequestError, match="heads must divide the width 12, got 5"):
        Op(case.name, case.weights, heads=5, top_k=1)
    with pytest.raises(RequestError, match="top_k must be from 1 to 64, got 0"):
        Op(case.name, case.weights, heads=3, top_k=0)
    case = oracles.denoiser_block((5, 3, 4), 7, 2)
    with pytest.raises(RequestError, match="attribute 'heads' is missing"):
        Op(case.name, case.weights)
    with pytest.raises(RequestError, match="heads must divide the width 12, got 5"):
        Op(case.name, case.weights, heads=5)
    case = oracles.glu_experts((4, 4, 4), 3, 1, (2,), False)
    with pytest.raises(RequestError, match="top_k must be from 1 to 3, got 4"):
        Op(case.name, case.weights, top_k=4)
    with pytest.raises(RequestError, match=r"logits must have the first dimensions of x, \(2, 4\), got \(3, 3\)"):
        case.op()(case.inputs[0], np.ones((3, 3), np.float32))


def test_overlapping_arrays_are_refused() -> None:
    """A lane would be read after another had overwritten it."""
    op, memory = dense(), np.ones(64, np.float32)
    x = memory[:12].reshape(4, 3)
    op.run([x], [memory[12:20].reshape(4, 2)])
    with pytest.raises(RequestError, match="output 0 overlaps input 0"):
        op.run([x], [memory[11:19].reshape(4, 2)])
    with pytest.raises(RequestError, match="output 0 overlaps input 0"):
        op.bind([x], [memory[:8].reshape(4, 2)])


def test_what_would_not_fit_the_stack_is_refused() -> None:
    """A run's scratch memory is bounded; a wider network is refused when it is made, more memory when it is given."""
    with pytest.raises(RequestError, match="more than 256 KiB of scratch"):
        dense(weights=[np.ones((80_000, 1), np.float32)])
    case = oracles.chunk_attention(4, 1, 2, 2, 1, 1)
    query, many = case.inputs[0], 100_000
    with pytest.raises(RequestError, match="more than 256 KiB of scratch"):
        case.op()(query, np.ones((1, many, 4), np.float32), np.ones((1, many, 1, 4), np.float32))
    case = oracles.denoiser_block((2, 1, 4), 4, 1)
    with pytest.raises(RequestError, match="more than 256 KiB of scratch"):
        case.op()(np.ones((1, many, 4), np.float32), case.inputs[1])


@settings(max_examples=300)
@given(data=st.data())
def test_hostile_shapes_never_crash(data: st.DataObject) -> None:
    """Any number of arrays of any shape, as weights and as inputs: a sentence or a result."""
    name = data.draw(st.sampled_from(sorted(operators())))
    shapes = st.lists(st.lists(st.integers(0, 14), max_size=4), max_size=17)
    likely = st.sampled_from([[12], [12, 12], [12, 13], [12, 4], [3, 12, 12], [12, 36], [4, 12], [4]])
    weights = [np.ones(shape, np.float32) for shape in data.draw(st.one_of(shapes, st.lists(likely, max_size=17)))]
    row = operators()[name]
    numbers = {key: data.draw(st.integers(-3, 70)) for key in row.attributes if data.draw(st.booleans())}
    try:
        op = Op(name, weights, data.draw(st.sampled_from(["fp32", "bf16", "int8"])), **numbers)
        outputs = op(*(np.ones(shape, np.float32) for shape in data.draw(shapes)))
    except RequestError as error:
        assert str(error).startswith(name)
    else:
        assert len(outputs) == len(row.outputs)


@settings(max_examples=200)
@given(data=st.data())
def test_a_shape_that_is_off_never_crashes(data: st.DataObject) -> None:
    """A valid call in which one dimension of one array is changed."""
    case = data.draw(
        st.sampled_from(
            [
                oracles.dense("DenseTanh", 5, 7, 3),
                oracles.two_token(5, 3),
                oracles.swarm(5, 2, 3),
                oracles.glu_experts((5, 6, 7), 3, 2, (3, 2), True),
                oracles.chunk_attention(6, 2, 4, 3, 2, 3, "some"),
                oracles.denoiser_block((5, 2, 3), 7, 3),
                oracles.steered_block((5, 2, 3), 7, 3),
            ]
        )
    )
    arrays = [*case.weights, *case.inputs]
    at = data.draw(st.integers(0, len(arrays) - 1))
    axis = data.draw(st.integers(0, arrays[at].ndim - 1))
    shape = list(arrays[at].shape)
    shape[axis] = data.draw(st.integers(0, 20).filter(lambda size: size != shape[axis]))
    arrays[at] = np.ones(shape, np.float32)
    split = len(case.weights)
    try:
        outputs = Op(case.name, arrays[:split], **case.attributes)(*arrays[split:])
    except RequestError as error:
        assert str(error).startswith(case.name)
    else:
        assert all(np.isfinite(each).all() for each in outputs)


# ---- the library -----------------------------------------------------------------------------------------------------


def test_a_missing_library_gets_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An install that failed half way."""
    monkeypatch.setattr(module, "package_folders", [str(tmp_path)])
    with pytest.raises(HaltereError, match=r"libhaltere_kernels\.so is missing.*reinstall haltere"):
        library_path()


def test_a_library_of_another_processor_gets_a_sentence(tmp_path: Path) -> None:
    """The file of a wheel for another machine: the loader's word for it, not a crash."""
    data = bytearray(library_path().read_bytes())
    data[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    path = tmp_path / "libhaltere_kernels.so"
    path.write_bytes(data)
    with pytest.raises(HaltereError, match=r"for RISC-V.*; reinstall haltere"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"no library at all\n" * 100])
def test_a_damaged_library_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Nothing of it is run."""
    path = tmp_path / "libhaltere_kernels.so"
    path.write_bytes(content)
    with pytest.raises(HaltereError, match="reinstall haltere"):
        load(path)


def test_another_library_or_version_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without our functions, and one whose interface has another number."""
    source, other = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text("int unrelated(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", other, source], check=True)
    with pytest.raises(HaltereError, match="isn't haltere's kernel library"):
        load(other)
    monkeypatch.setattr(module, "ABI", 99)
    with pytest.raises(HaltereError, match=r"has interface 1, this haltere needs 99; reinstall haltere"):
        load(library_path())


def test_the_mirror_is_the_header(tmp_path: Path) -> None:
    """Sizes and constants of this module against those that a C compiler sees; C99, no warning."""
    source = tmp_path / "mirror.c"
    source.write_text(
        '#include <stdio.h>\n#include "haltere/kernels.h"\n'
        'int main(void) { printf("%d %d %zu %zu %zu", HALTERE_ABI, HALTERE_MAX_RANK, sizeof(haltere_tensor),\n'
        "  sizeof(haltere_attribute), sizeof(haltere_op_info)); return 0; }\n"
    )
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", f"-I{HEADER.parents[1]}"]
    subprocess.run(["cc", *flags, "-o", tmp_path / "mirror", source], check=True)
    seen = subprocess.run([tmp_path / "mirror"], capture_output=True, text=True, check=True).stdout.split()
    mirrored = (module.Tensor, module.Attribute, module._Info)
    assert [int(each) for each in seen] == [module.ABI, module.MAX_RANK, *(ctypes.sizeof(each) for each in mirrored)]


def test_the_table_is_documented() -> None:
    """Every operator, weight, input, output and attribute is in the header under its name."""
    text = HEADER.read_text()
    for row in operators().values():
        for name in (row.name, *row.weights, *row.inputs, *row.outputs, *row.attributes):
            assert name in text, f"{row.name}: {name}"


def test_instruction_sets_go_from_the_plainest_to_the_best() -> None:
    """The baseline is always there, and the best is what is used."""
    assert instruction_sets()[0] in ("baseline", "neon")
    assert instruction_set() == instruction_sets()[-1]
    flags = Path("/proc/cpuinfo").read_text() if os.uname().machine == "x86_64" else ""
    assert ("avx2" in instruction_sets()) == (" avx2" in flags and " fma" in flags)
    assert ("avx512vnni" in instruction_sets()) == (" avx512_vnni" in flags)
    assert ("avx512bf16" in instruction_sets()) == (" avx512_vnni" in flags and " avx512_bf16" in flags)
    # The other way round wouldn't hold: an old kernel doesn't let anybody use tiles that the processor has.
    assert "amx" not in instruction_sets() or " amx_bf16" in flags


def test_loading_leaves_denormals_alone() -> None:
    """A library built with -ffast-math would set every thread's small numbers to zero."""
    shown = python(
        "import numpy as np\n"
        "from haltere.deploy.kernels.library import reserve_threads\n"
        "from haltere.deploy.kernels.op import Op\n"
        "op = Op('DenseTanh', [np.ones((64, 64), np.float32)]); reserve_threads(3)\n"
        "op(np.ones((99, 64), np.float32), threads=3)\n"
        "small = np.full(3, 1e-40, np.float32)\n"
        "print((small * np.float32(0.5) > 0).all(), (np.full(3, 5e-324) * 1.0 > 0).all())\n"
        "print(Op('Dense', [np.ones((1, 1), np.float32)])(np.full((1, 1), 1e-40, np.float32))[0][0, 0] > 0)\n"
    )
    assert shown.split() == ["True", "True", "True"]


def test_the_binding_needs_only_numpy() -> None:
    """It goes where a robot has nothing else."""
    heavy = ("torch", "onnx", "onnxruntime", "scipy", "pydantic", "mujoco", "gymnasium")
    shown = python(f"import sys, haltere.deploy.kernels.op; print([m for m in {heavy} if m in sys.modules])")
    assert shown == "[]"


# ---- calls -----------------------------------------------------------------------------------------------------------


def test_a_bound_call_reads_its_arrays_anew() -> None:
    """Fill, run, read: the same arrays every time."""
    case = oracles.swarm(16, 2, 5)
    inputs = [np.zeros_like(each) for each in case.inputs]
    outputs = [np.empty(each.shape, np.float32) for each in case.wanted]
    call = case.op().bind(inputs, outputs)
    for mine, theirs in zip(call.inputs, case.inputs, strict=True):
        mine[:] = theirs
    call.run()
    for a, b in zip(outputs, case.op()(*case.inputs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_run_alone_keeps_everything_alive() -> None:
    """Whoever keeps only the function mustn't find the arrays and the weights freed."""
    case = oracles.dense("Dense", 3000, 300, 2)
    output = np.zeros((2, 300), np.float32)
    run = case.op().bind([case.inputs[0].copy()], [output]).run
    gc.collect()
    _spoil = [np.full(900_000, np.nan, np.float32) for _ in range(4)]
    run()
    np.testing.assert_allclose(output, case.wanted[0], atol=1e-4)


def test_one_op_serves_several_threads_at_once() -> None:
    """Nothing of a run is kept in the op; the pool serves one run and the others do without."""
    module.reserve_threads(3)
    case = oracles.swarm(40, 2, 50)
    op = case.op()
    wanted = op(*case.inputs)
    wrong: list[int] = []

    def fly(threads: int) -> None:
        outputs = [np.empty_like(each) for each in wanted]
        call = op.bind(case.inputs, outputs, threads=threads)
        for _ in range(300):
            for each in outputs:
                each.fill(np.nan)
            call.run()
            if not all(np.array_equal(a, b) for a, b in zip(outputs, wanted, strict=True)):
                wrong.append(threads)

    pilots = [threading.Thread(target=fly, args=(threads,)) for threads in (1, 3, 3, 2)]
    for pilot in pilots:
        pilot.start()
    for pilot in pilots:
        pilot.join()
    assert not wrong


def test_a_forked_process_goes_on_without_the_threads() -> None:
    """They aren't forked; the child works alone until it asks for its own."""
    shown = python(
        "import os, numpy as np\n"
        "from haltere.deploy.kernels.library import reserve_threads\n"
        "from haltere.deploy.kernels.op import Op\n"
        "op = Op('Dense', [np.eye(40, dtype=np.float32)]); x = np.random.rand(90, 40).astype(np.float32)\n"
        "assert reserve_threads(3) == 3 and (op(x, threads=3)[0] == x).all()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    good = (op(x, threads=3)[0] == x).all() and reserve_threads(1) == 1\n"
        "    good = good and reserve_threads(2) == 2 and (op(x, threads=2)[0] == x).all()\n"
        "    os._exit(0 if good else 1)\n"
        "print(os.waitpid(child, 0)[1], (op(x, threads=3)[0] == x).all())\n"
    )
    assert shown == "0 True"


def test_weights_may_change_after_the_op_is_made() -> None:
    """They were packed: the op is what it was."""
    case = oracles.dense("Dense", 6, 5, 4)
    op = case.op()
    before = op(*case.inputs)[0]
    case.weights[0].fill(np.nan)
    np.testing.assert_array_equal(op(*case.inputs)[0], before)


def test_weights_need_not_be_contiguous() -> None:
    """A transposed matrix is copied as it reads, not as it lies."""
    rng = np.random.default_rng(0)
    weight: Array = oracles.matrix(rng, 6, 9).T
    x = oracles.normal(rng, 2, 6)
    np.testing.assert_allclose(dense(weights=[weight])(x)[0], x @ weight.T, atol=1e-6)


def test_fewer_bits_take_fewer_bytes() -> None:
    """Half and a quarter of the weights, but for what stays as it is."""
    case = oracles.dense("Dense", 512, 512, 1)
    full, half, quarter = (case.op(precision).bytes for precision in ("fp32", "bf16", "int8"))
    assert full == pytest.approx(4 * 512 * 513)
    assert 0.5 <= half / full < 0.51 and 0.25 <= quarter / full < 0.26
