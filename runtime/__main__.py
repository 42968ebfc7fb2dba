"""`python -m liteport.runtime` is the `liteport` program."""

from .cli import main

main()
