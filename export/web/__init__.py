"""A bundle as a web page: static files that run its TFLite and ONNX variants on the device that opens them."""

from .page import write_page

__all__ = ["write_page"]
