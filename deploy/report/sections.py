"""The sections of a report, each from measured data to HTML; an empty string where there is nothing to show."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from haltere.deploy.report.charts import Series, areas, interval_bar, lines, log_bars, number

Data = Mapping[str, Any]
_CURVES = (("episode/success", "success", "--a"), ("episode/collision", "collision", "--b"))
_EXACT = 1e-5  # an export's usual tolerance
_CONTEXT_COLOURS = ("--c", "--d", "--a", "--b")


def section(title: str, html: str) -> str:
    """One section under its heading."""
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return f"<section>{heading}{html}</section>"


def headline(evaluations: Sequence[Data], card: Data | None, contract: Data | None, bench: Data | None) -> str:
    """The few numbers that matter most, large."""
    tiles: list[tuple[str, str, str]] = []
    if evaluations:
        first = evaluations[0]
        episodes = f"{first['episodes']} episodes"
        tiles.append(("Success rate", f"{first['success']['mean']:.3f}", f"{_range(first['success'])}, {episodes}"))
        if "collision" in first["metrics"]:
            collision = first["metrics"]["collision"]
            tiles.append(("Collision rate", f"{collision['mean']:.3f}", f"{_range(collision)}, {episodes}"))
    if card is not None:
        tiles.append(("Parameters", f"{card['parameters']:,}", f"policy: {card['policy']}"))
    if contract is not None:
        parity = contract["parity"]
        tiles.append(("Export's error", f"{parity['max_error']:.0e}", f"at most {parity['tolerance']:.0e} allowed"))
    if bench is not None and bench["runtimes"]:
        rows = bench["runtimes"]
        # Fewer bits may be faster, but then it isn't quite this policy that decides.
        exact = {name: row for name, row in rows.items() if row["parity"] <= _EXACT} or rows
        name, fastest = min(exact.items(), key=lambda item: item[1]["median_us"])
        tiles.append(("A decision takes", f"{number(fastest['median_us'])} µs", f"median, {name}, one thread"))
    if not tiles:
        return ""
    cells = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def film(base64_mp4: str, caption: str) -> str:
    """The film, inside the page."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><video controls autoplay muted loop playsinline aria-label="{escape(caption or "film", quote=True)}" '
        f'src="data:video/mp4;base64,{base64_mp4}"></video>{words}</figure>'
    )


def measured(evaluations: Sequence[Data], rates: Sequence[str]) -> str:
    """Every metric with its interval; one column of numbers an evaluation."""
    if not evaluations:
        return ""
    heads = "".join(f'<th class="n" scope="col">{escape(_ran(one))}</th>' for one in evaluations)
    first = evaluations[0]
    rows = []
    for name in ("success", *first["metrics"]):
        values = [one["success"] if name == "success" else one["metrics"].get(name) for one in evaluations]
        cells = "".join(_cell(value) for value in values)
        bar = interval_bar(values[0]["mean"], values[0]["low"], values[0]["high"]) if name in rates else ""
        rows.append(f'<tr><th scope="row">{escape(_words(name))}</th>{cells}<td class="wide">{bar}</td></tr>')
    flown = "; ".join(
        f"{_ran(one)}: {one['episodes']} episodes, seeds {one['seed']} to {one['seed'] + one['episodes'] - 1}, "
        f"{one['steps']:,} agent steps in {one['wall_s']:.1f} s"
        for one in evaluations
    )
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">Metric</th>{heads}'
        f'<th scope="col">from 0 to 1</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f'<p class="note">{escape(flown)}. Intervals are 95 %: Wilson for rates, Poisson for events, '
        "bootstrap for means; an episode counts once, with the mean over its agents.</p>"
    )


