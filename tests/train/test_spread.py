import numpy as np
import pytest
import tensorflow as tf

from liteport.train.spread import part_of


@pytest.mark.parametrize(("size", "count", "sizes"), [(8, 2, [4, 4]), (7, 2, [3, 4]), (8, 3, [2, 3, 3]), (5, 1, [5])])
def test_the_parts_make_up_the_batch_and_their_weights_its_mean(size: int, count: int, sizes: list[int]) -> None:
    images = tf.reshape(tf.range(size, dtype=tf.float32), [size, 1, 1, 1])
    labels = tf.range(size)[:, tf.newaxis]
    parts = [part_of(images, labels, replica, count) for replica in range(count)]
    assert [len(part) for part, _, _ in parts] == sizes
    np.testing.assert_array_equal(tf.concat([part for part, _, _ in parts], 0), images)
    np.testing.assert_array_equal(tf.concat([part for _, part, _ in parts], 0), labels)
    losses = np.arange(size, dtype=np.float32) ** 2
    # what Keras does: the weighted mean of each part, then the mean over the replicas
    ends = np.cumsum(sizes)
    means = [
        np.mean(losses[end - len(weights) : end] * weights) for end, (_, _, weights) in zip(ends, parts, strict=True)
    ]
    assert np.mean(means) == pytest.approx(losses.mean(), rel=1e-6)  # float32's rounding


def test_a_replica_with_nothing_to_do_gets_an_image_that_does_not_count() -> None:
    images, labels = tf.ones([1, 2, 2, 1]), tf.ones([1, 3])
    weights = [part_of(images, labels, replica, 4)[2].numpy().tolist() for replica in range(4)]
    assert weights == [[0.0], [0.0], [0.0], [4.0]]
    assert all(len(part_of(images, labels, replica, 4)[0]) == 1 for replica in range(4))
