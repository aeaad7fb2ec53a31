"""Each pooling against a loop over the rows in NumPy, on the real steps alone."""

import jax
import numpy as np
import pytest

from lstm_jax.models.pooling import POOLINGS, Pool

T, F = 9, 6
LENGTHS = np.array([T, 0, 1, 4, T - 1], np.int32)


def random_outputs(seed=0, num_steps=T):
    """Outputs as a layer gives them: 0 at the padded steps."""
    rng = np.random.default_rng(seed)
    ys = np.zeros((num_steps, len(LENGTHS), F), np.float32)
    for b, length in enumerate(LENGTHS):
        ys[:length, b] = rng.normal(size=(length, F))
    return ys


def expected_row(kind, real, *, direction, score):
    """Pool ``real [L, F]``, which holds no padding."""
    wide = {"mean_max": 2, "first_last": 2, "last_mean_max": 3}.get(kind, 1)
    if not len(real):
        return np.zeros(wide * F)
    match kind:
        case "last" if direction == "both":
            return np.concatenate([real[-1, : F // 2], real[0, F // 2 :]])
        case "last":
            return real[-1] if direction == "forward" else real[0]
        case "mean":
            return real.mean(0)
        case "max":
            return real.max(0)
        case "mean_max":
            return np.concatenate([real.mean(0), real.max(0)])
        case "last_mean_max":
            last = expected_row("last", real, direction=direction, score=score)
            return np.concatenate([last, real.mean(0), real.max(0)])
        case "first_last":
            return np.concatenate([real[0], real[-1]])
        case "attention":
            scores = real @ score["kernel"][:, 0]
            weights = np.exp(scores - scores.max())
            return (weights / weights.sum()) @ real
    raise AssertionError(f"{kind}: no expectation is written for it")


def pool(kind, ys, lengths=LENGTHS, *, direction="forward"):
    """Return the pooled rows and the parameters of the score, if there are any."""
    module = Pool(kind, direction)
    variables = module.init(jax.random.key(1), ys, lengths)
    pooled = jax.jit(module.apply)(variables, ys, lengths)
    return np.asarray(pooled), variables.get("params", {}).get("score")


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_equals_a_loop_over_the_real_steps(kind, direction):
    ys = random_outputs()
    pooled, score = pool(kind, ys, direction=direction)
    for b, length in enumerate(LENGTHS):
        expected = expected_row(
            kind,
            ys[:length, b].astype(np.float64),
            direction=direction,
            score=score and jax.tree.map(np.asarray, score),
        )
        np.testing.assert_allclose(
            pooled[b], expected, rtol=1e-5, atol=1e-6, err_msg=f"length {length}"
        )


@pytest.mark.parametrize("kind", ["last", "max", "attention"])
def test_what_stands_in_the_padding_changes_nothing(kind):
    ys = random_outputs(2)
    rng = np.random.default_rng(3)
    spoiled = ys.copy()
    for b, length in enumerate(LENGTHS):
        spoiled[length:, b] = 1e6 * rng.normal(size=(T - length, F))
    clean, _ = pool(kind, ys)
    np.testing.assert_array_equal(pool(kind, spoiled)[0], clean)


@pytest.mark.parametrize("kind", POOLINGS)
def test_more_padding_changes_nothing(kind):
    ys = random_outputs(4)
    longer = np.concatenate([ys, np.zeros((7, *ys.shape[1:]), ys.dtype)])
    short, _ = pool(kind, ys, direction="both")
    long, _ = pool(kind, longer, direction="both")
    np.testing.assert_allclose(long, short, rtol=1e-6, atol=1e-6)


def test_negative_outputs_are_not_raised_to_zero_by_the_padding():
    ys = random_outputs(5)
    for b, length in enumerate(LENGTHS):
        ys[:length, b] = -np.abs(ys[:length, b])
    pooled, _ = pool("max", ys)
    assert (pooled[LENGTHS > 0] < 0).all()


def test_an_unknown_pooling_is_named():
    with pytest.raises(ValueError, match="pooling: expected one of .*, got 'median'"):
        pool("median", random_outputs())


@pytest.mark.parametrize("kind", POOLINGS)
def test_more_than_all_steps_is_all_steps(kind):
    ys = random_outputs(seed=5)
    pool = Pool(kind, "both")
    variables = pool.init(jax.random.key(0), ys, LENGTHS)
    more = np.where(LENGTHS == T, T + 3, LENGTHS)
    np.testing.assert_array_equal(
        pool.apply(variables, ys, more), pool.apply(variables, ys, LENGTHS)
    )
