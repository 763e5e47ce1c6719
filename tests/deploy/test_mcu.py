"""A policy written as C is the policy, proves it, is whole or absent, and keeps its promises on hostile input."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from haltere.configs.errors import HaltereError, IntegrityError, ParityError, RequestError
from haltere.deploy.contract import Contract, Tensor
from haltere.deploy.errors import NonFiniteError, ObservationError
from haltere.deploy.loading import TorchActor, resolve_actor
from haltere.deploy.mcu import c_text, cross, swarm
from haltere.deploy.mcu.actor import CActor
from haltere.deploy.mcu.export import CONTRACT_NAME, CManifest, check_c_export, export_c
from haltere.deploy.mcu.header import LARGEST, header
from haltere.deploy.mcu.host import ARITHMETIC, STANDARD, HostPolicy, compiler
from haltere.deploy.weights import weights_digest
from haltere.policies.base import Policy, Signature

from .mcu_policies import FACTS, flight, mcu_policy
from .toys import SWARM, Remembering, ToyConfig, arrays, leftovers, swarm_policy

WRITTEN = sorted("Makefile README.md contract.json crazyflie manifest.json policy.c policy.h test_policy.c".split())
LIMIT = 1e-5


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run make in a written folder."""
    return subprocess.run(["make", "-C", folder, *words], capture_output=True, text=True, check=False)


def exact(policy: Policy, obs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """The network's answers in float64."""
    double = mcu_copy(policy)
    with torch.no_grad():
        out, _ = double({key: torch.from_numpy(array).double() for key, array in obs.items()}, {})
    return {key: tensor.numpy() for key, tensor in out.items()}


def mcu_copy(policy: Policy) -> Policy:  # type: ignore[type-arg]
    """The same network in float64."""
    twin = type(policy)(policy.config, policy.signature).double().eval()
    twin.load_state_dict(policy.state_dict())
    return twin


@pytest.fixture(scope="module")
def written(mcu_exports: dict[int, CManifest]) -> Path:
    """A folder of C of a policy of width 16."""
    return mcu_exports[16].path


@pytest.fixture(scope="module")
def host(written: Path) -> HostPolicy:
    """The same, loaded."""
    return CActor(written)._host


@pytest.mark.parametrize(
    ("width", "neighbours", "attention"),
    [(10, 2, "softmax"), (16, 2, "softmax"), (32, 2, "softmax"), (16, 1, "mean"), (10, 6, "softmax")],
)
def test_the_c_code_is_the_network(
    mcu_exports: dict[int, CManifest], width: int, neighbours: int, attention: str
) -> None:
    """On 1,000 random observations, and on what drones sense that fly: within 1e-5 of torch, and of float64."""
    policy = mcu_policy(width, neighbours=neighbours, attention=attention)
    actor = CActor(mcu_exports[width].path) if neighbours == 2 else CActor.of(policy, FACTS)
    reference = TorchActor(policy)
    flown = flight(neighbours)
    assert len(flown["self"]) >= 1000
    for obs in (arrays(policy, 1000, seed=17), flown):
        got, wanted, truth = actor.act(obs), reference.act(obs), exact(policy, obs)
        assert got.keys() == wanted.keys() == {"action", "attention"}
        for key in wanted:
            np.testing.assert_allclose(got[key], wanted[key], rtol=0, atol=LIMIT)
            np.testing.assert_allclose(got[key], truth[key], rtol=0, atol=LIMIT)
        assert np.ptp(got["action"]) > 0.1  # not the answer of a network that says nothing
        assert attention == "mean" or np.ptp(got["attention"]) > 0.1


def test_a_written_folder_tests_itself(written: Path, tmp_path: Path) -> None:
    """``make test`` passes as written, and fails once a single weight is another one."""
    assert leftovers(written) == WRITTEN
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    passed = make(folder, "test")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "24 golden vectors" in passed.stdout and "ok" in passed.stdout
    source = (folder / "policy.c").read_text()
    body = source.index("head_weight[")
    weight = re.compile(r"-?\d+\.\d+f").search(source, body)
    assert weight is not None
    (folder / "policy.c").write_text(source[: weight.start()] + "9.0f" + source[weight.end() :])
    failed = make(folder, "test")
    assert failed.returncode != 0 and "FAILED" in failed.stdout


def test_equal_policies_give_equal_files(written: Path, tmp_path: Path) -> None:
    """Nothing of the day or the machine is in them."""
    export_c(mcu_policy(16), tmp_path / "again", facts=FACTS)
    for name in ("policy.c", "policy.h", "test_policy.c", "manifest.json"):
        assert (tmp_path / "again" / name).read_bytes() == (written / name).read_bytes()


def test_the_header_says_what_the_contract_says(written: Path) -> None:
    """Task, digest, period, bounds and units, in constants and comments; the contract itself lies beside it."""
    contract = Contract.from_json((written / CONTRACT_NAME).read_text())
    assert contract.weights == weights_digest(mcu_policy(16))
    assert contract.task == FACTS.task and contract.parity.max_error <= LIMIT
    text = (written / "policy.h").read_text()
    for part in (
        f'#define HALTERE_TASK "{FACTS.task}"',
        f'#define HALTERE_WEIGHTS "{contract.weights}"',
        "#define HALTERE_ACTION_LOW {-1.0f, -1.0f, -1.0f, -1.0f}",
        "float neighbour[2][6];",
    ):
        assert part in text
    period = re.search(r"HALTERE_CTRL_DT_S (\S+)f ", text)
    assert period is not None and np.float32(period[1]) == np.float32(contract.ctrl_dt_s)
    words = " ".join(text.replace("*", " ").split())
    for unit in FACTS.units.values():
        assert " ".join(unit.split()) in words


numbers = st.one_of(
    st.floats(width=32),
    st.floats(-10, 10, width=32),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, LARGEST, -LARGEST, 3.4028235e38]),
)


