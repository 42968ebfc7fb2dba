"""What one figure shows: a bundle's variants on one device, or on all where the device makes no difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..results import BundleInfo, Device, Measurement, Picture, Report, Row
from .phrases import clean, place


@dataclass(frozen=True)
class Panel:
    """A bundle's variants.

    Attributes:
        where: Names of the device and the bundle where the report has several; else empty.
        device: Where they were measured; of several, the first.
        bundle: Whose they are.
        reference: Id of the variant that the others are compared with; None where none was measured.
        rows: Them.
        pictures: Test images, of all data sets.
    """

    where: str
    device: Device
    bundle: BundleInfo
    reference: str | None
    rows: tuple[Row, ...]
    pictures: tuple[Picture, ...]

    @property
    def measured(self) -> list[tuple[Row, Measurement]]:
        """The variants that were measured."""
        return [(row, row.measurement) for row in self.rows if row.measurement is not None]


def panels(report: Report, shared: Callable[[Row], bool] | None) -> list[Panel]:
    """Returns a panel for each bundle on each device.

    Args:
        report: What was measured.
        shared: For what does not depend on the device, tells whether a row has it. Then there is one panel a bundle,
            with each variant's first row that has it.
    """
    if shared is None:
        return [
            Panel(
                place(report, device.name, bundle.name),
                device,
                bundle,
                report.reference(device.name, bundle.name),
                tuple(row for row in report.rows if (row.device, row.bundle) == (device.name, bundle.name)),
                report.pictures,
            )
            for device in report.devices
            for bundle in report.bundles
        ]
    found = []
    for bundle in report.bundles:
        rows = [row for row in report.rows if row.bundle == bundle.name and shared(row)]
        firsts: dict[str, Row] = {}
        for row in rows:
            firsts.setdefault(row.variant, row)
        where = clean(bundle.name) if len(report.bundles) > 1 else ""
        device = report.devices[0]
        found.append(
            Panel(
                where,
                device,
                bundle,
                report.reference(device.name, bundle.name),
                tuple(firsts.values()),
                report.pictures,
            )
        )
    return found
