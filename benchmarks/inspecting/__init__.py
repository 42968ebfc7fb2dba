"""`liteport inspect`: what is in a model file, and why a quantized one is off or slow."""
