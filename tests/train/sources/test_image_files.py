from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from liteport.errors import InvalidInputError, NotFoundError
from liteport.train import load_dataset
from liteport.train.sources.image_files import ImageFiles, ScannedImages

MakeFolder = Callable[..., Path]


@pytest.fixture
def files(make_folder: MakeFolder) -> ImageFiles:
    images = load_dataset(make_folder({"a": 6, "b": 6}), stream=True).train.images
    assert isinstance(images, ImageFiles)
    return images


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        np.int64(2),
        slice(None),
        slice(2, 5),
        slice(None, None, -3),
        np.array([4, 0, 4, -2]),
        np.array([], np.int64),
        [1, 2],
        np.arange(9) % 2 == 0,
    ],
)
def test_indexes_as_an_array_does(files: ImageFiles, key: Any) -> None:
    whole = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in files.paths])
    assert (files.shape, files.dtype, files.ndim, len(files), files.nbytes) == (
        whole.shape,
        whole.dtype,
        whole.ndim,
        len(whole),
        whole.nbytes,
    )
    found = files[key]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, whole[key])
    np.testing.assert_array_equal(np.asarray(files), whole)
    np.testing.assert_array_equal(np.stack(list(files)), whole)
    assert np.asarray(files, np.float32).dtype == np.float32


@pytest.mark.parametrize("key", [9, -10, np.array([0, 9])])
def test_no_such_image(files: ImageFiles, key: Any) -> None:
    with pytest.raises(IndexError):
        files[key]


def test_a_part_is_read_from_its_own_files(files: ImageFiles) -> None:
    indices = np.array([5, 1])
    part = files.take(indices)
    assert part.shape == (2, 6, 8, 3)
    np.testing.assert_array_equal(part[:], files[indices])


def test_threads_read_at_once(files: ImageFiles) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: files[index % 9], range(200)))
    for index, image in enumerate(found):
        np.testing.assert_array_equal(image, files[index % 9])


def test_a_file_that_is_gone_or_changed_in_the_meantime(files: ImageFiles) -> None:
    files.paths[2].unlink()
    with pytest.raises(
        NotFoundError, match=r"png does not exist any more; it did when the data set was loaded"
    ) as gone:
        files[np.array([0, 2])]
    assert files.failure is gone.value
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(files.paths[3])
    with pytest.raises(InvalidInputError, match=r"has changed since the data set was loaded; load it again"):
        files[3]
    files.paths[4].unlink()
    files.paths[4].mkdir()
    with pytest.raises(InvalidInputError, match=r"cannot be read: Is a directory"):
        files[4]
    assert files.failure is gone.value  # the first: what came after may be of its making


def test_equal_files_have_equal_identities(files: ImageFiles) -> None:
    hashes = files.hashes.copy()
    hashes[7] = hashes[1]
    scanned = ScannedImages(ImageFiles(files.paths, hashes, (6, 8, 3)), None, np.arange(9))
    identities = scanned.identities
    assert identities[7] == identities[1]
    assert len(set(identities.tolist())) == 8
