import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cells import CELLS
from lstm_jax.data.tokenizer import UNKNOWN_ID
from lstm_jax.errors import UserError
from lstm_jax.models.build import build_classifier
from lstm_jax.models.config import ModelConfig
from lstm_jax.models.pooling import POOLINGS

VOCAB, NUM_NGRAMS = 30, 12
LENGTHS = np.array([8, 0, 1, 5], np.int32)


def classifier(num_classes=2, num_ngrams=0, **settings):
    sizes = {"embedding_size": 5, "hidden_size": 4, **settings}
    return build_classifier(
        ModelConfig(**sizes),
        vocab_size=VOCAB,
        num_classes=num_classes,
        num_ngrams=num_ngrams,
    )


def random_batch(seed=0, width=8, lengths=LENGTHS):
    rng = np.random.default_rng(seed)
    token_ids = rng.integers(2, VOCAB, (len(lengths), width)).astype(np.int32)
    real = np.arange(width) < lengths[:, None]
    return np.where(real, token_ids, 0).astype(np.int32), lengths


def parameters(model, *inputs, seed=0):
    """Random parameters; none is at its zero or one of the beginning."""
    params = model.init(jax.random.key(seed), *inputs)["params"]
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    noisy = [
        x + 0.3 * jax.random.normal(k, x.shape)
        for x, k in zip(leaves, keys, strict=True)
    ]
    return {"params": jax.tree.unflatten(tree, noisy)}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_changes_no_logit(pooling):
    # Compiled for every pooling: with the cell that compiles fastest.
    both_ways = pooling in ("last", "mean_max")
    model = classifier(pooling=pooling, cell="rnn", bidirectional=both_ways)
    apply = jax.jit(model.apply)
    token_ids, lengths = random_batch()
    variables = parameters(model, token_ids, lengths)
    logits = apply(variables, token_ids, lengths)
    # What stands in the padding: not a bit.
    real = np.arange(8) < lengths[:, None]
    spoiled = np.where(real, token_ids, random_batch(9, 8, np.full(4, 8))[0])
    spoiled_logits = apply(variables, spoiled.astype(np.int32), lengths)
    np.testing.assert_array_equal(spoiled_logits, logits)
    # How much there is of it: sums over more steps may be taken in another order.
    longer = np.pad(token_ids, ((0, 0), (0, 13)))
    longer_logits = apply(variables, longer, lengths)
    np.testing.assert_allclose(longer_logits, logits, rtol=1e-6, atol=1e-6)


def test_batch_mates_change_no_logit():
    model = classifier(num_layers=2, pooling="attention", bidirectional=False)
    token_ids, lengths = random_batch()
    variables = parameters(model, token_ids, lengths)
    apply = jax.jit(model.apply)
    logits = np.asarray(apply(variables, token_ids, lengths))
    others, other_lengths = random_batch(5, lengths=np.array([3, 8, 8, 2], np.int32))
    for row in range(len(lengths)):
        mixed, mixed_lengths = others.copy(), other_lengths.copy()
        mixed[row], mixed_lengths[row] = token_ids[row], lengths[row]
        among_others = np.asarray(apply(variables, mixed, mixed_lengths))
        np.testing.assert_array_equal(among_others[row], logits[row])
    alone = apply(variables, token_ids[:1], lengths[:1])
    np.testing.assert_allclose(alone, logits[:1], rtol=1e-6, atol=1e-6)


def test_dropout_is_random_by_its_key_and_only_in_training():
    sizes = {"cell": "rnn", "bidirectional": False, "num_layers": 2, "head_size": 6}
    model = classifier(
        **sizes,
        word_dropout_rate=0.2,
        embedding_dropout_rate=0.2,
        layer_dropout_rate=0.2,
        head_dropout_rate=0.2,
    )
    plain = classifier(**sizes)
    token_ids, lengths = random_batch(lengths=np.array([8, 7, 6, 8], np.int32))
    variables = parameters(model, token_ids, lengths)

    @jax.jit
    def train_logits(key):
        rngs = {"dropout": key}
        return model.apply(variables, token_ids, lengths, train=True, rngs=rngs)

    first, again = train_logits(jax.random.key(1)), train_logits(jax.random.key(1))
    np.testing.assert_array_equal(first, again)
    other = train_logits(jax.random.key(2))
    assert (np.asarray(first) != np.asarray(other)).all()
    # Without train no key is asked for, and no rate matters.
    np.testing.assert_array_equal(
        jax.jit(model.apply)(variables, token_ids, lengths),
        jax.jit(plain.apply)(variables, token_ids, lengths),
    )


