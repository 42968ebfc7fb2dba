"""The layers of each design, one module a design."""
