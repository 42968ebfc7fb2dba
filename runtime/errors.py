"""The errors that the runtime raises, under its own name; `liteport.errors` defines them."""

from liteport.errors import (
    BackendError,
    IntegrityError,
    InvalidInputError,
    LiteportError,
    MissingDependencyError,
    NotFoundError,
    SignatureError,
)

__all__ = [
    "BackendError",
    "IntegrityError",
    "InvalidInputError",
    "LiteportError",
    "MissingDependencyError",
    "NotFoundError",
    "SignatureError",
]
