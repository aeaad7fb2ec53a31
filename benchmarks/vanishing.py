"""Vanishing and exploding gradients, and what becomes of them in long tasks.

    python benchmarks/vanishing.py --workdir runs/vanishing
    python benchmarks/vanishing.py --draw-only

First, the gradient that the loss of the last step sends back to each input, at
initialisation.  Second, two tasks that cannot be solved without remembering over
the whole sequence, at lengths of 100 to 1000: the adding task (Hochreiter &
Schmidhuber, 1997) and the copy task, both in the form of Arjovsky, Shah & Bengio
(2016).

Every finished run is a line in ``<workdir>/records.jsonl``: running the command
again goes on after the last one.  ``results/vanishing.json`` is written from these
lines, and the pictures in ``docs/images`` from that file.
"""

from lstm_jax.host import prepare_host

if __name__ == "__main__":
    prepare_host()

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from lstm_jax import CELLS, Cell, __version__, lstm, unroll

ROOT = Path(__file__).resolve().parent.parent

# Of the palette of Okabe and Ito, which colour-blind readers can tell apart.
ORANGE, BLUE, VERMILLION, BLACK = "#E69F00", "#0072B2", "#D55E00", "#000000"
GREEN, GREY = "#009E73", "#595959"

# A run counts as solved when the loss on fresh sequences is below this share of
# what a model without memory reaches (for the adding task: below 0.01), and, where
# symbols are recalled, when more than this share of them is right.
SOLVED_RATIO, SOLVED_RECALL = 0.06, 0.99
EVAL_BATCHES = 16
NUM_SYMBOLS, NUM_RECALLED = 8, 10
BLANK, DELIMITER = NUM_SYMBOLS, NUM_SYMBOLS + 1

Params = dict[str, Any]


class Task(NamedTuple):
    """A task whose sequences are made on the device.

    Attributes:
      make: ``(key, length, batch_size) -> (xs [T, B, D], targets)``.
      measure: ``(outputs [T, B, O], targets) -> (loss, recall)``; recall is the
        share of symbols that are right, 1 where there are none.
      input_size: ``D``.
      output_size: ``O``.
      num_steps: ``T`` of a task of a length.
      baseline: the loss of the best model without memory, by length.
    """

    make: Callable[[Array, int, int], tuple[Array, Array]]
    measure: Callable[[Array, Array], tuple[Array, Array]]
    input_size: int
    output_size: int
    num_steps: Callable[[int], int]
    baseline: Callable[[int], float]


class Run(NamedTuple):
    """One training run; ``gates`` is "default" or "chrono", no ``clip`` is None.

    With ``decay`` the learning rate falls linearly to 0 at ``max_steps``.  With
    ``warm_up`` sequences of that length come first, until they are solved.
    """

    task: str
    length: int
    cell: str
    gates: str
    clip: float | None
    seed: int
    learning_rate: float
    max_steps: int
    hidden_size: int = 64
    batch_size: int = 32
    decay: bool = False
    eval_every: int = 100
    warm_up: int | None = None


class Case(NamedTuple):
    """One line of the study at initialisation; ``gain`` multiplies ``w_hh``."""

    label: str
    cell: str
    gain: float = 1.0
    forget_bias: float = 1.0
    gates: str = "default"


class Study(NamedTuple):
    """All that is computed: ``lags`` and ``seeds`` are of the gradients."""

    cases: tuple[Case, ...]
    runs: tuple[Run, ...]
    lags: int = 300
    stride: int = 3
    seeds: int = 10
    hidden_size: int = 64
    batch_size: int = 32


