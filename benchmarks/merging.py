"""One report of several: what a laptop, a Raspberry Pi and a phone measured, side by side."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import reduce
from itertools import count

from liteport.errors import InvalidInputError

from .results import BundleInfo, Device, Report


def merge_reports(reports: Sequence[Report]) -> Report:
    """Puts several reports into one.

    Every row stays. A device whose name is taken gets a number: "pi", "pi (2)". A bundle is the same as an earlier one
    if its name and its data are and no variant that both have is another file; else its name gets a number as well.

    Args:
        reports: In the order in which their devices are to stand.

    Raises:
        InvalidInputError: If there is none.
    """
    if not reports:
        raise InvalidInputError("no report was given; expected one or more to merge")
    return reduce(_merged, reports)


def _merged(first: Report, second: Report) -> Report:
    names = _free_names([device.name for device in second.devices], [device.name for device in first.devices])
    same = _same_bundles(first, second)
    others = [bundle.name for bundle in second.bundles if bundle.name not in same]
    bundle_names = same | _free_names(others, [bundle.name for bundle in first.bundles])
    devices = [_renamed(device, names[device.name], bundle_names) for device in second.devices]
    added = [replace(entry, name=bundle_names[entry.name]) for entry in second.bundles if entry.name in others]
    rows = [replace(row, device=names[row.device], bundle=bundle_names[row.bundle]) for row in second.rows]
    bundles = (*first.bundles, *added)
    order = {bundle.name: position for position, bundle in enumerate(bundles)}
    pictures = {(picture.data_digest, picture.image): picture for picture in (*second.pictures, *first.pictures)}
    return Report(
        created=max(first.created, second.created),
        devices=(*first.devices, *devices),
        bundles=bundles,
        rows=tuple(sorted((*first.rows, *rows), key=lambda row: order[row.bundle])),
        pictures=tuple(sorted(pictures.values(), key=lambda picture: (picture.data_digest, picture.image))),
    )


def _renamed(device: Device, name: str, bundles: dict[str, str]) -> Device:
    controls = tuple(replace(control, bundle=bundles[control.bundle]) for control in device.controls)
    return replace(device, name=name, controls=controls)


def _free_names(names: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """Returns a new name for each: the same where it is free, or else with the first number that makes it so."""
    found: dict[str, str] = {}
    for name in names:
        used = {*taken, *found.values(), *(other for other in names if other != name)}
        numbered = (f"{name} ({number})" for number in count(2))
        found[name] = name if name not in taken else next(entry for entry in numbered if entry not in used)
    return found


def _same_bundles(first: Report, second: Report) -> dict[str, str]:
    """Returns what those of the second report's bundles that the first has as well are called there."""
    found: dict[str, str] = {}
    for bundle in second.bundles:
        earlier = (entry for entry in first.bundles if entry.name not in found.values())
        same = next((entry.name for entry in earlier if _is_same(entry, first, bundle, second)), None)
        if same is not None:
            found[bundle.name] = same
    return found


def _is_same(one: BundleInfo, first: Report, other: BundleInfo, second: Report) -> bool:
    numbered = re.fullmatch(re.escape(other.name) + r"( \([0-9]+\))?", one.name)  # an earlier merge may have done it
    if not numbered or one.data_digest != other.data_digest:
        return False
    files = {row.variant: row.sha256 for row in first.rows if row.bundle == one.name}
    return all(files.get(row.variant, row.sha256) == row.sha256 for row in second.rows if row.bundle == other.name)