@given(st.lists(numbers, min_size=40, max_size=40))
def test_whatever_it_is_given_the_action_is_within_bounds(host: HostPolicy, values: list[float]) -> None:
    """NaN, infinity and the largest float too; and what passes the check gives finite outputs throughout."""
    obs = np.array([values], np.float32)
    sane = bool((np.abs(obs) <= np.float32(LARGEST)).all())  # false for NaN
    out, bad = host.run(obs)
    assert (bad == -1) == sane
    unchecked, _ = host.run(obs, check=False)
    action = unchecked[:, :4]
    assert ((action >= -1) & (action <= 1)).all()
    if sane:
        assert np.isfinite(out).all()
        assert ((out[:, 4:] >= 0) & (out[:, 4:] <= 1)).all()


def test_an_actor_refuses_what_the_policy_mustnt_see(written: Path) -> None:
    """The lane is named; a name, shape or type that isn't the contract's gets a sentence."""
    actor, obs = CActor(written), arrays(mcu_policy(16), 3, seed=1)
    broken = {key: array.copy() for key, array in obs.items()}
    broken["neighbour"][1, 0, 2] = np.nan
    with pytest.raises(NonFiniteError, match="lane 1 isn't finite"):
        actor.act(broken)
    with pytest.raises(ObservationError, match=r"got self, neighbour$"):
        actor.act({key: obs[key] for key in ("self", "neighbour")})
    with pytest.raises(ObservationError, match=r"'self' must be \(lanes, 19\) float32, got \(3, 19\) float64"):
        actor.act(obs | {"self": obs["self"].astype(np.float64)})
    with pytest.raises(ObservationError, match=r"'obstacle' must be \(lanes, 9\) float32, got \(2, 9\)"):
        actor.act(obs | {"obstacle": obs["obstacle"][:2]})


def test_a_damaged_folder_is_refused_before_it_is_compiled(written: Path, tmp_path: Path) -> None:
    """One changed byte of the source, or no source at all."""
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    (folder / "policy.c").write_text((folder / "policy.c").read_text().replace("66.0f", "67.0f"))
    with pytest.raises(IntegrityError, match=r"policy\.c: damaged"):
        CActor(folder)
    with pytest.raises(RequestError, match=r"has no policy\.c; haltere export --target c makes one"):
        CActor(tmp_path)


