"""The file of an exported model: what is in it, writing it, and reading it safely.

It is a zip archive, uncompressed, of a manifest, the tokenizer, arrays in the format
of safetensors, and StableHLO programs of ``jax.export``.  Nothing in it is Python code
or a pickle, nothing is unpacked to disk, and what it may hold and how large that is
must be what the manifest says.
"""

import hashlib
import json
import struct
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jax import export
from jax.tree_util import keystr, tree_leaves_with_path

from lstm_jax.data.config import TRUNCATIONS
from lstm_jax.data.datasets import Text
from lstm_jax.data.ngrams import NGrams, check_ngrams, no_ngrams
from lstm_jax.data.tokenizer import parse_tokenizer
from lstm_jax.drafts import draft_asked_for
from lstm_jax.errors import UserError
from lstm_jax.loaded import About, Loaded, Programs
from lstm_jax.platforms import check_platforms

_FORMAT = {"format": "lstm_jax model", "format_version": 1}
_MANIFEST, _TOKENIZER = "manifest.json", "tokenizer.json"
_PARAMS, _NGRAMS = "params.safetensors", "ngrams.safetensors"
_PROGRAMS = {name: f"{name}.stablehlo" for name in Programs._fields}
_REQUIRED = {_TOKENIZER, _PARAMS, *_PROGRAMS.values()}
# What zipfile and struct raise where bytes make no sense (EOFError: no end; ValueError:
# a name that is no UTF-8; RuntimeError: encrypted).
_NO_ARCHIVE = (
    *(OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError),
    *(EOFError, ValueError, struct.error),
)
_NO_MANIFEST = (
    *(ValueError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)
_LARGEST_MANIFEST = 1 << 20
_LARGEST_FILE = 4 << 30
_DEEPEST = 16  # groups in groups of arrays
# The beginning of time in zip files: the same model, exported by the same command, is
# the same file.
_TIME = (1980, 1, 1, 0, 0, 0)


class _Manifest(NamedTuple):
    """What ``manifest.json`` says, checked."""

    about: About
    max_length: int
    truncate: str
    num_logits: int
    ngram_order: int
    ngram_base: int
    platforms: tuple[str, ...]
    versions: dict[str, str]
    files: dict[str, dict[str, Any]]


def write_model(
    loaded: Loaded, programs: dict[str, bytes], platforms: tuple[str, ...], path: Path
) -> None:
    """Write the file of a model, whole or not at all.

    Args:
      loaded: the model; its own programs are not written.
      programs: serialized, by the names of ``Programs``.
      platforms: that they run on.
      path: of the file; one that is there is replaced.

    Raises:
      UserError: the file cannot be written.
    """
    files = _contents(loaded, programs)
    manifest = json.dumps(_describe(loaded, platforms, files), indent=2) + "\n"
    with draft_asked_for(path) as draft, zipfile.ZipFile(draft, "w") as archive:
        for name, data in {_MANIFEST: manifest.encode(), **files}.items():
            archive.writestr(_entry(name), data)


def read_model(path: Path) -> Loaded:
    """Read the file of a model.

    Raises:
      UserError: it is not one, is damaged, or holds what it should not.
    """
    files = _read_files(path)
    manifest = _read_manifest(path, files.pop(_MANIFEST))
    _check_files(path, manifest, files)
    _check_platform(path, manifest)
    loaded = Loaded(
        programs=_read_programs(path, manifest, files),
        params=_nested(path, _arrays(path, _PARAMS, files)),
        text=_read_text(path, manifest, files),
        max_length=manifest.max_length,
        truncate=manifest.truncate,
        num_logits=manifest.num_logits,
        about=manifest.about,
    )
    _check_together(path, loaded)
    return loaded


def _contents(loaded: Loaded, programs: dict[str, bytes]) -> dict[str, bytes]:
    """The files beside the manifest, by name and in order."""
    ngrams = loaded.text.ngrams
    params = safetensors.numpy.save(_flat(loaded.params))
    files = {_TOKENIZER: loaded.text.tokenizer.to_str().encode(), _PARAMS: params}
    if ngrams.order:
        arrays = {"keys": ngrams.keys, "ratios": ngrams.ratios}
        files[_NGRAMS] = safetensors.numpy.save(arrays)
    return files | {_PROGRAMS[name]: data for name, data in programs.items()}


def _describe(
    loaded: Loaded, platforms: tuple[str, ...], files: dict[str, bytes]
) -> dict[str, Any]:
    """The manifest."""
    ngrams = loaded.text.ngrams
    return {
        **_FORMAT,
        "versions": {n: version(n) for n in ("lstm-jax", "jax", "jaxlib")},
        "platforms": list(platforms),
        **loaded.about._asdict(),
        "max_length": loaded.max_length,
        "truncate": loaded.truncate,
        "num_logits": loaded.num_logits,
        "ngram_order": ngrams.order,
        "ngram_base": ngrams.base,
        "files": {name: _measure(data) for name, data in files.items()},
    }


def _measure(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_TIME)
    entry.create_system = 3  # also where it is written on Windows
    entry.external_attr = 0o644 << 16
    return entry


def _flat(tree: Any) -> dict[str, np.ndarray]:
    """Arrays by path, as ``layers/layer_0/w_ih``."""
    return {
        keystr(path, simple=True, separator="/"): np.ascontiguousarray(leaf)
        for path, leaf in tree_leaves_with_path(tree)
    }


def _nested(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The inverse of ``_flat``."""
    tree: dict[str, Any] = {}
    # The order of a file is lost in reading; sorted, an array comes before its "group".
    for name, array in sorted(arrays.items()):
        *folders, last = name.split("/", _DEEPEST)
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise UserError(
                    f"{path}: {_PARAMS}: expected an array or a group of them, got "
                    f"both as {folder!r}"
                )
        place[last] = array
    return tree


def _read_files(path: Path) -> dict[str, bytes]:
    """All files of the archive, once each of them is known to be harmless."""
    known = {_MANIFEST, _NGRAMS, *_REQUIRED}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            _refuse(path, "names", [n for n in names if n not in known])
            _refuse(path, "single files", [n for n in known if names.count(n) > 1])
            missing = ({_MANIFEST} | _REQUIRED) - set(names)
            if missing:
                raise UserError(f"{path}: expected a file {min(missing)!r}, got none")
            for entry in entries:
                _check_size(path, entry)
            return {entry.filename: archive.read(entry) for entry in entries}
    except _NO_ARCHIVE as error:
        hint = "; ONNX is for other programs" if path.suffix == ".onnx" else ""
        raise UserError(
            f"{path}: expected a model that lstm-jax export wrote, got: {error}{hint}"
        ) from error


def _refuse(path: Path, expected: str, names: list[str]) -> None:
    if names:
        raise UserError(
            f"{path}: expected the {expected} of a model, got {sorted(names)[0]!r}"
        )


def _check_size(path: Path, entry: zipfile.ZipInfo) -> None:
    """Refuse what is larger than it may be, or could become so when unpacked."""
    largest = _LARGEST_MANIFEST if entry.filename == _MANIFEST else _LARGEST_FILE
    if entry.file_size > largest:
        raise UserError(
            f"{path}: {entry.filename}: expected {largest:,} bytes at most, "
            f"got {entry.file_size:,}"
        )
    stored = entry.compress_type == zipfile.ZIP_STORED
    if not stored or entry.file_size != entry.compress_size:
        raise UserError(f"{path}: {entry.filename}: expected it uncompressed")


def _read_manifest(path: Path, data: bytes) -> _Manifest:
    try:
        values = json.loads(data)
        for name, value in _FORMAT.items():
            if values[name] != value:
                raise ValueError(f"{name} {value!r} expected, got {values[name]!r}")
        return _Manifest(
            about=About(
                label_names=tuple(map(str, values["label_names"])),
                **{n: str(values[n]) for n in ("name", "dataset", "notice")},
            ),
            truncate=str(values["truncate"]),
            **{n: int(values[n]) for n in ("max_length", "num_logits")},
            **{n: int(values[n]) for n in ("ngram_order", "ngram_base")},
            platforms=tuple(map(str, values["platforms"])),
            versions={str(k): str(v) for k, v in values["versions"].items()},
            files={n: dict(values["files"][n]) for n in values["files"]},
        )
    except KeyError as error:
        problem = f"no {error}"
    except _NO_MANIFEST as error:
        problem = str(error)
    raise UserError(f"{path}: {_MANIFEST}: expected that of a model, got: {problem}")


def _check_files(path: Path, manifest: _Manifest, files: dict[str, bytes]) -> None:
    """Compare what is there with what the manifest says of it."""
    expected = _REQUIRED | ({_NGRAMS} if manifest.ngram_order else set())
    for name in sorted(expected | set(files)):
        if name not in files or manifest.files.get(name) != _measure(files[name]):
            raise UserError(
                f"{path}: {name}: expected the file that {_MANIFEST} describes, got "
                "another one or none; export the model again"
            )


def _check_platform(path: Path, manifest: _Manifest) -> None:
    check_platforms()
    platform = jax.local_devices()[0].platform
    if {"gpu": "cuda"}.get(platform, platform) not in manifest.platforms:
        raise UserError(
            f"{path}: expected a model for {platform}, got one for "
            f"{', '.join(manifest.platforms)}; export it for this platform"
        )


def _read_programs(
    path: Path, manifest: _Manifest, files: dict[str, bytes]
) -> Programs:
    programs = {}
    for name, file in _PROGRAMS.items():
        try:
            program = export.deserialize(bytearray(files[file]))
            # The program inside is of a version of its own, and only parsed here.
            program.mlir_module()
            if program.nr_devices != 1:
                raise ValueError(f"a program for {program.nr_devices} devices")
        except Exception as error:  # whatever a parser makes of it
            raise UserError(
                f"{path}: {file}: expected a program that jax {jax.__version__} reads, "
                f"got one of jax {manifest.versions.get('jax')}; export the model "
                "again, with this version or an older one"
            ) from error
        programs[name] = program.call
    return Programs(**programs)


def _read_text(path: Path, manifest: _Manifest, files: dict[str, bytes]) -> Text:
    tokenizer = parse_tokenizer(files[_TOKENIZER], f"{path}: {_TOKENIZER}")
    if not manifest.ngram_order:
        return Text(tokenizer, no_ngrams(manifest.num_logits))
    arrays = _arrays(path, _NGRAMS, files)
    try:
        ngrams = NGrams(
            manifest.ngram_order,
            manifest.ngram_base,
            arrays["keys"],
            arrays["ratios"],
        )
        check_ngrams(ngrams)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: {_NGRAMS}: expected n-grams, got: {error}") from error
    return Text(tokenizer, ngrams)


def _arrays(path: Path, name: str, files: dict[str, bytes]) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load(files[name])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: {name}: expected arrays, got: {error}") from error


def _check_together(path: Path, loaded: Loaded) -> None:
    """Whether the parts fit: nothing is computed."""
    order, num_logits = loaded.text.ngrams.order, loaded.num_logits
    width = 16 if order else 0
    inputs = (
        jax.ShapeDtypeStruct((2, 16), jnp.int32),
        jax.ShapeDtypeStruct((2,), jnp.int32),
        jax.ShapeDtypeStruct((2, width), jnp.int32),
        jax.ShapeDtypeStruct((2, width, num_logits), jnp.float32),
    )
    alone = [jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for x in inputs]
    way = [jax.ShapeDtypeStruct((n,), jnp.float32) for n in (num_logits, 4)]
    programs, params = loaded.programs, loaded.params
    try:
        prepared = jax.eval_shape(programs.prepare, params)
        shape = jax.eval_shape(programs.logits, prepared, *inputs).shape
        jax.eval_shape(programs.gates, params, alone[0])
        jax.eval_shape(programs.gradients, params, *alone, *way)
        if len(loaded.about.label_names) != max(num_logits, 2):
            raise ValueError(f"label_names {loaded.about.label_names}")
        if loaded.text.ngrams.ratios.shape[1] != num_logits:
            raise ValueError(f"ratios {loaded.text.ngrams.ratios.shape}")
        if loaded.truncate not in TRUNCATIONS:
            raise ValueError(f"truncate {loaded.truncate!r}")
        if shape != (2, num_logits) or not 0 < loaded.max_length < 2**31:
            raise ValueError(f"logits {shape}, max_length {loaded.max_length}")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        problem = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: expected programs and numbers that fit together, got: {problem}"
        ) from error
