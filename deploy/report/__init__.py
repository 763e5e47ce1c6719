"""One self-contained HTML page about a policy: what was measured, shown; what wasn't, left out."""

from haltere.deploy.report.page import Report, Trace, as_html, write_report

__all__ = ["Report", "Trace", "as_html", "write_report"]
