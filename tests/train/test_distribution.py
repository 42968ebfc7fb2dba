import json

import pytest

from liteport.errors import InvalidInputError
from liteport.train.distribution import EXAMPLE, Cluster, check_strategy, check_tf_config

WORKERS = {"worker": ["ann:2222", "bob:2222"]}
FIRST = {"type": "worker", "index": 0}


def tf_config(cluster: object, task: object) -> str:
    return json.dumps({"cluster": cluster, "task": task})


def test_the_first_worker_is_the_chief_where_none_is_named() -> None:
    found = check_tf_config(tf_config(WORKERS, {"type": "worker", "index": 1}))
    assert found == Cluster(("ann:2222", "bob:2222"), 1)
    assert not found.is_chief
    assert found.count == 2
    assert check_tf_config(EXAMPLE).is_chief


def test_a_chief_that_is_named_comes_first() -> None:
    cluster = {"worker": ["ann:2222", "bob:2222"], "chief": ["carl:2222"]}
    assert check_tf_config(tf_config(cluster, {"type": "chief", "index": 0})).is_chief
    assert check_tf_config(tf_config(cluster, FIRST)) == Cluster(("carl:2222", "ann:2222", "bob:2222"), 1)


@pytest.mark.parametrize(
    ("address", "parts"),
    [("10.0.0.7:80", ("10.0.0.7", 80)), ("a.example.org:65535", ("a.example.org", 65535)), ("[::1]:1", ("::1", 1))],
)
def test_an_address_has_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert check_tf_config(tf_config({"worker": [address]}, FIRST)).host_and_port(0) == parts


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "is not set"),
        (" ", "is not set"),
        ("{'cluster': 1}", "is not JSON: Expecting property name"),
        ("[]", "is a list, not an object"),
        (json.dumps({"task": FIRST}), "has no 'cluster'"),
        (json.dumps({"cluster": WORKERS}), "has no 'task'"),
        (tf_config(["ann:2222"], FIRST), "has a 'cluster' that is not an object"),
        (tf_config({}, FIRST), "has no worker in its cluster"),
        (tf_config({"worker": []}, FIRST), "has no list of addresses for 'worker'"),
        (tf_config({"worker": "ann:2222"}, FIRST), "has no list of addresses for 'worker'"),
        (tf_config({"chief": 1}, FIRST), "has no list of addresses for 'chief'"),
        (tf_config({**WORKERS, "ps": ["carl:2222"]}, FIRST), "has the role 'ps'"),
        (tf_config({"chief": ["ann:1", "bob:1"]}, FIRST), "has more than one chief"),
        (tf_config({"worker": ["ann"]}, FIRST), "has the address 'ann', which is not host:port"),
        (tf_config({"worker": ["http://ann:1"]}, FIRST), "has the address 'http://ann:1'"),
        (tf_config({"worker": ["ann:0"]}, FIRST), "has the address 'ann:0'"),
        (tf_config({"worker": ["ann:65536"]}, FIRST), "has the address 'ann:65536'"),
        (tf_config({"worker": [2222]}, FIRST), "has the address 2222"),
        (tf_config({"worker": ["ann:1", "ann:1"]}, FIRST), "has the address ann:1 more than once"),
        (tf_config({"worker": ["ann:1"], "chief": ["ann:1"]}, FIRST), "has the address ann:1 more than once"),
        (tf_config(WORKERS, {"type": "worker", "index": 2}), "has the task index 2, and its cluster has 2"),
        (tf_config(WORKERS, {"type": "worker", "index": -1}), "has the task index -1"),
        (tf_config(WORKERS, {"type": "worker", "index": "0"}), "has the task index '0'"),
        (tf_config(WORKERS, {"type": "worker", "index": True}), "has the task index True"),
        (tf_config(WORKERS, {"type": "worker"}), "has the task index None"),
        (tf_config(WORKERS, {"type": "chief", "index": 0}), "has the task type 'chief'"),
        (tf_config(WORKERS, {"type": ["worker"], "index": 0}), "has the task type"),
    ],
)
def test_a_wrong_one_is_told_in_one_line(text: str | None, complaint: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_tf_config(text)
    assert str(caught.value).startswith(f"TF_CONFIG {complaint}")
    assert EXAMPLE in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistyped_strategy_is_answered_with_the_right_one() -> None:
    assert check_strategy("mirrored") == "mirrored"
    with pytest.raises(InvalidInputError, match="unknown strategy 'multi-worker'; did you mean 'multiworker'"):
        check_strategy("multi-worker")
