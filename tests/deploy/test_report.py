"""A report shows what was measured and nothing else, needs nothing but itself, and can be read by everybody."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from haltere.configs.errors import RequestError
from haltere.deploy.curve import CURVE_NAME, MAX_ROWS, curve_text, read_curve
from haltere.deploy.report import Report, Trace, as_html, page, write_report
from haltere.deploy.report.charts import HEIGHT, WIDTH, Series, lines, log_bars, number, ticks
from haltere.deploy.report.style import CSS

VOID = {"meta", "br"}


def interval(mean: float) -> dict[str, float]:
    """A mean with something around it."""
    return {"mean": mean, "low": mean - 0.0301, "high": mean + 0.0207}


EVALUATION: dict[str, Any] = {
    "task": "swarm",
    "actor": "zoo",
    "runtime": "onnx",
    "episodes": 16,
    "seed": 900_000,
    "success": interval(0.9531),
    "metrics": {"collision": interval(0.0412), "goal_distance_m": interval(0.2813)},
    "wall_s": 4.2,
    "steps": 192_000,
}
TENSOR = {"name": "obs.self", "shape": [19], "dtype": "float32", "unit": "metres & more"}
PARITY = {"tolerance": 1e-5, "max_error": 2.4e-7, "inputs": 1000, "batches": [1, 3, 17]}
CONTRACT: dict[str, Any] = {
    "task": "haltere/SwarmForest-v0",
    "ctrl_dt_s": 0.01,
    "inputs": [TENSOR],
    "outputs": [{**TENSOR, "name": "action", "shape": [4]}],
    "state": [{"name": "state.memory", "shape": [2, 3], "dtype": "float32", "initial": 0.0}],
    "parity": {**PARITY, "recurrent_steps": 500, "recurrent_error": 3.3e-6},
}
TIMING = {"median_us": 12.3, "p99_us": 19.8, "p999_us": 77.7, "mallocs": None, "peak_kib": 1.0, "parity": 1e-7}
BENCH: dict[str, Any] = {
    "cpu": "A Processor",
    "calls": 5000,
    "runtimes": {"torch_eager": {**TIMING, "median_us": 151.5, "p99_us": 201.0}, "ort_io_binding": TIMING},
    "ratios": {"torch_eager": 0.08, "ort_io_binding": 1.0},
    "skipped": {"openvino_f32": "not installed", "mallocs": "not counted"},
}
CARD: dict[str, Any] = {
    "policy": "swarm",
    "parameters": 2596,
    "weights": "ab" * 32,
    "command": "haltere train swarm --seed 1",
    "seed": 1,
    "steps": 300_000_000,
    "wall_s": 4321.0,
    "unit": "agent steps",
    "demonstrations": "",
}
CURVE = [{"steps": 1000 * i, "episode/success": i / 50, "episode/collision": None if i < 5 else 0.1} for i in range(50)]
TRACE = Trace("drone 3", [0.0, 0.5, 1.0], [0.2, 0.9, 0.4], ("neighbours", "obstacles"), {"near [m]": [1.0, 2.0, 3.0]})


@pytest.fixture
def whole(tmp_path: Path) -> Report:
    """Every part that a page can have."""
    film = tmp_path / "film.mp4"
    film.write_bytes(b"not really a film")
    return Report(
        title="A <swarm> & its page",
        lede="It flies.",
        evaluations=[EVALUATION, {**EVALUATION, "runtime": "torch", "metrics": {}}],
        rates=("success", "collision"),
        video=film,
        video_caption="What is to be seen.",
        card=CARD,
        curve=CURVE,
        trace=TRACE,
        contract=CONTRACT,
        model={"file": "policy.onnx"},
        bench=BENCH,
        commands=[("All of it", "haltere demo --episodes 16 && echo 'done'")],
        stages=[("export", 8.0), ("fly", 12.5)],
        machine={"haltere": "0.1.0"},
    )


class Reader(HTMLParser):
    """Checks that tags close in order, and keeps what a page refers to and says."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open."""
        self.tags.append((tag, dict(attrs)))
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "poster", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open and close at once."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.words.append(data)


def test_a_page_is_well_formed_and_needs_nothing_else(whole: Report) -> None:
    """Tags close in order; the only reference is the film, and it is inside."""
    html = as_html(whole)
    page_read = Reader(html)
    assert page_read.open == []
    assert len(page_read.links) == 1
    head, _, data = page_read.links[0].partition(",")
    assert (head, base64.b64decode(data)) == ("data:video/mp4;base64", b"not really a film")
    assert not re.search(r"(https?:)?//[a-z]|@import|url\(|<script|<link", html.replace(data, ""))
    assert "default-src 'none'" in html


def test_every_number_that_was_measured_is_shown(whole: Report) -> None:
    """With its interval, where it has one."""
    text = " ".join(Reader(as_html(whole)).words)
    shown = ["0.953", "0.923 to 0.974", "0.041", "0.281", "goal distance [m]", "900000 to 900015", "192,000", "2,596"]
    shown += ["2.4e-07", "3.3e-06", "500 steps", "12.3", "19.8", "77.7", "151.5", "0.08 x", "300,000,000", "1 h 12 min"]
    shown += ["10 ms", "obs.self", "2 x 3", "metres & more", "made in 20 s", "openvino_f32: not installed", "A <swarm>"]
    shown += ["haltere demo --episodes 16 && echo 'done'", "haltere train swarm --seed 1", "What is to be seen."]
    assert [word for word in shown if word not in text] == []


