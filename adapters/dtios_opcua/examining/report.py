"""What an examination finds, in the order in which a connection needs it."""

from dtios.sdk.adapter import Finding

__all__ = ["Report", "listed"]


class Report:
    """Findings about one endpoint."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.findings: list[Finding] = []

    def good(self, check: str, message: str) -> None:
        self.findings.append(Finding(check, "good", message, self.url))

    def warning(self, check: str, message: str, mend: str) -> None:
        self.findings.append(Finding(check, "warning", message, self.url, mend))

    def problem(self, check: str, message: str, mend: str) -> None:
        self.findings.append(Finding(check, "problem", message, self.url, mend))


def listed(names: list[str], most: int = 3) -> str:
    """`a, b, c and 17 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
