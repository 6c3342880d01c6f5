"""What `vxp eval nuscpr` prints: the metrics of NUSC-PR, district by district."""

from collections.abc import Iterator

from .eval_report import percent, show
from .protocols.nuscpr import REPORTED

HEADER = ("queries of", "mode", *(f"R@{k}" for k in REPORTED), "R@1%", "max F1", "AP", "no answer", "queries")
ZERO_SHOT = "zero-shot"


def print_districts(report: dict) -> None:
    """Per district and mode, again by day and by night where a district has dark queries; unseen districts together."""
    title = f"NUSC-PR {report['part']}, {report['model']} (%)"
    show(title, HEADER, [row for mode, found in report["nuscpr"].items() for row in rows_of(mode, found)])
    first = next(iter(report["nuscpr"].values()))
    rule = ", ".join(first["paper_compat"]) or "leak-free"
    print(f"{first['scheme']}, {rule}, seed {first['seed']}; max F1 and AP are of the nearest answers alone")
    if not first["night"]:
        print("no query is of a scene that is described as night")
    if report["missing_keyframes"]:
        print(f"{report['missing_keyframes']} of {report['keyframes']} keyframes are not in the prepared data")


def rows_of(mode: str, found: dict) -> Iterator[list[str]]:
    for name, numbers in found["districts"].items():
        yield row(name, mode, numbers)
        for light, part in found["night"].get(name, {}).items():
            yield row(f"  {name} {light}", mode, part)
    if found["zero_shot"]:
        yield row(ZERO_SHOT, mode, found["zero_shot"])


def row(name: str, mode: str, numbers: dict) -> list[str]:
    recalls = (numbers["recall_at"][str(k)] for k in REPORTED)
    others = (numbers[key] for key in ("recall_at_1pct", "max_f1", "average_precision", "without_right"))
    return [name, mode, *map(percent, (*recalls, *others)), str(numbers["asked"])]
