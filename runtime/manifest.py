"""The manifest: what a bundle says of itself. The exporter writes it, everything else reads it.

`manifest.json` is not trusted: `Manifest.from_json` checks every field's type and range and the digest over all of
them before anything acts on it. A damaged or edited manifest is an `IntegrityError`; the digest guards against
accidents and careless edits, it is no signature.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liteport.errors import IntegrityError, unknown_name

from .card import InputInfo, ModelCard, OutputInfo, TensorSpec, check_tensors
from .digest import sha256_hex
from .records import CalibrationInfo, FileInfo, RuntimeTrial, Selection, SourceInfo, Verification
from .schema import loads, parse, shortened

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
_MAX_VARIANTS = 256


@dataclass(frozen=True)
class Variant:
    """One variant of a bundle: a model file, or source code that holds one.

    Attributes:
        id: Engine and scheme.
        file: The model file's name in the bundle.
        sha256: Of its content.
        size_bytes: Of its content.
        scheme: The scheme in words.
        inputs: As they are in the file.
        outputs: Likewise.
        runtime_requirement: What runs it, in words.
        verification: None where the user left it out.
        runtimes: The runtimes that it was tried in.
        selection: What selective quantization did, where it was asked for.
        more_files: What belongs to it beside `file`.
    """

    id: str
    file: str
    sha256: str
    size_bytes: int
    scheme: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime_requirement: str
    verification: Verification | None
    runtimes: tuple[RuntimeTrial, ...] = ()
    selection: Selection | None = None
    more_files: tuple[FileInfo, ...] = ()

    def __post_init__(self) -> None:
        FileInfo(self.file, self.sha256, self.size_bytes)  # the same conditions
        check_tensors(self.inputs, self.outputs)

    @property
    def total_bytes(self) -> int:
        """The size of all of its files."""
        return self.size_bytes + sum(entry.size_bytes for entry in self.more_files)

    @property
    def file_names(self) -> tuple[str, ...]:
        """All of its files."""
        return self.file, *(entry.file for entry in self.more_files)


@dataclass(frozen=True)
class Refusal:
    """A format that was asked for as one of all and that this model cannot take.

    Attributes:
        id: Its variant's.
        reason: Why.
    """

    id: str
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The whole manifest; `digest` is computed when it is written and checked when it is read.

    Attributes:
        name: The model's name.
        created: When, in ISO 8601.
        source: Where the model came from.
        input: The first input: of a classifier the image.
        output: The first output: of a classifier the classes.
        calibration: What the integer variants were calibrated on.
        variants: What the bundle holds.
        other_inputs: The inputs after the first.
        other_outputs: The outputs after the first.
        refused: The formats that could not be made.
    """

    name: str
    created: str
    source: SourceInfo
    input: InputInfo
    output: OutputInfo
    calibration: CalibrationInfo | None
    variants: tuple[Variant, ...]
    other_inputs: tuple[InputInfo, ...] = ()
    other_outputs: tuple[OutputInfo, ...] = ()
    refused: tuple[Refusal, ...] = ()

    def __post_init__(self) -> None:
        ids = [variant.id for variant in self.variants]
        files = [name for variant in self.variants for name in variant.file_names]
        check_tensors((self.input, *self.other_inputs), (self.output, *self.other_outputs))
        if len(ids) > _MAX_VARIANTS:
            raise ValueError(f"found {len(ids)} variants, expected at most {_MAX_VARIANTS}")
        if not ids or len(set(ids)) != len(ids) or len(set(files)) != len(files):
            raise ValueError(f"variants are {ids} in files {files}, expected at least one, each id and file once")

    def variant(self, variant_id: str) -> Variant:
        """Returns the variant of that id.

        Raises:
            InvalidInputError: If there is none; the message names the closest.
        """
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        raise unknown_name("variant", variant_id, [variant.id for variant in self.variants])

    def card(self, variant_id: str) -> ModelCard:
        """Returns what the user of that variant must know."""
        variant = self.variant(variant_id)
        inputs, outputs = (self.input, *self.other_inputs), (self.output, *self.other_outputs)
        return ModelCard(self.name, variant.id, variant.scheme, inputs, outputs)

    def to_json(self) -> str:
        """Returns the document with schema version and digest, indented for people."""
        fields = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        return json.dumps({"digest": _digest(fields), **fields}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: bytes, where: str = MANIFEST_FILE) -> "Manifest":
        """Reads a manifest and checks all of it.

        Args:
            text: The document.
            where: Its name, for messages.

        Raises:
            IntegrityError: If it is damaged, edited, or of another schema version; the message says which.
        """
        fields = loads(text, where)
        check_schema_version(fields, where)
        stated = fields.pop("digest", None)
        if stated != (found := _digest(fields)):
            raise IntegrityError(
                f"{where} was edited or damaged: its digest is {shortened(repr(stated), 70)}, its content has "
                f"{found!r}; export again"
            )
        del fields["schema_version"]
        return parse(cls, fields, where)


def _digest(fields: Mapping[str, Any]) -> str:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_hex(canonical.encode())


def check_schema_version(fields: Any, where: str) -> None:
    """Refuses a document of another schema version, which would be misread.

    Raises:
        IntegrityError: If it is of another version, or says none.
    """
    if not isinstance(fields, dict) or "schema_version" not in fields:
        raise IntegrityError(f"{where} is no liteport manifest: it has no schema_version")
    version = fields["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        found = shortened(repr(version), 40)
        raise IntegrityError(f"{where} has schema_version {found}, this liteport reads {SCHEMA_VERSION}")