def test_only_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    """What its own Makefile built goes with it; anything else stays, and the export is refused."""
    folder = tmp_path / "policy"
    export_c(mcu_policy(10), folder, facts=FACTS, cost=False)
    assert make(folder, "test").returncode == 0
    assert (folder / "build" / "test_policy").is_file()
    export_c(mcu_policy(16), folder, facts=FACTS, cost=False)
    assert leftovers(folder) == WRITTEN
    (folder / "build").mkdir()  # as a compiler that failed leaves it
    check_c_export(folder)
    assert make(folder, "test").returncode == 0
    (folder / "my_notes.txt").write_text("precious")
    with pytest.raises(RequestError, match=r"also holds my_notes\.txt, which would be lost"):
        export_c(mcu_policy(10), folder, facts=FACTS, cost=False)
    assert (folder / "my_notes.txt").read_text() == "precious"
    assert (folder / "build" / "test_policy").is_file()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "policy.c").write_text("int main(void) { return 0; }")
    with pytest.raises(RequestError, match=r"holds other files \(policy\.c\), which would be lost"):
        export_c(mcu_policy(10), tmp_path / "other", facts=FACTS, cost=False)


def test_code_that_computes_something_else_isnt_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof runs on the file that would be kept."""
    monkeypatch.setattr(swarm, "_SLOPE", 1.7)
    with pytest.raises(ParityError, match="the C code is off by"):
        export_c(mcu_policy(10), tmp_path / "policy", facts=FACTS, cost=False)
    assert leftovers(tmp_path) == []


def test_a_policy_that_nobody_writes_is_named(tmp_path: Path) -> None:
    """And so are those that can be written."""
    with pytest.raises(RequestError, match="a policy of type 'toy' can't be written as C yet; this can: swarm"):
        export_c(Remembering(ToyConfig()), tmp_path / "policy", facts=FACTS)
    assert leftovers(tmp_path) == []


def test_weights_that_arent_finite_are_refused(tmp_path: Path) -> None:
    """Before they become a literal that no compiler takes."""
    policy = mcu_policy(10)
    with torch.no_grad():
        policy.get_parameter("fuse.0.weight")[0, 0] = float("nan")
    with pytest.raises(RequestError, match="fuse_weight isn't finite"):
        export_c(policy, tmp_path / "policy", facts=FACTS)


def test_without_a_compiler_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parity can't be proven without one, so nothing is written."""
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(RequestError, match="no C compiler 'no-such-compiler' on this machine"):
        export_c(mcu_policy(10), tmp_path / "policy", facts=FACTS)
    assert leftovers(tmp_path) == []


def test_what_cant_be_measured_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cross compiler: the README has no number that nobody measured."""
    monkeypatch.setattr(cross, "PREFIX", "no-such-")
    made = export_c(mcu_policy(10), tmp_path / "policy", facts=FACTS)
    assert made.costs == () and made.not_measured == "no-such-gcc isn't installed"
    text = (tmp_path / "policy" / "README.md").read_text()
    assert "| static RAM [bytes] | not measured |" in text
    assert "Not measured here: no-such-gcc isn't installed." in text
    assert "not measured: no-such-gcc" in made.as_text()


def test_the_runtime_c_flies_policies_and_written_folders(written: Path, swarm_folder: Path) -> None:
    """``--runtime c`` by name: a trained policy is written in passing, a folder of C is compiled as it is."""
    obs = arrays(mcu_policy(16), 5, seed=2)
    for folder, policy in ((written, mcu_policy(16)), (swarm_folder, swarm_policy())):
        actor = resolve_actor(str(folder), task=FACTS.task, signature=SWARM, runtime="c")
        assert isinstance(actor, CActor)
        np.testing.assert_allclose(actor.act(obs)["action"], TorchActor(policy).act(obs)["action"], rtol=0, atol=LIMIT)
    with pytest.raises(RequestError, match="runs with --runtime onnx or fused, not c"):
        resolve_actor(str(swarm_folder / "policy.onnx"), task=FACTS.task, signature=SWARM, runtime="c")
    other = Signature({"self": (19,), "neighbour": (6, 6), "obstacle": (9,)}, 4)
    for folder in (written, swarm_folder):
        with pytest.raises(RequestError, match=r"neighbour \(2, 6\) instead of \(6, 6\)"):
            resolve_actor(str(folder), task=FACTS.task, signature=other, runtime="c")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    """Whatever the float32, and each literal is a float's."""
    text = c_text.number(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text) and ("." in text or "e" in text)
    assert np.float32(text[:-1]).tobytes() == np.float32(value).tobytes()


