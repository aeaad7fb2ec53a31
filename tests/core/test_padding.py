"""What lengths promise: padding is nothing, and time has one direction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    HALF,
    RUNS,
    WHOLE,
    Problem,
    assert_close,
    assert_same_bits,
    both_ways,
    make_problem,
    over_runs,
    probe,
    run,
    run_with_grads,
)
from hypothesis import given
from hypothesis import strategies as st

STEPS = WHOLE[0]
runs = st.sampled_from(RUNS)
some_lengths = st.lists(st.integers(0, STEPS), min_size=4, max_size=4)
seeds = st.integers(0, 100)
PAYLOADS = [np.nan, np.inf, -np.inf, 3e38]


def ragged(cell, lengths, seed=0):
    problem = make_problem(cell, WHOLE, seed=seed)
    return problem._replace(lengths=jnp.array(lengths, jnp.int32))


def is_real(problem):
    """Bool ``[T, B, 1]``: the steps that are not padding."""
    steps = np.arange(len(problem.xs))[:, None]
    return (steps < np.asarray(problem.lengths))[..., None]


@given(runs, some_lengths, st.sampled_from(PAYLOADS), st.booleans(), seeds)
def test_what_stands_in_the_padding_changes_no_bit(
    cell_and_kernel, lengths, payload, reverse, seed
):
    problem = ragged(cell_and_kernel[0], lengths, seed)
    filled = np.where(is_real(problem), problem.xs, np.float32(payload))
    got = run_with_grads(
        problem._replace(xs=jnp.asarray(filled)), *cell_and_kernel, reverse
    )
    expected = run_with_grads(problem, *cell_and_kernel, reverse)
    assert_same_bits(got, expected)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(got))


@given(runs, some_lengths, st.booleans(), seeds)
def test_outputs_at_padded_steps_are_zero_and_the_others_are_not(
    cell_and_kernel, lengths, reverse, seed
):
    problem = ragged(cell_and_kernel[0], lengths, seed)
    (_, ys), _ = run_with_grads(problem, *cell_and_kernel, reverse)
    expected = np.broadcast_to(is_real(problem), ys.shape)
    np.testing.assert_array_equal(ys != 0, expected)


@both_ways
@over_runs
def test_length_zero_gives_back_the_initial_carry(cell, implementation, reverse):
    problem = ragged(cell, [0, STEPS, 0, 0])
    (carry, _), _ = run_with_grads(problem, cell, implementation, reverse)
    for got, first in zip(carry, problem.carry, strict=True):
        np.testing.assert_array_equal(got[0], first[0])
        np.testing.assert_array_equal(got[2:], first[2:])
        assert (got[1] != first[1]).all()


@both_ways
@over_runs
def test_full_lengths_equal_no_lengths(cell, implementation, reverse):
    problem = ragged(cell, [STEPS] * 4)
    got = run(problem, cell, implementation, reverse)
    without = problem._replace(lengths=None)
    assert_close(got, run(without, cell, implementation, reverse))


@pytest.mark.parametrize("payload", [0.0, np.nan])
@both_ways
@over_runs
def test_appended_padding_changes_nothing(cell, implementation, reverse, payload):
    short = make_problem(cell, HALF)
    steps = len(short.xs)
    longer = short._replace(
        xs=jnp.full((STEPS, *short.xs.shape[1:]), payload).at[:steps].set(short.xs)
    )
    (carry, ys), (params_grad, carry_grad, xs_grad) = run_with_grads(
        longer, cell, implementation, reverse
    )
    got = (carry, ys[:steps]), (params_grad, carry_grad, xs_grad[:steps])
    expected = run_with_grads(short, cell, implementation, reverse)
    # One product over all steps is added up in another order when there are more.
    one_by_one = implementation == "scan"
    (assert_same_bits if one_by_one else assert_close)(got, expected)
    assert not ys[steps:].any() and not xs_grad[steps:].any()


@given(runs, some_lengths, st.permutations(range(4)), st.booleans())
def test_the_rows_of_a_batch_do_not_meet(cell_and_kernel, lengths, order, reverse):
    problem = ragged(cell_and_kernel[0], lengths)
    order = np.array(order)

    def reorder(outputs):
        carry, ys = outputs
        return jax.tree.map(lambda leaf: leaf[order], carry), ys[:, order]

    carry, xs = reorder((problem.carry, problem.xs))
    other = Problem(problem.params, carry, xs, problem.lengths[order])
    got, _ = run_with_grads(other, *cell_and_kernel, reverse)
    expected, _ = run_with_grads(problem, *cell_and_kernel, reverse)
    assert_close(got, reorder(expected))


@given(runs, some_lengths, st.booleans(), seeds)
def test_two_halves_with_the_carry_between_equal_the_whole(
    cell_and_kernel, lengths, reverse, seed
):
    problem = ragged(cell_and_kernel[0], lengths, seed)
    cut = HALF[0]
    halves = [
        problem._replace(xs=problem.xs[:cut], lengths=problem.lengths.clip(0, cut)),
        problem._replace(xs=problem.xs[cut:], lengths=(problem.lengths - cut).clip(0)),
    ]
    carry, parts = problem.carry, [None, None]
    for n in (1, 0) if reverse else (0, 1):
        part = halves[n]._replace(carry=carry)
        (carry, parts[n]), _ = run_with_grads(part, *cell_and_kernel, reverse)
    expected, _ = run_with_grads(problem, *cell_and_kernel, reverse)
    assert_close((carry, jnp.concatenate(parts)), expected)


@given(runs, some_lengths, seeds)
def test_reverse_equals_forward_over_each_rows_reversed_tokens(
    cell_and_kernel, lengths, seed
):
    problem = ragged(cell_and_kernel[0], lengths, seed)

    def flip(leaf):
        flipped = np.array(leaf)
        for row, length in enumerate(lengths):
            flipped[:length, row] = flipped[:length, row][::-1]
        return jnp.asarray(flipped)

    (carry, ys), _ = run_with_grads(problem, *cell_and_kernel, reverse=True)
    flipped = problem._replace(xs=flip(problem.xs))
    expected, _ = run_with_grads(flipped, *cell_and_kernel)
    assert_close((carry, flip(ys)), expected)


@both_ways
@over_runs
def test_outputs_depend_on_their_past_only_and_the_carry_on_every_real_step(
    cell, implementation, reverse
):
    problem = ragged(cell, [STEPS, 0, 1, 3])

    @jax.jit
    def reads(n):
        """Bool ``[T, B]``: the steps that move ``ys[n]``, or after those the carry."""

        def loss(xs):
            changed = problem._replace(xs=xs)
            carry, ys = run(changed, cell, implementation, reverse)
            outputs = jnp.stack([probe(leaf) for leaf in (*ys, *carry)])
            return jax.lax.dynamic_index_in_dim(outputs, n, keepdims=False)

        return (jax.grad(loss)(problem.xs) != 0).any(axis=-1)

    real = is_real(problem)[..., 0]
    past = np.tri(STEPS, dtype=bool)
    for t, steps in enumerate(past.T if reverse else past):
        np.testing.assert_array_equal(reads(t), steps[:, None] & real & real[t])
    for n in range(len(problem.carry)):
        np.testing.assert_array_equal(reads(STEPS + n), real)
