"""Whether choices side by side follow the side or the length, as HTML."""

from curation.study.sides import ALIKE, BIASES, POWER, Share, SideReport, votes_needed

HOW_TO_READ = (
    "The side of each pair is drawn by annotator and pair. A share far from 50 % says that the place or the length of a text decided beside its words: "
    "the alarm is raised when chance alone would depart as far in fewer than 5 of 100 such studies. Ties and “both bad” are left out of the "
    "first three rows, repeats of pairs count in the last one only."
)


def sides_html(report: SideReport) -> str:
    """Return the table of the four shares, each with n, its interval and its p, and how many choices it takes to see a bias."""
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Of the choices", "Share", "95 % interval", "n", "p against 50 %", ""))
    rows = (
        _row("for the left text", report.left, tested=True),
        _row("for the longer text, by words", report.longer, tested=True),
        _row(f"for the longer text, lengths within {100 * ALIKE:.0f} %", report.longer_alike, tested=True),
        _row("that stood when the same pair came again, sides swapped", report.swapped, tested=False),
    )
    table = f'<table id="pairs-sides-table"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    undecided = f"<p>{report.undecided} more were ties or both bad.</p>"
    return f"{table}{undecided}<p>{_power(report.left.n)}</p><p>{HOW_TO_READ}</p>"


def _row(name: str, share: Share, tested: bool) -> str:
    interval = "–" if share.low is None or share.high is None else f"{_percent(share.low)} to {_percent(share.high)}"
    told = "–" if share.share is None else f"<b>{_percent(share.share)}</b>"
    p = "" if not tested else "–" if share.p is None else "&lt; 0.001" if share.p < 0.001 else f"{share.p:.3f}"
    alarm = "▲ more than chance" if tested and share.alarm else ""
    cells = "".join(f"<td>{cell}</td>" for cell in (told, interval, str(share.n), p, alarm))
    return f"<tr><th scope=row>{name}</th>{cells}</tr>"


def _power(n: int) -> str:
    needed = ", ".join(f"{votes_needed(bias):,} for one of {100 * bias:.0f} %" for bias in BIASES)
    return f"To see a true share of the left side with {100 * POWER:.0f} % certainty takes this many choices: {needed}. There are {n:,}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