def test_no_text_ends_a_comment_or_a_string_early(written: Path, tmp_path: Path) -> None:
    """Units and names come from whoever wrote the task; the compiler takes them all."""
    hostile = 'ends */ #error "one" \\ ??/ /* two \n // three \\'
    contract = Contract.from_json((written / CONTRACT_NAME).read_text())
    fields = {**contract.__dict__, "task": hostile, "inputs": (Tensor("obs.self", (19,), unit=hostile),)}
    (tmp_path / "policy.h").write_text(header(Contract(**fields)))
    task_of = "const char *task(void);\nconst char *task(void) { return HALTERE_TASK; }\n"
    (tmp_path / "use.c").write_text(f'#include "policy.h"\n{task_of}')
    library = tmp_path / "use.so"
    subprocess.run([compiler(), *STANDARD, "-shared", "-fPIC", tmp_path / "use.c", "-o", library], check=True)
    task = ctypes.CDLL(str(library)).task
    task.restype = ctypes.c_char_p
    assert task().decode() == hostile.replace("\n", "_")
    for name in ("obs.float", "obs.2d"):
        bad = {**contract.__dict__, "inputs": (Tensor(name, (2,)),)}
        with pytest.raises(RequestError, match="can't be the name of a field in C"):
            header(Contract(**bad))


def compiled_tanh(folder: Path, loop: str) -> ctypes.CDLL:
    """The written tanh with a loop around it."""
    (folder / "tanh.c").write_text(f"#include <math.h>\n#include <string.h>\n{c_text.template('tanh.c')}\n{loop}")
    command = [compiler(), "-std=c99", "-O2", *ARITHMETIC, "-shared", "-fPIC", folder / "tanh.c", "-o", folder / "t.so"]
    subprocess.run([*command, "-lm"], check=True)
    return ctypes.CDLL(str(folder / "t.so"))


def test_tanh_is_within_its_stated_error(tmp_path: Path) -> None:
    """Against numpy in float64, over the whole range and far beyond; NaN stays NaN."""
    loop = "void all(const float *x, float *y, int n) { while (n--) *y++ = tanh_of(*x++); }\n"
    library = compiled_tanh(tmp_path, loop)
    tiny, huge = np.logspace(-45, 0, 20_000), np.logspace(0, 38, 2_000)
    x = np.concatenate([np.linspace(0, 9, 500_001), tiny, huge, [np.inf]]).astype(np.float32)
    x = np.concatenate([x, -x, [np.nan]]).astype(np.float32)
    y = np.zeros_like(x)
    library.all(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), len(x))
    assert np.isnan(y[-1])
    assert np.abs(y[:-1] - np.tanh(x[:-1].astype(np.float64))).max() <= 6e-7


@pytest.mark.slow
def test_tanh_is_within_its_stated_error_for_every_number(tmp_path: Path) -> None:
    """All two thousand million positive floats, against the C library in double; the function is odd by its form."""
    loop = """
    double worst(void) {
      double most = 0.0;
      for (unsigned bits = 0; bits <= 0x7f800000u; ++bits) {
        float x;
        memcpy(&x, &bits, sizeof x);
        const double error = fabs((double)tanh_of(x) - (x < 20.0f ? tanh((double)x) : 1.0));
        if (error > most) most = error;
      }
      return most;
    }
    """
    worst = compiled_tanh(tmp_path, loop).worst
    worst.restype = ctypes.c_double
    assert worst() <= 6e-7


def test_a_compiler_that_refuses_is_quoted(written: Path, tmp_path: Path) -> None:
    """What it said, in one sentence, and not a traceback."""
    shutil.copytree(written, tmp_path / "copy")
    (tmp_path / "copy" / "policy.c").write_text("int x = ;\n")
    contract = Contract.from_json((written / CONTRACT_NAME).read_text())
    with pytest.raises(HaltereError, match=r"compiling .*policy\.c failed: .*error: expected expression"):
        HostPolicy(tmp_path / "copy", contract)
