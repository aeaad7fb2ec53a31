"""torch.nn's LSTM, GRU and RNN: outputs, final states and every gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax import CELLS, bidirectional, convert, lstmp, one_way, stack

torch = pytest.importorskip("torch", reason="PyTorch is an optional peer")

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
LENGTHS = (4, STEPS, 1, 3)  # torch takes no length 0
KINDS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def to_numpy(tensor):
    return tensor.detach().numpy()


def expected_grads(cell, w_ih, w_hh, b_ih, b_hh):
    """torch's gradients in our layout: the two biases of a sum share theirs."""
    grads = {"w_ih": w_ih.T, "w_hh": w_hh.T, "b": b_ih}
    if cell == "gru":
        grads["b_hn"] = b_hh[2 * HIDDEN :]
    return grads


def collect_grads(cell, module):
    """The gradients of each layer and direction, as a stack's params."""
    params = {}
    for n in range(module.num_layers):
        ways = [
            expected_grads(
                cell,
                *(
                    getattr(module, f"{name}_l{n}{suffix}").grad.numpy()
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                ),
            )
            for suffix in ("", "_reverse")[: 1 + module.bidirectional]
        ]
        both = dict(zip(("forward", "backward"), ways, strict=False))
        params[f"layer_{n}"] = both if module.bidirectional else ways[0]
    return params


def run_torch(module, xs, carry, weights):
    """Outputs and final states; gradients are left on the tensors."""
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor(LENGTHS), enforce_sorted=False
    )
    start = carry[0] if len(carry) == 1 else (carry[1], carry[0])  # ours is (c, h)
    ys, last = module(packed, start)
    ys, _ = torch.nn.utils.rnn.pad_packed_sequence(ys, total_length=STEPS)
    last = (last,) if len(carry) == 1 else (last[1], last[0])
    parts = zip((*last, ys), weights, strict=True)
    sum((part * torch.tensor(w)).sum() for part, w in parts).backward()
    return tuple(map(to_numpy, last)), to_numpy(ys)


def assert_close(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("cell", KINDS)
def test_equals_torch(cell, both, num_layers):
    torch.manual_seed(num_layers)
    module = getattr(torch.nn, KINDS[cell])(
        INPUT, HIDDEN, num_layers, bidirectional=both
    )
    make_layer = bidirectional if both else one_way
    layer = stack([make_layer(CELLS[cell](HIDDEN))] * num_layers)

    rng = np.random.default_rng(num_layers)
    zeros = layer.initial_carry((BATCH,))
    leaves, structure = jax.tree.flatten(zeros)
    starts = [rng.standard_normal(leaf.shape).astype("float32") for leaf in leaves]
    fields = 2 if cell == "lstm" else 1
    xs = torch.randn(STEPS, BATCH, INPUT, requires_grad=True)
    carry = [
        torch.tensor(np.stack(starts[n::fields]), requires_grad=True)
        for n in range(fields)
    ]
    shapes = [(*carry[0].shape,)] * fields + [(STEPS, BATCH, layer.output_size)]
    weights = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    expected = run_torch(module, xs, carry, weights)

    @jax.jit
    def run(params, starts, xs):
        def loss(params, starts, xs):
            carries, ys = layer.apply(
                params,
                xs,
                carry=jax.tree.unflatten(structure, starts),
                lengths=jnp.array(LENGTHS),
            )
            ends = jax.tree.leaves(carries)
            last = tuple(jnp.stack(ends[n::fields]) for n in range(fields))
            parts = zip((*last, ys), weights, strict=True)
            return sum((part * w).sum() for part, w in parts), (last, ys)

        grad = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)
        return grad(params, starts, xs)

    params = convert.from_torch(KINDS[cell], module.state_dict())
    grads, got = run(params, starts, to_numpy(xs))
    assert_close(got, expected)
    of_params, of_starts, of_xs = grads
    assert_close(of_params, collect_grads(cell, module))
    assert_close(of_xs, xs.grad.numpy())
    for n in range(fields):
        assert_close(np.stack(of_starts[n::fields]), carry[n].grad.numpy())


@pytest.mark.parametrize("kind", KINDS.values())
def test_torch_computes_the_same_from_our_weights(kind):
    build = {name: cell for cell, name in KINDS.items()}[kind]
    layer = stack([bidirectional(CELLS[build](HIDDEN))] * 2)
    params = layer.init(jax.random.key(0), INPUT)
    module = getattr(torch.nn, kind)(INPUT, HIDDEN, 2, bidirectional=True)
    state = convert.to_torch(kind, params)
    module.load_state_dict({name: torch.tensor(w) for name, w in state.items()})
    xs = torch.randn(STEPS, BATCH, INPUT)
    _, ys = layer.apply(params, to_numpy(xs))
    assert_close(ys, to_numpy(module(xs)[0]))


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_a_projection_is_torchs_proj_size(both):
    torch.manual_seed(0)
    module = torch.nn.LSTM(INPUT, HIDDEN, 2, bidirectional=both, proj_size=2)
    build = bidirectional if both else one_way
    layer = stack([build(lstmp(HIDDEN, projection_size=2))] * 2)
    params = convert.from_torch("LSTM", module.state_dict())
    xs = torch.randn(STEPS, BATCH, INPUT)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor(LENGTHS), enforce_sorted=False
    )
    expected, (h, c) = module(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(expected, total_length=STEPS)
    carry, ys = layer.apply(params, to_numpy(xs), lengths=jnp.array(LENGTHS))
    assert_close(ys, to_numpy(expected))
    leaves = jax.tree.leaves(carry)
    assert_close(np.stack(leaves[0::2]), to_numpy(c))
    assert_close(np.stack(leaves[1::2]), to_numpy(h))
    state = convert.to_torch("LSTM", params)
    module.load_state_dict({name: torch.tensor(w) for name, w in state.items()})
    again, _ = torch.nn.utils.rnn.pad_packed_sequence(
        module(packed)[0], total_length=STEPS
    )
    assert_close(to_numpy(again), to_numpy(expected))


def test_a_module_inside_a_model_is_found_by_its_prefix():
    model = torch.nn.ModuleDict({"encoder": torch.nn.LSTM(INPUT, HIDDEN, bias=False)})
    state = model.state_dict()
    params = convert.from_torch("LSTM", state, prefix="encoder.")["layer_0"]
    np.testing.assert_array_equal(params["w_ih"].T, state["encoder.weight_ih_l0"])
    assert not params["b"].any()