@pytest.mark.parametrize("name", ["input_dropout_rate", "recurrent_dropout_rate"])
def test_dropout_inside_the_cells_needs_train(name):
    sizes = {"cell": "rnn", "bidirectional": False}
    model, plain = classifier(**sizes, **{name: 0.5}), classifier(**sizes)
    token_ids, lengths = random_batch(lengths=np.array([8, 7, 6, 8], np.int32))
    variables = parameters(model, token_ids, lengths)
    rngs = {"dropout": jax.random.key(1)}
    logits = plain.apply(variables, token_ids, lengths)
    np.testing.assert_array_equal(model.apply(variables, token_ids, lengths), logits)
    dropped = model.apply(variables, token_ids, lengths, train=True, rngs=rngs)
    assert (np.abs(np.asarray(dropped) - np.asarray(logits)) > 1e-4).all()


def test_one_hot_inputs_equal_an_embedding_that_is_the_identity():
    sizes = {"cell": "gru", "bidirectional": False}
    model = classifier(inputs="one_hot", **sizes)
    dense = classifier(embedding_size=VOCAB, **sizes)
    token_ids, lengths = random_batch()
    variables = parameters(model, token_ids, lengths)
    assert "embedding" not in variables["params"]
    identity = {"embedding": {"embedding": jnp.eye(VOCAB)}, **variables["params"]}
    np.testing.assert_allclose(
        model.apply(variables, token_ids, lengths),
        dense.apply({"params": identity}, token_ids, lengths),
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_hot_inputs_may_compute_in_bfloat16():
    token_ids, lengths = random_batch()
    exact = classifier(inputs="one_hot", bidirectional=False)
    half = classifier(inputs="one_hot", bidirectional=False, dtype="bfloat16")
    variables = parameters(exact, token_ids, lengths)
    logits = np.asarray(exact.apply(variables, token_ids, lengths))
    rough = np.asarray(half.apply(variables, token_ids, lengths))
    np.testing.assert_allclose(rough, logits, atol=0.1)
    assert not np.array_equal(rough, logits)


@pytest.mark.parametrize(
    "settings",
    [
        {"embedding_file": "glove.txt"},
        {"train_embedding": False},
        {"embedding_dropout_rate": 0.2},
        {"input_dropout_rate": 0.2},
    ],
)
def test_one_hot_inputs_have_no_vectors_to_set(settings):
    (name,) = settings
    with pytest.raises(UserError, match=f"^model.{name}: expected .* got "):
        ModelConfig(inputs="one_hot", **settings)


@pytest.mark.parametrize("train_embedding", [True, False])
def test_only_an_embedding_that_is_trained_has_a_gradient(train_embedding):
    model = classifier(cell="rnn", train_embedding=train_embedding)
    token_ids, lengths = random_batch()
    params = parameters(model, token_ids, lengths)["params"]

    def total(params):
        return model.apply({"params": params}, token_ids, lengths).sum()

    moved = np.abs(jax.grad(total)(params)["embedding"]["embedding"]).max() > 0
    assert moved == train_embedding


def embedded_ids(model, variables, token_ids, lengths, **kwargs):
    """The token ids that reach the embedding, ``[T, B]``."""
    seen = []

    def spy(call, args, kwargs, context):
        if isinstance(context.module, nn.Embed) and context.method_name == "__call__":
            seen.append(np.asarray(args[0]))
        return call(*args, **kwargs)

    with nn.intercept_methods(spy):
        model.apply(variables, token_ids, lengths, **kwargs)
    return seen[0]


def test_word_dropout_puts_the_unknown_token_in_at_its_rate():
    rate, lengths = 0.3, np.full(40, 60, np.int32)
    model = classifier(word_dropout_rate=rate, cell="rnn", bidirectional=False)
    token_ids, _ = random_batch(1, 60, lengths)
    variables = parameters(model, token_ids, lengths)
    train = {"train": True, "rngs": {"dropout": jax.random.key(3)}}
    ids = embedded_ids(model, variables, token_ids, lengths, **train)
    dropped = ids != token_ids.T
    assert (ids[dropped] == UNKNOWN_ID).all()
    deviation = np.sqrt(rate * (1 - rate) / dropped.size)
    assert abs(dropped.mean() - rate) < 4 * deviation
    untouched = embedded_ids(model, variables, token_ids, lengths)
    np.testing.assert_array_equal(untouched, token_ids.T)


# The other cells have the shapes of an LSTM.
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "lstmp"])
def test_every_combination_gives_a_float32_logit_a_class(cell):
    token_ids, lengths = random_batch()
    sizes = [(1, False, 2), (1, True, 5), (2, False, 5), (2, True, 2)]
    for pooling, size in itertools.product(POOLINGS, sizes):
        num_layers, both_ways, num_classes = size
        model = classifier(
            num_classes,
            cell=cell,
            pooling=pooling,
            num_layers=num_layers,
            bidirectional=both_ways,
            num_logits=0 if num_classes > 2 else 1,
            dtype="bfloat16" if num_layers == 2 else "float32",
        )
        init = model.init_with_output
        logits, _ = jax.eval_shape(init, jax.random.key(0), token_ids, lengths)
        width = num_classes if num_classes > 2 else 1
        assert (logits.shape, logits.dtype) == ((len(lengths), width), jnp.float32)


