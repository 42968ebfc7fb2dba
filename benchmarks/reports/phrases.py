"""Parts of sentences."""

from ..results import Report


def clean(text: str) -> str:
    """Returns text from outside on one line, without characters that steer a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def plural(amount: int, noun: str) -> str:
    """Returns an amount with its noun, such as "2 threads"."""
    return f"{amount:,} {noun}{'' if amount == 1 else 'es' if noun.endswith('s') else 's'}"


def place(report: Report, device: str, bundle: str) -> str:
    """Returns the device's and the bundle's name where the report has several of them; empty where it has one."""
    names = [device] * (len(report.devices) > 1) + [bundle] * (len(report.bundles) > 1)
    return clean(" · ".join(names))
