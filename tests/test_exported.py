"""An exported model: the same numbers, without the code that trained it, and safe."""

import hashlib
import json
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from jax import export
from jax.sharding import NamedSharding, PartitionSpec
from trained import TEXTS, Known, make_trained

from lstm_jax import load
from lstm_jax.errors import UserError
from lstm_jax.explain import explain_text
from lstm_jax.export import export_model
from lstm_jax.inference import Predictor

KINDS = {
    "lstm with n-grams, one logit": {
        "data.ngram_order": 2,
        "model.bidirectional": False,
    },
    "gru, one-hot words, three classes, both ways": {
        "model.inputs": "one_hot",
        "model.cell": "gru",
        "model.num_logits": 0,
        "data.max_length": 16,
    },
    "two layers in bfloat16, unrolled, in chunks": {
        "model.dtype": "bfloat16",
        "model.cell": "rnn",
        "model.num_layers": 2,
        "model.unroll": 2,
        "model.chunk_size": 3,
        "model.bidirectional": False,
        "model.pooling": "attention",
    },
}


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """A model, and the file that it was exported to."""
    trained = make_trained(**KINDS[request.param])
    path = tmp_path_factory.mktemp("exported") / "model.zip"
    export_model(trained, path)
    return trained, path


SMALL = {"data.ngram_order": 2, "model.cell": "rnn", "model.bidirectional": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.zip"
    export_model(make_trained(**SMALL), path)
    return path


def test_the_numbers_are_those_of_the_model(pair):
    trained, path = pair
    ours, exported = Known(trained, batch_size=11), load(path, batch_size=11)
    atol = 1e-6 if trained.config.model.dtype == "float32" else 1e-2
    np.testing.assert_allclose(
        exported.logits(TEXTS), ours.logits(TEXTS), rtol=0, atol=atol
    )
    assert exported.label_names == ours.label_names
    assert exported.loaded.about == ours.loaded.about
    mine, theirs = (explain_text(p, TEXTS[1]) for p in (ours, exported))
    tolerance = {"rtol": 0, "atol": max(atol, 3e-6)}
    np.testing.assert_allclose(theirs.lost(), mine.lost(), **tolerance)
    np.testing.assert_allclose(
        theirs.gradients.effects, mine.gradients.effects, **tolerance
    )
    for name, gate in mine.reading.gates.items():
        np.testing.assert_allclose(theirs.reading.gates[name], gate, **tolerance)


def test_any_number_of_texts_on_any_number_of_devices(pair):
    trained, path = pair
    expected = Known(trained, batch_size=11).logits(TEXTS)
    atol = 1e-6 if trained.config.model.dtype == "float32" else 1e-2
    found = load(path, batch_size=8).logits(TEXTS)  # over all eight devices
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def test_the_same_model_is_the_same_file(model, tmp_path):
    # Once ``model`` was traced: what JAX has traced before orders the constants.
    files = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for path in files:
        export_model(make_trained(**SMALL), path)
    assert files[0].read_bytes() == files[1].read_bytes()
    # Nor does it say where it was made.
    assert str(Path(__file__).parents[1]).encode() not in model.read_bytes()


def test_the_manifest_says_what_is_in_it(model):
    with zipfile.ZipFile(model) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        names = set(archive.namelist())
    assert manifest["platforms"] == ["cpu", "cuda", "tpu"]
    assert manifest["label_names"] == ["bad", "good"]
    assert set(manifest["versions"]) == {"lstm-jax", "jax", "jaxlib"}
    assert names == {"manifest.json", *manifest["files"]}


_ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        root = name.split(".")[0]
        if root in ("flax", "optax", "orbax", "ml_collections", "tensorflow_datasets"):
            raise ImportError(f"{name} is not to be imported")
        if name.startswith(("lstm_jax.training", "lstm_jax.models")):
            raise ImportError(f"{name} is not to be imported")

sys.meta_path.insert(0, Refuse())
import json
import lstm_jax
from lstm_jax.explain import explain_text

texts = json.loads(sys.argv[2])
predictor = lstm_jax.load(sys.argv[1], batch_size=11)
explain_text(predictor, texts[0])
print(json.dumps(predictor.logits(texts).tolist()))
"""


def test_it_needs_no_code_that_trains(model):
    command = [sys.executable, "-c", _ALONE, str(model), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = load(model, batch_size=11).logits(TEXTS)
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=0, atol=1e-6)


def read(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, files, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def with_manifest(contents, **changes):
    manifest = {**json.loads(contents["manifest.json"]), **changes}
    return {**contents, "manifest.json": json.dumps(manifest).encode()}


def replace(files, name, data):
    """Another file, which the manifest vouches for."""
    described = json.loads(files["manifest.json"])["files"]
    digest = hashlib.sha256(data).hexdigest()
    described[name] = {"bytes": len(data), "sha256": digest}
    return {**with_manifest(files, files=described), name: data}


def with_json(files, name, **changes):
    changed = {**json.loads(files[name]), **changes}
    return replace(files, name, json.dumps(changed).encode())


def with_arrays(files, name, **kinds):
    """Arrays with a column more of a kind, or without those of no kind."""
    arrays = safetensors.numpy.load(files[name])
    for array, kind in kinds.items():
        found = arrays.pop(array)
        if kind:
            arrays[array] = np.zeros((len(found), found.shape[1] + 1), kind)
    return replace(files, name, safetensors.numpy.save(arrays))


def with_more(files, name):
    arrays = safetensors.numpy.load(files["params.safetensors"])
    arrays[name] = np.zeros(3, np.float32)
    return replace(files, "params.safetensors", safetensors.numpy.save(arrays))


def of_two_devices(files):
    """A program that could not run where the others do."""
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
    spread = NamedSharding(mesh, PartitionSpec("x"))
    program = jax.jit(jnp.sin, in_shardings=spread)
    shape = jax.ShapeDtypeStruct((2,), jnp.float32)
    data = bytes(export.export(program)(shape).serialize())
    return replace(files, "gates.stablehlo", data)


BROKEN = {
    "a name that leads outside": (
        lambda f: {**f, "../../evil.py": b""},
        "expected the names of a model, got '../../evil.py'",
    ),
    "a name from the root": (lambda f: {**f, "/etc/x": b""}, "got '/etc/x'"),
    "a file more": (lambda f: {**f, "params.pkl": b"\x80"}, "got 'params.pkl'"),
    "a file less": (
        lambda f: {n: d for n, d in f.items() if n != "tokenizer.json"},
        "expected a file 'tokenizer.json', got none",
    ),
    "n-grams missing": (
        lambda f: {n: d for n, d in f.items() if n != "ngrams.safetensors"},
        "ngrams.safetensors: expected the file",
    ),
    "a huge manifest": (
        lambda f: {**f, "manifest.json": b" " * (1 << 20) + f["manifest.json"]},
        "manifest.json: expected 1,048,576 bytes at most",
    ),
    "a manifest that is not JSON": (
        lambda f: {**f, "manifest.json": b"{"},
        "manifest.json: expected that of a model",
    ),
    "a manifest that is no object": (
        lambda f: {**f, "manifest.json": b"[]"},
        "manifest.json: expected that of a model",
    ),
    "another format": (lambda f: with_manifest(f, format="zip"), "got 'zip'"),
    "a later version": (lambda f: with_manifest(f, format_version=2), "got 2"),
    "a number that is none": (
        lambda f: with_manifest(f, max_length="long"),
        "manifest.json: expected that of a model, got: invalid literal",
    ),
    "a number without end": (
        lambda f: with_manifest(f, max_length=float("inf")),
        "manifest.json: expected that of a model, got: cannot convert",
    ),
    "a length beyond int32": (
        lambda f: with_manifest(f, max_length=2**31),
        "expected programs and numbers that fit together, got: logits",
    ),
    "another platform": (
        lambda f: with_manifest(f, platforms=["tpu"]),
        "expected a model for cpu, got one for tpu",
    ),
    "names of other classes": (
        lambda f: with_manifest(f, label_names=["one"]),
        "expected programs and numbers that fit together",
    ),
    "changed parameters": (
        lambda f: {**f, "params.safetensors": f["params.safetensors"][:-1] + b"\x01"},
        "params.safetensors: expected the file that manifest.json describes",
    ),
    "parameters that are none": (
        lambda f: replace(f, "params.safetensors", b"\x80\x04K\x01."),
        "params.safetensors: expected arrays",
    ),
    "parameters of another model": (
        lambda f: replace(f, "params.safetensors", f["ngrams.safetensors"]),
        "expected programs and numbers that fit together",
    ),
    "a program for two devices": (
        of_two_devices,
        "gates.stablehlo: expected a program that jax",
    ),
    "a program that is none": (
        lambda f: replace(f, "logits.stablehlo", b"nothing"),
        "logits.stablehlo: expected a program that jax",
    ),
    "an array that is a group, too": (
        lambda f: with_more(f, "logits/bias/x"),
        "params.safetensors: expected an array or a group of them, got both as 'bias'",
    ),
    "groups without end": (
        lambda f: with_more(f, "/".join("a" * 5000)),
        "expected programs and numbers that fit together",
    ),
    "another program for gates": (
        lambda f: replace(f, "gates.stablehlo", f["prepare.stablehlo"]),
        "expected programs and numbers that fit together",
    ),
    "another program for gradients": (
        lambda f: replace(f, "gradients.stablehlo", f["logits.stablehlo"]),
        "expected programs and numbers that fit together",
    ),
    "a tokenizer that is none": (
        lambda f: replace(f, "tokenizer.json", b"{}"),
        "tokenizer.json: expected a tokenizer",
    ),
    "a tokenizer with a rule more": (
        lambda f: with_json(f, "tokenizer.json", normalizer={"type": "Lowercase"}),
        "tokenizer.json: expected a tokenizer file, got: one whose 'normalizer'",
    ),
    "n-grams of a huge order": (
        lambda f: with_manifest(f, ngram_order=10**9),
        "ngrams.safetensors: expected n-grams, got: order 1000000000",
    ),
    "n-grams of other classes": (
        lambda f: with_arrays(f, "ngrams.safetensors", ratios=np.float32),
        "expected programs and numbers that fit together, got: ratios",
    ),
    "n-grams without their keys": (
        lambda f: with_arrays(f, "ngrams.safetensors", keys=None),
        "ngrams.safetensors: expected n-grams, got: 'keys'",
    ),
    "a way to truncate that is none": (
        lambda f: with_manifest(f, truncate="both"),
        "expected programs and numbers that fit together, got: truncate 'both'",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_not_a_model_is_refused_in_one_line(kind, model, tmp_path):
    change, message = BROKEN[kind]
    path = tmp_path / "broken.zip"
    write(path, change(read(model)))
    with pytest.raises(UserError) as refused:
        load(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_in_which_arrays_are_read_changes_nothing(
    backwards, model, tmp_path, monkeypatch
):
    """safetensors gives them in another order at each reading."""

    def in_order(data, read=safetensors.numpy.load):
        return dict(sorted(read(data).items(), reverse=backwards))

    path = tmp_path / "more.zip"
    write(path, with_more(read(model), "logits/bias/x"))
    monkeypatch.setattr(safetensors.numpy, "load", in_order)
    with pytest.raises(UserError, match="got both as 'bias'"):
        load(path)
    load(model)


def test_a_program_of_a_version_that_is_not_read_is_told(model, monkeypatch):
    """It is parsed when it is run, else: the envelope is of another version."""

    def fail(program):
        raise ValueError("unknown version\nof the dialect")

    monkeypatch.setattr(export.Exported, "mlir_module", fail)
    with pytest.raises(UserError, match=r"got one of jax .*; export .* an older one$"):
        load(model)


def test_a_file_that_would_grow_is_refused(model, tmp_path):
    path = tmp_path / "bomb.zip"
    write(path, read(model), zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="expected it uncompressed"):
        load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(model, tmp_path):
    path = tmp_path / "twice.zip"
    path.write_bytes(model.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tokenizer.json", b"{}")
    with pytest.raises(
        UserError, match="single files of a model, got 'tokenizer.json'"
    ):
        load(path)


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "text.zip").write_text("no archive")
    for name in ("text.zip", "missing.zip", "."):
        with pytest.raises(UserError, match="expected a model that lstm-jax export"):
            load(tmp_path / name)


def test_every_cut_of_the_file_is_refused(model, tmp_path):
    data = model.read_bytes()
    path = tmp_path / "cut.zip"
    for share in np.linspace(0, 0.999, 12):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(UserError):
            load(path)


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    message = f"expected a file to write, got no folder {tmp_path / 'file'}:"
    with pytest.raises(UserError, match=re.escape(message)):
        export_model(make_trained(**SMALL), tmp_path / "file" / "model.zip")


def test_a_folder_in_its_place_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "model.zip").mkdir()
    with pytest.raises(UserError, match="expected a file to write"):
        export_model(make_trained(**SMALL), tmp_path / "model.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]


def test_a_predictor_is_loaded_where_it_is_first_used():
    heavy = ("tokenizers", "flax", "optax", "orbax", "tensorflow_datasets")
    code = f"import lstm_jax, sys; print([m for m in {heavy} if m in sys.modules]); "
    code += "lstm_jax.Predictor; "
    code += f"print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[]", "['tokenizers']"]
    import lstm_jax

    assert lstm_jax.Predictor is Predictor
    assert lstm_jax.Ensemble.__module__ == "lstm_jax.ensemble"
    assert {"unroll", "lstm"} <= set(dir(lstm_jax))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lstm_jax.nothing  # noqa: B018


@pytest.mark.parametrize("kind", ["longer than the file", "a name that is no UTF-8"])
def test_a_broken_list_of_contents_is_refused(kind, model, tmp_path):
    """The list at the end of the archive, which is read first."""
    data = bytearray(model.read_bytes())
    last = data.rindex(b"PK\x01\x02")
    if kind == "longer than the file":
        data[last + 20 : last + 28] = struct.pack("<LL", 3 << 30, 3 << 30)
    else:
        data[last + 8 : last + 10] = struct.pack("<H", 0x800)
        data[last + 46] = 0xFF
    path = tmp_path / "broken.zip"
    path.write_bytes(data)
    with pytest.raises(UserError, match="expected a model that lstm-jax export wrote"):
        load(path)