def make_adding(key: Array, length: int, batch_size: int) -> tuple[Array, Array]:
    """The adding task: the sum of the two numbers that are marked.

    Args:
      key: for the numbers and the marks.
      length: ``T``.
      batch_size: ``B``.

    Returns:
      ``xs [T, B, 2]``: numbers from U(0, 1), and marks: a 1 somewhere in each
      half, else 0.  The targets ``[B]``.
    """
    key_numbers, key_first, key_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(key_numbers, (length, batch_size))
    first = jax.random.randint(key_first, (batch_size,), 0, length // 2)
    second = jax.random.randint(key_second, (batch_size,), length // 2, length)
    steps = jnp.arange(length)[:, None]
    marks = ((steps == first) | (steps == second)).astype(numbers.dtype)
    return jnp.stack([numbers, marks], axis=-1), (numbers * marks).sum(axis=0)


def make_copy(key: Array, length: int, batch_size: int) -> tuple[Array, Array]:
    """The copy task: ten symbols, a long blank, a delimiter, the symbols again.

    Args:
      key: for the symbols.
      length: the steps from the last symbol to the first that is recalled.
      batch_size: ``B``.

    Returns:
      ``xs [length + 20, B, 10]``, one-hot; the symbols ``[10, B]``.
    """
    symbols = jax.random.randint(key, (NUM_RECALLED, batch_size), 0, NUM_SYMBOLS)
    xs = jnp.full((length + 2 * NUM_RECALLED, batch_size), BLANK)
    xs = xs.at[:NUM_RECALLED].set(symbols)
    xs = xs.at[length + NUM_RECALLED - 1].set(DELIMITER)
    return jax.nn.one_hot(xs, NUM_SYMBOLS + 2), symbols


def measure_adding(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """The squared error of the last step, and a recall of 1."""
    return jnp.mean((outputs[-1, :, 0] - targets) ** 2), jnp.ones(())


def measure_copy(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """Cross-entropy (nats a step) against blanks and then the symbols; recall."""
    labels = jnp.full(outputs.shape[:2], BLANK).at[-NUM_RECALLED:].set(targets)
    loss = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
    recalled = outputs[-NUM_RECALLED:].argmax(axis=-1) == targets
    return loss.mean(), recalled.mean()


TASKS = {
    "adding": Task(
        make_adding,
        measure_adding,
        input_size=2,
        output_size=1,
        num_steps=lambda length: length,
        # Twice the variance of U(0, 1): the loss of always answering 1.
        baseline=lambda length: 1 / 6,
    ),
    "copy": Task(
        make_copy,
        measure_copy,
        input_size=NUM_SYMBOLS + 2,
        output_size=NUM_SYMBOLS + 1,
        num_steps=lambda length: length + 2 * NUM_RECALLED,
        # Blanks for certain, then a guess among the symbols.
        baseline=lambda length: (
            NUM_RECALLED * float(np.log(NUM_SYMBOLS)) / (length + 2 * NUM_RECALLED)
        ),
    ),
}


def chrono_biases(key: Array, cell: str, params: Params, num_steps: int) -> Params:
    """Set the gate biases so that units forget after 1 to ``num_steps`` steps.

    Args:
      key: for the times.
      cell: "lstm" or "gru"; the simple network has no gates and stays as it is.
      params: of the cell.
      num_steps: the longest time to remember, at least 3.

    Returns:
      New params: forget bias log U(1, T - 1) and input bias its negative
      (lstm), or update bias log U(1, T - 1) (gru, whose update gate keeps).

    Source: Tallec & Ollivier (2018).
    """
    if cell == "rnn":
        return params
    size = params["w_hh"].shape[0]
    times = jax.random.uniform(key, (size,), minval=1.0, maxval=num_steps - 1.0)
    # Both the lstm's forget gate and the gru's update gate are the second block.
    bias = params["b"].at[size : 2 * size].set(jnp.log(times))
    if cell == "lstm":
        bias = bias.at[:size].set(-jnp.log(times))
    return params | {"b": bias}


def input_gradients(
    cell: Cell, params: Params, readout: Array, xs: Array, targets: Array
) -> Array:
    """The gradient of the last step's squared error with respect to the inputs.

    Args:
      cell: the cell.
      params: its parameters.
      readout: ``[H]``; the prediction is ``ys[-1] @ readout``.
      xs: ``[T, B, D]``.
      targets: ``[B]``.

    Returns:
      ``[T, B, D]``; each sequence has its own loss and so its own gradient.
    """

    def loss(xs: Array) -> Array:
        """The sum over the batch: no sequence touches another's loss."""
        _, ys = unroll(cell, params, xs)
        return jnp.sum((ys[-1] @ readout - targets) ** 2)

    return jax.grad(loss)(xs)


def norms_by_lag(gradients: Array) -> np.ndarray:
    """Norm over the features, root mean square over the batch, the last step first.

    >>> norms_by_lag(jnp.array([[[1e-30, 0.0]], [[3.0, 4.0]]])).tolist()[0]
    5.0
    """
    # In float64, since the square of 1e-30 is 0 in float32.
    squares = np.sum(np.asarray(gradients, np.float64) ** 2, axis=-1)
    return np.sqrt(squares.mean(axis=1))[::-1]


@partial(jax.jit, static_argnums=(0, 1))
def case_gradients(study: Study, case: Case, seed: int) -> Array:
    """The gradients ``[lags + 1, B, D]`` of one seed, on the adding task."""
    cell = _case_cell(case, study.hidden_size)
    keys = jax.random.split(jax.random.key(seed), 4)
    params = cell.init(keys[0], TASKS["adding"].input_size)
    params["w_hh"] = case.gain * params["w_hh"]
    if case.gates == "chrono":
        params = chrono_biases(keys[1], case.cell, params, study.lags)
    readout = jax.random.normal(keys[2], (study.hidden_size,))
    xs, targets = make_adding(keys[3], study.lags + 1, study.batch_size)
    readout /= study.hidden_size**0.5
    return input_gradients(cell, params, readout, xs, targets)


def study_case(study: Study, case: Case) -> dict[str, Any]:
    """The lower quartile, median and upper quartile over the seeds, by lag."""
    norms = [norms_by_lag(case_gradients(study, case, s)) for s in range(study.seeds)]
    rows = np.quantile(np.stack(norms), (0.25, 0.5, 0.75), axis=0)
    low, median, high = [_round(row[:: study.stride]) for row in rows]
    return {"lower_quartile": low, "median": median, "upper_quartile": high}


def _case_cell(case: Case, hidden_size: int) -> Cell:
    if case.cell == "lstm":
        return lstm(hidden_size, forget_bias=case.forget_bias)
    return CELLS[case.cell](hidden_size)


def init_params(run: Run, key: Array) -> Params:
    """Parameters of the cell and of a linear readout of every step."""
    task = TASKS[run.task]
    key_cell, key_gates, key_readout = jax.random.split(key, 3)
    cell = CELLS[run.cell](run.hidden_size).init(key_cell, task.input_size)
    if run.gates == "chrono":
        steps = task.num_steps(run.length)
        cell = chrono_biases(key_gates, run.cell, cell, steps)
    shape = (run.hidden_size, task.output_size)
    readout = jax.random.normal(key_readout, shape) / run.hidden_size**0.5
    return {"cell": cell, "readout": readout, "bias": jnp.zeros(task.output_size)}


def measure(run: Run, params: Params, key: Array) -> tuple[Array, Array]:
    """Loss over the baseline's, and recall, on a batch drawn from ``key``."""
    task = TASKS[run.task]
    xs, targets = task.make(key, run.length, run.batch_size)
    _, ys = unroll(CELLS[run.cell](run.hidden_size), params["cell"], xs)
    outputs = ys @ params["readout"] + params["bias"]
    loss, recall = task.measure(outputs, targets)
    return loss / task.baseline(run.length), recall


def make_optimizer(run: Run) -> optax.GradientTransformation:
    """Adam, after clipping by the global norm where the run clips."""
    rate = optax.linear_schedule(run.learning_rate, 0.0, run.max_steps)
    adam = optax.adam(rate if run.decay else run.learning_rate)
    if run.clip is None:
        return adam
    return optax.chain(optax.clip_by_global_norm(run.clip), adam)


@partial(jax.jit, static_argnums=0)
def train_steps(run: Run, state: Any, key: Array) -> tuple[Any, Array]:
    """Take ``eval_every`` steps, each on a new batch; the gradients' norms."""

    def step(state: Any, key: Array) -> tuple[Any, Array]:
        """One step of the optimizer."""
        params, moments = state
        grads, _ = jax.grad(partial(measure, run), has_aux=True)(params, key)
        updates, moments = make_optimizer(run).update(grads, moments)
        params = optax.apply_updates(params, updates)
        return (params, moments), optax.tree.norm(grads)

    return jax.lax.scan(step, state, jax.random.split(key, run.eval_every))


@partial(jax.jit, static_argnums=0)
def evaluate(run: Run, params: Params, key: Array) -> tuple[Array, Array]:
    """Mean loss over the baseline's, and recall, on fresh sequences."""
    keys = jax.random.split(key, EVAL_BATCHES)
    losses, recalls = jax.lax.map(partial(measure, run, params), keys)
    return losses.mean(), recalls.mean()


def train(run: Run) -> dict[str, Any]:
    """Train until the task is solved, the loss is not finite or steps run out.

    Args:
      run: the settings.

    Returns:
      ``outcome`` ("solved", "not solved" or "diverged"; "not reached" where the
      warm-up did not come to its end), ``steps`` and ``seconds`` with those of the
      warm-up, the last ``loss`` and ``recall``, and ``curve``: rows of step, loss
      over the baseline's, recall, and the median and largest norm of the gradient
      (before clipping) since the row before.  Scores are of ``length``, or of the
      warm-up where nothing else was reached.
    """
    started = time.perf_counter()
    key_init, key_train, key_eval = jax.random.split(jax.random.key(run.seed), 3)
    params = init_params(run, key_init)
    state = params, make_optimizer(run).init(params)
    # One compiled program for all seeds.
    stages = [run._replace(seed=0, length=x) for x in (run.warm_up, run.length) if x]
    rows, outcome = [], "not solved"
    for step in range(0, run.max_steps, run.eval_every):
        stage = stages[0]
        state, norms = train_steps(stage, state, jax.random.fold_in(key_train, step))
        scores = evaluate(stage, state[0], jax.random.fold_in(key_eval, step))
        norms = jnp.median(norms), jnp.max(norms)
        curve_row = [step + run.eval_every, *_round([*scores, *norms])]
        rows.append((stage.length, curve_row))
        outcome = judge(*curve_row[1:3])
        if outcome == "solved" and len(stages) > 1:
            del stages[0]
        elif outcome != "not solved":
            break
    return _summarize(run, outcome, rows) | {
        "seconds": round(time.perf_counter() - started, 1)
    }


def judge(ratio: float, recall: float) -> str:
    """What one evaluation says of a run.

    >>> judge(0.05, 1.0), judge(0.05, 0.9), judge(float("nan"), 0.1)
    ('solved', 'not solved', 'diverged')
    """
    if not np.isfinite(ratio):
        return "diverged"
    solved = ratio < SOLVED_RATIO and recall > SOLVED_RECALL
    return "solved" if solved else "not solved"


def _summarize(
    run: Run, outcome: str, rows: list[tuple[int, list[float]]]
) -> dict[str, Any]:
    """Of the last length that was learned, which may be that of the warm-up."""
    reached = rows[-1][0]
    curve = [row for length, row in rows if length == reached]
    step, ratio, recall = curve[-1][:3]
    loss = ratio * TASKS[run.task].baseline(reached)
    summary = {"outcome": outcome, "steps": step, "loss": _round([loss])[0]}
    if reached != run.length:
        summary["outcome"] = "not reached"
    return summary | {"ratio": ratio, "recall": recall, "curve": curve}


def _round(values: Iterable[Any]) -> list[float]:
    return [float(f"{float(v):.3g}") for v in values]


CASES = (
    Case("gain 0.5", "rnn", gain=0.5),
    Case("gain 1 (default)", "rnn"),
    Case("gain 1.5", "rnn", gain=1.5),
    Case("gain 2", "rnn", gain=2.0),
    Case("lstm, forget bias 0", "lstm", forget_bias=0.0),
    Case("lstm, forget bias 1 (default)", "lstm"),
    Case("lstm, forget bias 5", "lstm", forget_bias=5.0),
    Case("lstm, chrono", "lstm", gates="chrono"),
    Case("gru (default)", "gru"),
    Case("gru, chrono", "gru", gates="chrono"),
)


# For gated cells half and twice the rate learned the copy task more slowly.  For the
# rnn see rate_runs: no rate solves even the shortest task.
RATES = {"rnn": 1e-3, "gru": 1e-2, "lstm": 1e-2}
ADDING_STEPS = {100: 4000, 300: 3000, 1000: 1500}
COPY_STEPS = {100: 8000, 300: 5000, 1000: 3000}
# From the weights that recall over 100 steps, 300 and 1000 are near; from random ones
# the lstm recalled a quarter over 1000 in 3000 steps.
COPY_WARM_UP = 100


def adding_runs() -> list[Run]:
    """Three seeds with and without clipping, at length 1000 one."""
    return [
        _make_run("adding", ADDING_STEPS, seed, length, cell, gates, clip)
        for length in ADDING_STEPS
        for gates, clip in (("chrono", 1.0), ("chrono", None), ("default", 1.0))
        for cell in RATES
        if (cell, gates) != ("rnn", "default")  # it has no gates
        for seed in range(1 if gates == "default" or length == 1000 else 3)
    ]


def rate_runs() -> list[Run]:
    """Other learning rates for the simple network: it is not a bad rate that fails."""
    run = _make_run("adding", ADDING_STEPS, 0, 100, "rnn", "default", 1.0)
    return [run._replace(learning_rate=rate) for rate in (1e-4, 3e-4, 3e-3, 1e-2)]


def copy_runs() -> list[Run]:
    """One seed, with clipping, and at the shortest length also without."""
    return [
        _copy_run(length, cell, clip)
        for clip in (1.0, None)
        for length in COPY_STEPS
        for cell in RATES
        if clip or length == COPY_WARM_UP
    ]


def _copy_run(length: int, cell: str, clip: float | None) -> Run:
    """A run; the simple network, which never solves the warm-up, goes without."""
    run = _make_run("copy", COPY_STEPS, 0, length, cell, "chrono", clip)
    run = run._replace(hidden_size=256, decay=True)
    if cell == "rnn" or length == COPY_WARM_UP:
        return run
    return run._replace(warm_up=COPY_WARM_UP, max_steps=COPY_STEPS[COPY_WARM_UP])


def _make_run(
    task: str,
    max_steps: dict[int, int],
    seed: int,
    length: int,
    cell: str,
    gates: str,
    clip: float | None,
) -> Run:
    """A run; the simple network has no gates, so its biases are the default."""
    gates = "default" if cell == "rnn" else gates
    return Run(task, length, cell, gates, clip, seed, RATES[cell], max_steps[length])


def full_study() -> Study:
    """What ``results/vanishing.json`` holds."""
    return Study(CASES, (*adding_runs(), *rate_runs(), *copy_runs()))


def quick_study() -> Study:
    """Every part of the study, so small that it takes seconds and shows nothing."""
    tiny = {"max_steps": 4, "eval_every": 2, "hidden_size": 4, "batch_size": 2}
    runs = (*adding_runs()[3:5], copy_runs()[0], copy_runs()[4])
    tiny_runs = tuple(run._replace(length=10, **tiny) for run in runs)
    tiny_runs = tuple(r._replace(warm_up=r.warm_up and 5) for r in tiny_runs)
    sizes = {"lags": 20, "stride": 2, "seeds": 2, "hidden_size": 4, "batch_size": 2}
    return Study(CASES[1::4], tiny_runs, **sizes)


def drive(study: Study, workdir: Path) -> dict[str, Any]:
    """Compute what ``workdir`` does not hold yet; the results as one object."""
    workdir.mkdir(parents=True, exist_ok=True)
    log = workdir / "records.jsonl"
    settings = _settings(study)
    for case in study.cases:
        key = {"case": case._asdict(), "settings": settings}
        _once(log, key, partial(study_case, study, case))
    for run in study.runs:
        _once(log, {"run": run._asdict()}, partial(train, run))
    return collect(study, _read(log))


def collect(study: Study, records: list[dict[str, Any]]) -> dict[str, Any]:
    """The study's records, in its order, below its settings and versions."""
    cases = [case._asdict() for case in study.cases]
    runs = [run._asdict() for run in study.runs]
    return {
        "settings": _settings(study)
        | {"solved_ratio": SOLVED_RATIO, "solved_recall": SOLVED_RECALL}
        | {"evaluation_batches": EVAL_BATCHES},
        "versions": {
            "lstm_jax": __version__,
            "jax": jax.__version__,
            "optax": optax.__version__,
            "python": platform.python_version(),
        },
        "gradients": _in_order(records, "case", cases),
        "runs": _in_order(records, "run", runs),
    }


def _settings(study: Study) -> dict[str, int]:
    names = ("lags", "stride", "seeds", "hidden_size", "batch_size")
    return {name: getattr(study, name) for name in names}


def _in_order(
    records: list[dict[str, Any]], kind: str, wanted: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """``kind`` and result of the wanted records in one flat object each."""
    found = [r for w in wanted for r in records if r["key"].get(kind) == w]
    return [r["key"][kind] | r["result"] for r in found]


def _once(log: Path, key: dict[str, Any], compute: Callable[[], dict]) -> None:
    """Append what ``compute`` gives, unless the log has it from an earlier start."""
    if any(record["key"] == key for record in _read(log)):
        return
    result = compute()
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": key, "result": result}) + "\n")
    shown = {k: v for k, v in result.items() if not isinstance(v, list)}
    print(json.dumps(key), json.dumps(shown), flush=True)


def _read(log: Path) -> list[dict[str, Any]]:
    """The whole lines: the last may have been cut off when the study was killed."""
    if not log.exists():
        return []
    text = log.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        log.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    return [_complete(json.loads(line)) for line in whole.splitlines()]


def _complete(record: dict[str, Any]) -> dict[str, Any]:
    """With the settings that ``Run`` did not have yet when it was written."""
    if run := record["key"].get("run"):
        record["key"]["run"] = Run(**run)._asdict()
    return record


def write_json(results: dict[str, Any], path: Path) -> None:
    """One record a line: a curve spread over hundreds of lines reads worse."""
    parts = []
    for name, value in results.items():
        lines = json.dumps(value)
        if isinstance(value, list):
            lines = "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]"
        parts.append(f"{json.dumps(name)}: {lines}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def draw_gradients(results: dict[str, Any]) -> Figure:
    """Gradient norms over lags: the simple network left, the gated cells right."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    simple = [c for c in results["gradients"] if c["cell"] == "rnn"]
    gated = [c for c in results["gradients"] if c["cell"] != "rnn"]
    _draw_cases(axes[0], simple, results["settings"], "rnn: recurrent gain")
    _draw_cases(axes[1], gated, results["settings"], "lstm and gru: gate biases")
    axes[0].set_ylabel("Norm of the loss's gradient\nwith respect to the input")
    axes[0].set_yscale("log")
    axes[0].set_ylim(1e-20, 1e20)
    figure.supxlabel("Steps between the input and the loss", fontsize=13)
    return figure


def draw_tasks(results: dict[str, Any]) -> Figure:
    """Loss over training steps: a row a task, a column a length."""
    lengths = sorted({run["length"] for run in results["runs"]})
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    grid = figure.subplots(2, len(lengths), sharex=True, sharey=True, squeeze=False)
    for row, task in zip(grid, TASKS, strict=True):
        for axes, length in zip(row, lengths, strict=True):
            runs = [
                run
                for run in results["runs"]
                if (run["task"], run["length"]) == (task, length)
                and run["outcome"] != "not reached"
            ]
            _draw_runs(axes, runs, f"{task}, T = {length:,}")
    grid[0, 0].set_xscale("log")
    grid[0, 0].set_yscale("log")
    grid[0, 0].set_ylim(0.005, 3)
    # Plain numbers; the default of a log axis, powers of ten, reads worse here.
    grid[0, 0].xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    grid[0, 0].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    figure.supylabel("Loss / loss without memory", fontsize=13)
    figure.supxlabel("Training steps", fontsize=13)
    _add_legend(figure)
    return figure


_CELL_STYLES = {
    ("rnn", "default"): (BLACK, "s"),
    ("gru", "chrono"): (VERMILLION, "^"),
    ("lstm", "chrono"): (BLUE, "o"),
    ("gru", "default"): (ORANGE, "^"),
    ("lstm", "default"): (GREEN, "o"),
}


def _draw_runs(axes: Axes, runs: list[dict[str, Any]], title: str) -> None:
    """A line a run; a marker where it ended, filled if the task was solved."""
    axes.axhspan(1e-9, SOLVED_RATIO, color="#E5E5E5", linewidth=0)
    axes.axhline(1.0, color=GREY, linewidth=1, linestyle=":")
    for run in runs:
        color, marker = _CELL_STYLES[run["cell"], run["gates"]]
        steps, ratios = list(zip(*run["curve"], strict=True))[:2]
        line = "--" if run["clip"] is None else "-"
        axes.plot(steps, ratios, line, color=color, linewidth=1.4, alpha=0.85)
        axes.plot(
            steps[-1:],
            ratios[-1:],
            marker,
            color=color,
            markerfacecolor=color if run["outcome"] == "solved" else "white",
            zorder=3,
        )
    if not runs:
        axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center")
    _dress(axes, title)


def _add_legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], color=color, marker=marker, label=_name_of(*key))
        for key, (color, marker) in _CELL_STYLES.items()
    ]
    handles += [
        Line2D([], [], color=GREY, linestyle="-", label="clipped at norm 1"),
        Line2D([], [], color=GREY, linestyle="--", label="not clipped"),
        Line2D([], [], color=GREY, marker="o", linestyle="", label="solved"),
        Line2D(
            [],
            [],
            color=GREY,
            marker="o",
            linestyle="",
            label="not solved",
            markerfacecolor="white",
        ),
    ]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=3, fontsize=11, frameon=False
    )


def _name_of(cell: str, gates: str) -> str:
    return cell if cell == "rnn" else f"{cell}, {gates} biases"


_CASE_STYLES = {
    "gain 0.5": (BLUE, "-"),
    "gain 1 (default)": (BLACK, "-"),
    "gain 1.5": (ORANGE, "--"),
    "gain 2": (VERMILLION, "-."),
    "lstm, forget bias 0": (BLUE, ":"),
    "lstm, forget bias 1 (default)": (BLUE, "-"),
    "lstm, forget bias 5": (BLUE, "--"),
    "lstm, chrono": (BLUE, "-."),
    "gru (default)": (VERMILLION, "-"),
    "gru, chrono": (VERMILLION, "-."),
}


def _draw_cases(
    axes: Axes, cases: list[dict[str, Any]], settings: dict[str, Any], title: str
) -> None:
    lags = np.arange(0, settings["lags"] + 1, settings["stride"])
    for case in cases:
        color, line = _CASE_STYLES[case["label"]]
        # What underflowed to 0 leaves the picture at the bottom, as the rest does.
        low, median, high = (
            np.maximum(case[k], 1e-40)
            for k in ("lower_quartile", "median", "upper_quartile")
        )
        axes.plot(lags, median, line, color=color, linewidth=2, label=case["label"])
        axes.fill_between(lags, low, high, color=color, alpha=0.2, linewidth=0)
    _dress(axes, title)
    axes.legend(loc="upper left", fontsize=10, frameon=False)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=13)
    axes.yaxis.label.set_fontsize(12)
    axes.tick_params(labelsize=11)
    axes.grid(color="#DDDDDD")
    axes.spines[["top", "right"]].set_visible(False)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workdir", type=Path, default=Path("runs/vanishing"))
    parser.add_argument(
        "--output", type=Path, default=ROOT / "results" / "vanishing.json"
    )
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--quick", action="store_true", help="everything, tiny")
    parser.add_argument("--draw-only", action="store_true", help="from --output")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> None:
    """Run or resume the study, write its results, and draw them."""
    if not arguments.draw_only:
        study = quick_study() if arguments.quick else full_study()
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        write_json(drive(study, arguments.workdir), arguments.output)
    results = json.loads(arguments.output.read_text(encoding="utf-8"))
    draw(results, arguments.images)


def draw(results: dict[str, Any], folder: Path) -> None:
    """Write the two pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"vanishing": draw_gradients, "long_tasks": draw_tasks}
    for name, make in pictures.items():
        figure = make(results)
        FigureCanvasAgg(figure)
        figure.savefig(folder / f"{name}.png", dpi=220, facecolor="white")


if __name__ == "__main__":
    main(parse_arguments())