def attention(
    agent: str,
    time_s: Sequence[float],
    share: Sequence[float],
    labels: tuple[str, str],
    context: Mapping[str, Sequence[float]],
    caption: str,
) -> str:
    """Where one agent's attention went, over what was around it meanwhile."""
    title = f"Share of {agent}'s attention on {labels[0]} (below) and {labels[1]} (above) over the episode"
    # Pale and tan, as the bars in the film.
    out = areas(Series(labels[0], time_s, share, "--pale"), labels[1], "--tan", title=title, x_label="time [s]")
    if context:
        colours = dict(zip(context, _CONTEXT_COLOURS, strict=False))
        series = [Series(name, time_s, values, colours[name]) for name, values in context.items() if name in colours]
        shown = lines(
            series, title=f"{', '.join(context)} over the episode", x_label="time [s]", y_label="distance [m]"
        )
        out += f"<h3>What was around it</h3>{shown}"
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{out}{words}</figure>"


def training(card: Data | None, curve: Sequence[Data]) -> str:
    """What made the policy, and how it learned."""
    facts: dict[str, str] = {}
    if card is not None:
        facts = {
            "command": f"<code>{escape(str(card['command']))}</code>" if card["command"] else "",
            "seed": str(card["seed"]),
            card["unit"]: f"{card['steps']:,}" if card["steps"] else "",
            "wall time": _duration(float(card["wall_s"])) if card["wall_s"] else "",
            "weights (SHA-256)": f"<code>{escape(str(card['weights']))}</code>",
        }
    series = [found for key, label, colour in _CURVES if (found := _curve(curve, key, label, colour)) is not None]
    chart = ""
    if series:
        unit = "agent steps" if card is None else str(card["unit"])
        title = f"Rates of episodes during training, over {unit}"
        chart = lines(series, title=title, x_label=unit, y_label="rate in training", y_range=(0.0, 1.0))
        chart += '<p class="note">Rates while learning, with whatever noise the trainer explores with, on other seeds '
        chart += "than evaluations use.</p>"
    return _facts(facts) + chart


