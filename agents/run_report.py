"""The page that a finished run leaves beside its policy: what made it, and how it learned."""

import json
from dataclasses import asdict
from pathlib import Path

from haltere.agents.provenance import card_of_run, machine
from haltere.configs.catalogue import read_task_path
from haltere.deploy.curve import read_curve
from haltere.deploy.loading import load_policy, policy_folder
from haltere.deploy.report import Report, write_report
from haltere.deploy.weights import CONFIG_NAME

REPORT_NAME = "report.html"


def write_run_report(run: Path) -> Path:
    """Write ``report.html`` into a run folder that holds a policy; returns its path.

    Raises:
        RequestError: the folder holds no policy, or no run.
        IntegrityError: its files are damaged.
    """
    source = policy_folder(run)
    file = read_task_path(run / CONFIG_NAME)
    card = card_of_run(source, load_policy(source), file.task)
    report = Report(
        title=f"{file.name}: a training run",
        lede=f"Seed {card.seed}, {card.steps:,} {card.unit}. The rates below are of training; haltere eval measures "
        "the policy on episodes that it never saw.",
        card=json.loads(json.dumps(asdict(card))),
        curve=read_curve(source),
        commands=[
            ("The training", card.command),
            ("Its success on unseen episodes", f"haltere eval {file.name} --actor {run} --episodes 200 --json -"),
            ("One file for the robot", f"haltere export {file.name} --actor {run}"),
        ],
        machine=machine(),
    )
    write_report(report, run / REPORT_NAME)
    return run / REPORT_NAME
