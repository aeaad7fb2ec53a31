"""What goes on inside: gates and carries, step by step."""

import numpy as np
import pytest
from cases import (
    assert_close,
    both_ways,
    make_cell,
    make_problem,
    over_cells,
)

from lstm_jax import gru, gru_cell, lstm, lstm_cell, rnn, rnn_cell, trace, unroll

BY_HAND = {"lstm": lstm_cell, "gru": gru_cell, "rnn": rnn_cell}
MADE = {"lstm": lstm, "gru": gru, "rnn": rnn}


def as_numpy(seen):
    return {name: np.asarray(value) for name, value in seen.items()}


@both_ways
@over_cells
def test_the_carry_shown_is_the_carry_of_unroll(cell, reverse):
    problem, made = make_problem(cell), make_cell(cell)
    how = {"lengths": problem.lengths, "reverse": reverse}
    seen = trace(made, problem.params, problem.xs, **how)
    carry, ys = unroll(made, problem.params, problem.xs, **how)
    assert_close(seen["h"], ys)
    last = 0 if reverse else -1
    assert_close(
        {name: seen[name][last, 0] for name in carry._fields},
        {name: value[0] for name, value in carry._asdict().items()},
    )


def test_the_gates_of_an_lstm_give_its_cell_state():
    problem, made = make_problem("lstm"), make_cell("lstm")
    seen = as_numpy(trace(made, problem.params, problem.xs))
    assert list(seen) == ["i", "f", "g", "o", "c", "h"]
    before = np.concatenate([np.zeros_like(seen["c"][:1]), seen["c"][:-1]])
    assert_close(seen["c"], seen["f"] * before + seen["i"] * seen["g"])
    assert_close(seen["h"], seen["o"] * np.tanh(seen["c"]))
    open_gate = np.concatenate([seen[name].ravel() for name in "ifo"])
    assert (open_gate > 0).all() and (open_gate < 1).all() and open_gate.std() > 0.05


def test_the_gates_of_a_gru_give_its_hidden_state():
    problem, made = make_problem("gru"), make_cell("gru")
    seen = as_numpy(trace(made, problem.params, problem.xs))
    before = np.concatenate([np.zeros_like(seen["h"][:1]), seen["h"][:-1]])
    assert_close(seen["h"], (1 - seen["z"]) * seen["n"] + seen["z"] * before)


@over_cells
def test_padding_shows_nothing(cell):
    problem = make_problem(cell)
    seen = trace(make_cell(cell), problem.params, problem.xs, lengths=problem.lengths)
    real = np.arange(6)[:, None] < np.asarray(problem.lengths)[None]
    for values in seen.values():
        assert (np.asarray(values)[~real] == 0).all()
        assert (np.asarray(values)[real] != 0).all()


@pytest.mark.parametrize("cell", BY_HAND)
def test_a_step_of_the_value_is_the_function(cell):
    problem = make_problem(cell)
    by_function = BY_HAND[cell](problem.params, problem.carry, problem.xs[0])
    by_value = MADE[cell](4).step(problem.params, problem.carry, problem.xs[0])
    assert_close(by_value, by_function, tolerance=1e-7)


def test_a_wrong_shape_is_refused():
    problem = make_problem("lstm")
    with pytest.raises(ValueError, match="^lengths: expected the batch shape"):
        trace(
            make_cell("lstm"), problem.params, problem.xs, lengths=problem.lengths[:2]
        )
