"""Where arrays live: batches split over all devices, everything else copied."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lstm_jax.errors import UserError
from lstm_jax.training.state import PyTree

logger = logging.getLogger(__name__)

_LONGEST_TEXT = 2000  # bytes of a message that hosts send one another


def make_data_mesh(*batch_sizes: int) -> Mesh:
    """One axis, "data", over the devices of every host.

    On one host, when a batch size cannot be split evenly over all devices, the
    mesh takes as many as it can be split over.

    Args:
      *batch_sizes: every batch size that will be split over the mesh.

    Raises:
      UserError: several hosts, and a batch size that is no multiple of the number
        of devices.
    """
    count = jax.device_count()
    if jax.process_count() == 1:
        count = next(n for n in range(count, 0, -1) if _splits(batch_sizes, n))
        if count < jax.device_count():
            logger.warning(
                "%d of %d devices are used: batches of %s cannot be split over more",
                *(count, jax.device_count(), batch_sizes),
            )
    elif not _splits(batch_sizes, count):
        raise UserError(
            "train.batch_size (of one optim.accumulation_steps part) and "
            "train.eval_batch_size: expected multiples of the "
            f"number of devices ({count}), got {batch_sizes}"
        )
    devices = jax.devices()[:count]
    return jax.make_mesh(
        (count,), ("data",), axis_types=(AxisType.Auto,), devices=devices
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def copied(mesh: Mesh) -> NamedSharding:
    """The same array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def put_batch(mesh: Mesh, batch: Any) -> Any:
    """Send this host's rows to its devices; the result is the whole batch."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, x), batch
    )


def put_copies(mesh: Mesh, tree: PyTree) -> PyTree:
    """Send host arrays, the same on every host, to every device."""
    sharding = copied(mesh)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
    )


def local_rows(rows: np.ndarray) -> np.ndarray:
    """The share of a batch's rows that this host prepares."""
    return rows[local_slice(len(rows))]


def local_slice(count: int) -> slice:
    """Which of so many rows this host prepares."""
    share = count // jax.process_count()
    first = jax.process_index() * share
    return slice(first, first + share)


@functools.cache
def batch_order(mesh: Mesh, size: int) -> np.ndarray:
    """Which row of a batch each row of the result of ``put_batch`` is.

    The devices of a mesh may come in another order than the hosts they belong to.
    """
    rows = jax.make_array_from_process_local_data(
        batch_sharding(mesh), local_rows(np.arange(size, dtype=np.int32))
    )
    return np.asarray(jax.jit(lambda x: x, out_shardings=copied(mesh))(rows))


def wait_for_hosts(where: str) -> None:
    """Go on when every host has come to ``where``."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


def largest(value: int) -> int:
    """The largest value that any host has; each of them has to ask."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.process_allgather(np.int32(value)).max())


@contextmanager
def shared_mistakes() -> Iterator[None]:
    """Raise on every host what a host raises inside; no host waits for another there.

    Without it the others would wait for the one that has left.

    Raises:
      UserError: of the first host that has one.
    """
    mistake = ""
    try:
        yield
    except UserError as error:
        mistake = str(error)
        if jax.process_count() == 1:
            raise
    if jax.process_count() == 1:
        return
    for message in _gather_texts(mistake):
        if message:
            raise UserError(message)


def _gather_texts(text: str) -> list[str]:
    """The text of each host; what is longer than a few lines is cut."""
    padded = np.zeros(_LONGEST_TEXT, np.uint8)
    encoded = text.encode()[:_LONGEST_TEXT]
    padded[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    gathered = np.asarray(multihost_utils.process_allgather(padded))
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in gathered]


def _splits(sizes: tuple[int, ...], count: int) -> bool:
    return all(size % count == 0 for size in sizes)