@pytest.mark.parametrize("cell", sorted({*CELLS} - {"lstm", "gru", "rnn"}))
def test_every_other_cell_trains_too(cell):
    model = classifier(cell=cell, bidirectional=False)
    inputs = random_batch()
    variables = parameters(model, *inputs)

    @jax.jit
    @jax.grad
    def gradient(variables):
        rngs = {"dropout": jax.random.key(0)}
        return jnp.square(model.apply(variables, *inputs, train=True, rngs=rngs)).sum()

    for path, leaf in jax.tree.leaves_with_path(gradient(variables)):
        assert np.isfinite(leaf).all() and leaf.any(), jax.tree_util.keystr(path)


def test_a_cell_that_cannot_be_built_is_refused():
    with pytest.raises(UserError, match="^model.hidden_size: expected an integer >= 2"):
        ModelConfig(cell="layer_norm_lstm", hidden_size=1)
    with pytest.raises(UserError, match="^model.inputs: expected .* zoneout_lstm"):
        ModelConfig(cell="zoneout_lstm", inputs="one_hot")


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        ("lstm", {"pooling": "last", "head_size": 5}),
        ("gru", {"pooling": "mean", "bidirectional": False, "num_layers": 2}),
        ("rnn", {"pooling": "first_last", "num_logits": 0}),
        ("rnn", {"pooling": "attention", "bidirectional": False}),
    ],
)
def test_the_gradient_reaches_every_parameter(cell, settings):
    model = classifier(cell=cell, num_ngrams=NUM_NGRAMS, **settings)
    token_ids, lengths = random_batch()
    rng = np.random.default_rng(4)
    ngram_ids = rng.integers(0, NUM_NGRAMS, (len(lengths), 6)).astype(np.int32)
    shape = (*ngram_ids.shape, model.num_logits)
    ngram_values = rng.normal(size=shape).astype(np.float32)
    inputs = (token_ids, lengths, ngram_ids, ngram_values)
    variables = parameters(model, *inputs)
    targets = rng.normal(size=(len(lengths), model.num_logits)).astype(np.float32)

    @jax.jit
    @jax.grad
    def gradient(variables):
        return jnp.square(model.apply(variables, *inputs) - targets).sum()

    for path, leaf in jax.tree.leaves_with_path(gradient(variables)):
        name = jax.tree_util.keystr(path)
        assert np.isfinite(leaf).all(), name
        assert np.abs(leaf).max() > 1e-6, name


