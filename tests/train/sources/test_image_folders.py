from collections.abc import Callable
from pathlib import Path

import pytest

from liteport.errors import InvalidInputError
from liteport.train.sources.image_folders import list_images, split_folders

MakeFolder = Callable[..., Path]


def test_classes_are_sorted_and_images_in_the_order_of_their_paths(make_folder: MakeFolder) -> None:
    folder = make_folder({"b": 2, "a": 3, "C": 1})
    listing = list_images(folder)
    assert listing.class_names == ("C", "a", "b")
    assert [path.relative_to(folder).as_posix() for path in listing.paths] == [
        "C/000.png", "a/000.png", "a/001.png", "a/002.png", "b/000.png", "b/001.png",
    ]  # fmt: skip
    assert listing.labels.tolist() == [0, 1, 1, 1, 2, 2]
    assert {name: indices.tolist() for name, indices in listing.splits.items()} == {"train": [0, 1, 2, 3, 4, 5]}


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "VAL", "testing"), ("train", "valid"), ("train",)])
def test_splits_by_any_of_their_names(make_folder: MakeFolder, names: tuple[str, ...]) -> None:
    listing = list_images(make_folder({"a": 2, "b": 1}, names))
    beginnings = {"tr": "train", "va": "validation", "te": "test"}
    assert listing.labels.tolist() == [0, 0, 1] * len(names)
    assert {
        split: {listing.paths[index].parts[-3] for index in indices} for split, indices in listing.splits.items()
    } == {beginnings[name.lower()[:2]]: {name} for name in names}


def test_what_is_hidden_or_no_image_is_passed_over(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 1, "b": 1})
    for name in (".DS_Store", "notes.txt", "a/Thumbs.db", "a/._000.png", "b/labels.csv", "a/000.pdf"):
        (folder / name).write_bytes(b"no image")
    (folder / "__MACOSX" / "a").mkdir(parents=True)
    (folder / ".cache" / "thumbs").mkdir(parents=True)
    assert [path.name for path in list_images(folder).paths] == ["000.png", "000.png"]


def test_folders_in_a_class_belong_to_it_and_suffixes_may_be_large(make_folder: MakeFolder) -> None:
    folder = make_folder({"a": 1, "b": 1})
    (folder / "a" / "more").mkdir()
    (folder / "a" / "000.png").rename(folder / "a" / "more" / "IMG.JPG")
    listing = list_images(folder)
    assert [path.name for path in listing.paths] == ["IMG.JPG", "000.png"]
    assert listing.labels.tolist() == [0, 1]


def test_a_class_may_be_called_as_a_split_is(make_folder: MakeFolder) -> None:
    folder = make_folder({"train": 2, "car": 2})
    assert split_folders(folder) is None
    assert list_images(folder).class_names == ("car", "train")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda make: make({"a": 2}), "expected at least two folders of images, one a class, found one, 'a'"),
        (lambda make: make({}), "found none"),
        (lambda make: make({"a": 2, "b": 0, "c": 0}), "no images in 'b', 'c'; expected some of each class"),
        (lambda make: make({"a": 1, "b": 1, ".": 2}), "'000.png', '001.png' lie beside the folders of classes"),
        (lambda make: make({".": 5}), "'000.png', '001.png', '002.png' and 2 more lie in no class's folder"),
        (lambda make: make({"a": 1, "b": 1}, ("test", "val")), "holds 'test', 'val', but no train split"),
        (lambda make: make({"a": 1, "b": 1}, ("train", "val", "valid")), "its validation split twice: val and valid"),
        (lambda make: make({"a": 1, "b": 1}, ("train", "other")), r"holds splits \('train'\) and beside them 'other'"),
        (lambda make: make({"a": 1, "b\n": 1}), "not distinct, printable"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_with_the_layout(
    make_folder: MakeFolder, make: Callable[[MakeFolder], Path], message: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    make(make_folder)
    with pytest.raises(InvalidInputError, match=message) as caught:
        list_images(tmp_path / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("test/b", "test lacks the folder of 'b', which .*train has"),
        ("train/b", "test has the folder 'b', which .*train lacks"),
    ],
)
def test_classes_that_a_split_lacks(make_folder: MakeFolder, lost: str, message: str) -> None:
    folder = make_folder({"a": 1, "b": 1, "c": 1}, ("train", "test"))
    (folder / lost / "000.png").unlink()
    (folder / lost).rmdir()
    with pytest.raises(InvalidInputError, match=message):
        list_images(folder)
