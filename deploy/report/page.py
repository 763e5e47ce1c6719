"""The report's parts, and the page that they are put on."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from haltere.configs.errors import RequestError
from haltere.deploy.report import sections
from haltere.deploy.report.style import CSS

Data = Mapping[str, Any]
MAX_VIDEO_BYTES = 8_000_000


@dataclass(frozen=True)
class Trace:
    """What one agent attended to during the filmed episode.

    Attributes:
        agent: which one, in words.
        time_s: of each control step [s].
        share: attention on the first label, in [0, 1]; the rest is on the second.
        labels: what the two shares are on.
        context: distances over the same time, name with unit -> values [m].
        caption: what is to be seen.
    """

    agent: str
    time_s: Sequence[float]
    share: Sequence[float]
    labels: tuple[str, str]
    context: Mapping[str, Sequence[float]] = field(default_factory=dict)
    caption: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that a page can show. All of it was measured elsewhere; what is empty or None is left out.

    Attributes:
        title: of the page.
        lede: one or two sentences on what this is.
        evaluations: evaluator's reports, as ``eval --json`` writes them; the first one is the headline.
        rates: names of those metrics that are rates in [0, 1].
        video: an MP4 file.
        video_caption: what the film shows.
        card: the policy's card: what made it.
        curve: rows of a run's ``metrics.jsonl``.
        trace: attention over time.
        contract: of the exported file, as its metadata hold it.
        model: facts about that file, name -> text.
        bench: latency of the runtimes, as ``bench --json`` writes it.
        commands: what reproduces it, (what for, command).
        stages: how long each part of making this page took [s].
        machine: version and machine, name -> text.
    """

    title: str
    lede: str = ""
    evaluations: Sequence[Data] = ()
    rates: Sequence[str] = ("success",)
    video: Path | None = None
    video_caption: str = ""
    card: Data | None = None
    curve: Sequence[Data] = ()
    trace: Trace | None = None
    contract: Data | None = None
    model: Mapping[str, str] = field(default_factory=dict)
    bench: Data | None = None
    commands: Sequence[tuple[str, str]] = ()
    stages: Sequence[tuple[str, float]] = ()
    machine: Mapping[str, str] = field(default_factory=dict)


def as_html(report: Report) -> str:
    """The page. It refers to nothing outside itself, and its security policy lets it load nothing.

    Raises:
        RequestError: the film is missing, or larger than ``MAX_VIDEO_BYTES``.
    """
    parts = [
        ("", sections.headline(report.evaluations, report.card, report.contract, report.bench)),
        ("", _film(report)),
        ("Measured", sections.measured(report.evaluations, report.rates)),
        ("What a drone attends to", _trace(report.trace)),
        ("Training", sections.training(report.card, report.curve)),
        ("The exported file", sections.contract(report.contract, report.model)),
        ("Latency", sections.latency(report.bench)),
        ("Reproduce it", sections.commands(report.commands)),
    ]
    body = "\n".join(sections.section(title, html) for title, html in parts if html)
    lede = f'<p class="lede">{escape(report.lede)}</p>' if report.lede else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(report.title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        f'<header><p class="kicker">haltere report</p><h1>{escape(report.title)}</h1>{lede}</header>\n'
        f"{body}\n</main>\n{sections.footer(report.machine, report.stages)}\n</body>\n</html>\n"
    )


def write_report(report: Report, path: Path) -> None:
    """Write the page, replacing an older one in one go.

    Raises:
        RequestError: the film is missing or too large, or the path can't be a file.
    """
    html = as_html(report)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise RequestError(f"can't write the report {path}: it is a folder, or its folder doesn't exist")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(html, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _film(report: Report) -> str:
    if report.video is None:
        return ""
    try:
        data = report.video.read_bytes()
    except OSError as error:
        raise RequestError(f"can't read the film {report.video}: {error.strerror}") from None
    if len(data) > MAX_VIDEO_BYTES:
        raise RequestError(
            f"the film {report.video} has {len(data) / 1e6:.1f} MB, a page carries at most {MAX_VIDEO_BYTES / 1e6:.0f}"
        )
    return sections.film(base64.b64encode(data).decode("ascii"), report.video_caption)


def _trace(trace: Trace | None) -> str:
    if trace is None or len(trace.time_s) < 2:
        return ""
    return sections.attention(trace.agent, trace.time_s, trace.share, trace.labels, trace.context, trace.caption)