def test_padded_ngrams_change_no_logit():
    model = classifier(num_ngrams=NUM_NGRAMS, cell="rnn", bidirectional=False)
    token_ids, lengths = random_batch()
    rng = np.random.default_rng(6)
    ngram_ids = rng.integers(0, NUM_NGRAMS, (len(lengths), 6)).astype(np.int32)
    values = rng.normal(size=(*ngram_ids.shape, 1)).astype(np.float32)
    variables = parameters(model, token_ids, lengths, ngram_ids, values)
    apply = jax.jit(model.apply)
    logits = apply(variables, token_ids, lengths, ngram_ids, values)
    longer_ids = np.pad(ngram_ids, ((0, 0), (0, 5)))
    longer = np.pad(values, ((0, 0), (0, 5), (0, 0)))
    padded_logits = apply(variables, token_ids, lengths, longer_ids, longer)
    np.testing.assert_allclose(padded_logits, logits, rtol=1e-6, atol=1e-6)
    others = apply(variables, token_ids, lengths, ngram_ids, 2 * values)
    assert np.abs(np.asarray(others) - np.asarray(logits)).max() > 0.01


def test_bfloat16_is_close_to_float32_and_keeps_float32_parameters():
    token_ids, lengths = random_batch()
    exact, half = classifier(), classifier(dtype="bfloat16")
    variables = parameters(exact, token_ids, lengths)
    shapes = jax.eval_shape(half.init, jax.random.key(0), token_ids, lengths)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(shapes)} == {"float32"}
    logits = np.asarray(jax.jit(exact.apply)(variables, token_ids, lengths))
    rough = np.asarray(jax.jit(half.apply)(variables, token_ids, lengths))
    np.testing.assert_allclose(rough, logits, atol=0.05)
    assert not np.array_equal(rough, logits)


@pytest.mark.parametrize(("num_classes", "asked", "built"), [(2, 1, 1), (2, 0, 2)])
def test_number_of_logits_follows_the_settings(num_classes, asked, built):
    assert classifier(num_classes, num_logits=asked).num_logits == built


@pytest.mark.parametrize("pooling", POOLINGS)
def test_backward_is_forward_on_reviews_from_their_end(pooling):
    settings = {"bidirectional": False, "pooling": pooling, "num_layers": 2}
    forward = classifier(**settings)
    backward = classifier(**settings, backward=True)
    token_ids, lengths = random_batch()
    turned = token_ids.copy()
    for row, length in enumerate(lengths):
        turned[row, :length] = token_ids[row, :length][::-1]
    variables = parameters(forward, token_ids, lengths)
    if pooling == "first_last":
        # First and last word stay what they are, whatever the direction.
        size = variables["params"]["logits"]["kernel"].shape[0] // 2
        kernel = variables["params"]["logits"]["kernel"]
        swapped = jnp.concatenate([kernel[size:], kernel[:size]])
        logits = {**variables["params"]["logits"], "kernel": swapped}
        other = {"params": {**variables["params"], "logits": logits}}
    else:
        other = variables
    np.testing.assert_allclose(
        jax.jit(backward.apply)(other, turned, lengths),
        jax.jit(forward.apply)(variables, token_ids, lengths),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_shift_is_added_to_the_vectors_of_the_words():
    model = classifier()
    token_ids, lengths = random_batch()
    params = parameters(model, token_ids, lengths)["params"]
    shift = np.random.default_rng(4).normal(size=5).astype(np.float32)
    moved = {"embedding": {"embedding": params["embedding"]["embedding"] + shift}}
    np.testing.assert_allclose(
        model.apply(
            {"params": params}, token_ids, lengths, shift=shift, method="parts"
        ),
        model.apply({"params": params | moved}, token_ids, lengths, method="parts"),
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_direction_is_backward_or_both_are_read():
    with pytest.raises(UserError, match="^model.backward: expected False where .* got"):
        ModelConfig(backward=True)


@pytest.mark.parametrize("gates_drawn", ["apart", "together"])
def test_the_first_recurrent_weights_are_drawn_as_the_setting_says(gates_drawn):
    model = classifier(gates_drawn=gates_drawn, num_layers=2)
    params = model.init(jax.random.key(0), *random_batch())["params"]["layers"]
    weights = [np.asarray(w) for w in jax.tree.leaves(params) if w.shape == (4, 16)]
    assert len(weights) == 4  # two layers, both directions
    # Of all gates as one matrix, or of each by itself, the rows are orthonormal.
    size = 4.0 if gates_drawn == "apart" else 1.0
    for w in weights:
        np.testing.assert_allclose(w @ w.T, size * np.eye(4), atol=1e-5)