def contract(contract: Data | None, model: Mapping[str, str]) -> str:
    """What goes in and comes out of the exported file, and how it was proven."""
    if contract is None:
        return _facts({name: escape(text) for name, text in model.items()})
    rows = []
    for role in ("inputs", "state", "outputs"):
        for tensor in contract[role]:
            shape = " x ".join(map(str, tensor["shape"])) or "1"
            about = escape(tensor.get("unit", "")) or _unnamed(tensor["name"], role)
            rows.append(
                f'<tr><th scope="row"><code>{escape(tensor["name"])}</code></th><td>{role.removesuffix("s")}</td>'
                f'<td class="n">{shape}</td><td>{escape(tensor["dtype"])}</td><td>{about}</td></tr>'
            )
    parity = contract["parity"]
    proof = (
        f"largest error {parity['max_error']:.1e} over {parity['inputs']:,} random inputs at each of the batch sizes "
        f"{', '.join(map(str, parity['batches']))}; {parity['tolerance']:.0e} allowed, relative to max(1, |output|)"
    )
    if parity["recurrent_steps"]:
        proof += f"; {parity['recurrent_error']:.1e} after {parity['recurrent_steps']} steps on its own state"
    facts = {name: escape(text) for name, text in model.items()} | {
        "task": escape(contract["task"]),
        "control period": f"{1000 * contract['ctrl_dt_s']:g} ms",
        "parity with torch": escape(proof),
    }
    heads = '<th scope="col">Tensor</th><th scope="col">Role</th><th class="n" scope="col">Shape</th>'
    return (
        f'{_facts(facts)}<div class="scroll"><table><caption>The contract that the file carries</caption><thead><tr>'
        f'{heads}<th scope="col">Type</th><th scope="col">Unit and frame</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def latency(bench: Data | None) -> str:
    """Runtimes side by side, the fastest first."""
    if bench is None or not bench["runtimes"]:
        return ""
    ordered = sorted(bench["runtimes"].items(), key=lambda item: item[1]["median_us"])
    chart = log_bars(
        [(name, row["median_us"], max(row["p99_us"], row["median_us"])) for name, row in ordered],
        title="Median latency of one decision by runtime, with a whisker to the 99th percentile",
        unit="µs",
    )
    rows = []
    for name, row in ordered:
        ratio = f"{bench['ratios'][name]:.2f} x" if name in bench["ratios"] else ""
        times = (number(row[key]) for key in ("median_us", "p99_us", "p999_us"))
        mallocs = "" if row["mallocs"] is None else f"{row['mallocs']:.4g}"
        cells = (*times, ratio, mallocs, f"{row['parity']:.0e}", {"native": "C"}.get(row.get("timed"), "Python"))
        numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        rows.append(f'<tr><th scope="row"><code>{escape(name)}</code></th>{numbers}</tr>')
    names = ("Median [µs]", "p99 [µs]", "p99.9 [µs]", "Against ort_io_binding", "Allocations", "Error", "Called by")
    heads = "".join(f'<th class="n" scope="col">{name}</th>' for name in names)
    calls = f"{bench['calls']:,} calls each, " if "calls" in bench else ""
    skipped = "; ".join(f"{name}: {why}" for name, why in bench.get("skipped", {}).items() if name != "mallocs")
    left_out = f" Left out: {escape(skipped)}." if skipped else ""
    return (
        f'{chart}<p class="note">Bars and numbers: median; whiskers: to the 99th percentile; logarithmic. '
        f"{escape(bench['cpu'])}, {calls}one lane, one thread, interleaved in one process. "
        f"What Python calls has Python's own time in it.{left_out}</p>"
        f'<div class="scroll"><table><thead><tr><th scope="col">Runtime</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def commands(pairs: Sequence[tuple[str, str]]) -> str:
    """What to type for each number."""
    if not pairs:
        return ""
    rows = (f"<dt>{escape(what)}</dt><dd><pre><code>{escape(line)}</code></pre></dd>" for what, line in pairs)
    return f'<dl class="commands">{"".join(rows)}</dl>'


def footer(machine: Mapping[str, str], stages: Sequence[tuple[str, float]]) -> str:
    """On what, and how long it took."""
    parts = [f"{escape(name)} {escape(text)}" for name, text in machine.items()]
    if stages:
        took = ", ".join(f"{escape(name)} {seconds:.1f} s" for name, seconds in stages)
        parts.append(f"made in {sum(seconds for _, seconds in stages):.0f} s ({took})")
    return f"<footer><p>{'; '.join(parts)}</p></footer>" if parts else ""


def _unnamed(name: str, role: str) -> str:
    """What a tensor without a unit is for."""
    if role == "state":
        return "fed back"
    if name == "aux.attention":
        return "shares of the attention, which sum to 1; to look at, not to fly by"
    return "to look at, not to fly by" if name.startswith("aux.") else ""


def _curve(rows: Sequence[Data], key: str, label: str, colour: str) -> Series | None:
    points = [(float(row["steps"]), float(row[key])) for row in rows if row.get(key) is not None]
    points = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(points) < 2:
        return None
    return Series(label, [x for x, _ in points], [y for _, y in points], colour)


def _facts(facts: Mapping[str, str]) -> str:
    """Name and already escaped text; what has no text is left out."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{text}</dd>" for name, text in facts.items() if text)
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def _value(value: Data) -> str:
    return f"{value['mean']:.3f}" if abs(value["mean"]) < 1000 else number(value["mean"])


def _cell(value: Data | None) -> str:
    if value is None:
        return '<td class="n"></td>'
    return f'<td class="n">{_value(value)}<br><span class="note">{_range(value)}</span></td>'


def _range(value: Data) -> str:
    return "one episode" if value["low"] is None else f"{value['low']:.3f} to {value['high']:.3f}"


def _ran(evaluation: Data) -> str:
    return f"{evaluation['actor']} on {evaluation['runtime']}"


def _words(metric: str) -> str:
    """``goal_distance_m`` as ``goal distance [m]``."""
    for ending, unit in (("_m", "m"), ("_s", "s"), ("_mps", "m/s")):
        if metric.endswith(ending):
            return f"{metric.removesuffix(ending).replace('_', ' ')} [{unit}]"
    return metric.replace("_", " ")


def _duration(seconds: float) -> str:
    hours, minutes = int(seconds // 3600), int(seconds % 3600 // 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds % 60:.0f} s"
