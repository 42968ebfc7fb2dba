"""Bounds on what reading a file may cost, however it is damaged."""

from liteport.errors import IntegrityError

# Counted in numbers read, weights not among them; a table or a field becomes an object and counts as several. Large
# classifiers need some 100,000. What a damaged file can cost is thus bounded by about 200 MB and some seconds.
_MOST_ITEMS = 1 << 22
_ITEMS_PER_BYTE = 16  # a field of two bytes counts for eight
MOST_DIMENSIONS = 32


class Source:
    """A file's content, and how much of it has been read so far.

    Formats with offsets let many entries share one part, so that a small file can stand for a huge description: each
    item read is therefore counted.
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Starts reading `content`, which messages call `name`."""
        self.content = content
        self._name = name
        self._left = min(_MOST_ITEMS, 4096 + _ITEMS_PER_BYTE * len(content))

    def spend(self, items: int) -> None:
        """Counts items before they are read.

        Raises:
            IntegrityError: If the file describes more than any that is in order.
        """
        self._left -= items
        if self._left < 0:
            raise self.damaged("it describes more tensors and operations than its size allows")

    def damaged(self, how: str) -> IntegrityError:
        """Makes the error for a file that cannot be read."""
        return IntegrityError(f"{self._name} is damaged: {how}; copy or export it again")

    def incomplete(self, where: str) -> IntegrityError:
        """Makes the error for a file that is only a part of a model."""
        return IntegrityError(f"{self._name} keeps data in {where}, which is not read; save it as one file")