def test_what_was_not_measured_is_not_there() -> None:
    """An empty report has a title and no section; a part alone brings its own section and no other."""
    assert "<h2>" not in as_html(Report("Empty"))
    assert "<dl" not in as_html(Report("Empty"))
    alone = {
        "Measured": {"evaluations": [EVALUATION]},
        "What a drone attends to": {"trace": TRACE},
        "Training": {"curve": CURVE},
        "The exported file": {"contract": CONTRACT},
        "Latency": {"bench": BENCH},
        "Reproduce it": {"commands": [("a", "b")]},
    }
    for heading, part in alone.items():
        assert re.findall("<h2>(.*?)</h2>", as_html(replace(Report("One"), **part))) == [heading]  # type: ignore[arg-type]


def test_those_who_cannot_see_are_told(whole: Report) -> None:
    """Each picture has a name, the film a description, table heads a scope; there is one h1 and a language."""
    tags = Reader(as_html(whole)).tags
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert pictures
    assert all(a.get("aria-label") if a.get("role") == "img" else a.get("aria-hidden") == "true" for a in pictures)
    assert all(attributes.get("aria-label") for tag, attributes in tags if tag == "video")
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")
    assert sum(tag == "h1" for tag, _ in tags) == 1
    assert dict(tags)["html"]["lang"] == "en"


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb or #rgb; WCAG 2.2."""
    digits = colour.lstrip("#") if len(colour) == 7 else "".join(2 * digit for digit in colour.lstrip("#"))
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_and_curves_stand_out(mode: int) -> None:
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what a chart draws, on every ground that they stand on."""
    block = re.findall(r":root\{(.*?)\}", CSS.replace("\n", ""))[mode]
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]+)", block))
    grounds = [colours["bg"], colours["card"]]
    for names, least in ((("ink", "quiet", "accent"), 4.5), (("a", "b", "c", "d"), 3.0)):
        for name in names:
            for ground in grounds:
                high, low = sorted((luminance(colours[name]), luminance(ground)), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= least, (name, ground)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 3e8), (-0.013, 0.02), (17.0, 17.5), (0.0, 1e-9)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    """Between 3 and 10 of them, evenly spaced, steps of 1, 2 or 5."""
    found = ticks(low, high)
    assert 3 <= len(found) <= 10
    assert low - 1e-12 <= found[0]
    assert found[-1] <= high * (1 + 1e-12)
    step = found[1] - found[0]
    assert f"{step:.0e}"[0] in "125"
    assert float(f"{step:.0e}") == pytest.approx(step, rel=1e-6)


def test_numbers_are_short() -> None:
    """Large and small ones alike."""
    assert [number(v) for v in (0, 0.5, 3e8, 12_000, 1000, 2e-7)] == ["0", "0.5", "300 M", "12 k", "1000", "2.0e-07"]


@pytest.mark.parametrize("count", [2, 10, 5000])
def test_a_curve_stays_inside_its_chart(count: int) -> None:
    """Whatever the data, thinned to what the pixels show, ends included."""
    x = [float(i) for i in range(count)]
    svg = lines([Series("a", x, [1e6 * (-1) ** i for i in range(count)], "--a")], title="t", x_label="x", y_label="y")
    points = re.search(r'polyline[^>]*points="([^"]*)"', svg)
    assert points is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    assert 2 <= len(pairs) <= 701
    assert all(0 <= px <= WIDTH and 0 <= py <= HEIGHT for px, py in pairs)


def test_equal_and_single_values_have_a_chart() -> None:
    """A flat line at zero and one runtime alone divide by nothing."""
    assert "polyline" in lines([Series("a", [0, 1], [0, 0], "--a")], title="t", x_label="x", y_label="y")
    assert "rect" in log_bars([("one", 10.0, 10.0)], title="t", unit="µs")


def test_a_film_that_is_missing_or_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a page is written."""
    with pytest.raises(RequestError, match="can't read the film"):
        as_html(Report("a", video=tmp_path / "none.mp4"))
    (tmp_path / "large.mp4").write_bytes(bytes(1000))
    monkeypatch.setattr(page, "MAX_VIDEO_BYTES", 999)
    with pytest.raises(RequestError, match="a page carries at most"):
        write_report(Report("a", video=tmp_path / "large.mp4"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_writing_replaces_and_refuses_folders(tmp_path: Path) -> None:
    """In one go, leaving nothing else."""
    (tmp_path / "report.html").write_text("older")
    write_report(Report("Newer"), tmp_path / "report.html")
    assert "Newer" in (tmp_path / "report.html").read_text()
    assert len(list(tmp_path.iterdir())) == 1
    for wrong in (tmp_path, tmp_path / "none" / "report.html"):
        with pytest.raises(RequestError, match="can't write the report"):
            write_report(Report("a"), wrong)


def test_a_curve_is_read_from_the_policy_or_its_run(tmp_path: Path) -> None:
    """A policy folder's own curve, else the metrics of the run around it; torn lines and NaN are skipped."""
    policy = tmp_path / "checkpoints" / "100"
    policy.mkdir(parents=True)
    assert read_curve(policy) == []
    rows = [{"steps": i, "episode/success": i / 1000, "loss": 1.0} for i in range(1000)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "metrics.jsonl").write_text(text + '{"steps": 1000, "episode/success": null}\n{"steps": 10')
    found = read_curve(policy)
    assert len(found) <= MAX_ROWS
    assert found[-1] == {"steps": 1000}
    assert all("loss" not in row for row in found)
    (policy / CURVE_NAME).write_text(curve_text(found[:3]))
    assert read_curve(policy) == found[:3]
