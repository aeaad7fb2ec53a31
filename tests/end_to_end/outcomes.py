"""What runs leave behind, and whether two of them left the same, to the bit."""

import jax
import numpy as np
import orbax.checkpoint as ocp

NUM_STEPS = 15  # of a tiny run: 3 epochs of 5


def checkpoint(folder, part, step=NUM_STEPS):
    """One part of a checkpoint as Orbax alone reads it: name -> array."""
    path = (folder / "checkpoints" / str(step) / part).absolute()
    saved = ocp.StandardCheckpointHandler().metadata(path).tree
    # Into arrays of NumPy: the devices that it was saved on may not be here.
    like = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), saved)
    tree = ocp.StandardCheckpointer().restore(path, like)
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(name): np.asarray(leaf) for name, leaf in leaves}


def saved_steps(folder):
    names = [path.name for path in (folder / "checkpoints").glob("*")]
    return sorted(int(name) for name in names if name.isdigit())


def assert_same_bits(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype, name
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def timeless(summary):
    """A summary without what a clock or the source tree says."""
    changing = ("seconds", "reviews_per_second", "input_wait_share", "commit")
    return {name: value for name, value in summary.items() if name not in changing}


def assert_same_run(folder, summary, unbroken, measured):
    assert measured(folder) == measured(unbroken.folder)
    assert timeless(summary) == timeless(unbroken.summary)
    for part in ("state", "best"):
        ours, theirs = (checkpoint(f, part) for f in (folder, unbroken.folder))
        assert_same_bits(ours, theirs)
