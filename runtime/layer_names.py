"""Which Keras layer a tensor belongs to, as its name tells."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from .contents import Contents


def parts(name: str) -> list[str]:
    """Returns the names that a TFLite tensor's is made of: an operation that does the work of several has all."""
    return [part for part in name.split(";") if part]


_NUMBER = re.compile(r"_\d+$")


class LayerNames:
    """Finds Keras layers in tensor names such as "model/conv1/Relu;model/conv1/BiasAdd".

    TensorFlow makes scopes that it has seen before unique: a model that is traced once more after it was built has
    "model_1/conv1_1" and, for a layer "conv1_1", "model_1/conv1_1_2". Where every layer's scope has such a number and
    all are still told apart without it, it is none of Keras's.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Takes all names of a file, from which it is seen whether its scopes are numbered."""
        scopes = [part.split("/") for name in names for part in parts(name) if part.count("/") > 1]
        models = Counter(scope[0] for scope in scopes)
        model = models.most_common(1)[0][0] if models else ""
        layers = {scope[1] for scope in scopes if scope[0] == model}
        numbered = all(map(_NUMBER.search, (model, *layers)))
        self._numbered = numbered and len({_NUMBER.sub("", layer) for layer in layers}) == len(layers)

    def of(self, contents: Contents, index: int, made: Sequence[str] = ()) -> str:
        """Returns the layer of a tensor, or several joined by "+".

        An end of the graph, which a converter names as it likes, is named by its place; what has no layer in its name
        keeps it.

        Args:
            contents: The file.
            index: The tensor.
            made: Names of others that are made on the way to it, or of its weights.
        """
        own = contents.tensors[index].name
        layers = "+".join(dict.fromkeys(self._layers([*made, own])))
        return layers or ("(input)" if index in contents.inputs else "(output)" if index in contents.outputs else own)

    def _layers(self, names: Sequence[str]) -> Iterator[str]:
        for part in (part for name in names for part in parts(name)):
            *scopes, _ = part.split("/")
            inner = scopes[1:]
            # Scopes inside a layer, such as "batchnorm", have no number of their own.
            inner = (
                [_NUMBER.sub("", name) for name in takewhile(_NUMBER.search, inner)] if self._numbered else inner[:1]
            )
            if inner:
                yield "/".join(inner)
