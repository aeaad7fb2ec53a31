"""Who is timed, how each is started, and the tables of what came out."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def step(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("step")


@pytest.fixture
def speed_table(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("speed_table")


def test_only_ours_gets_a_device_a_core_and_only_a_plain_start_gets_nothing(
    step, monkeypatch
):
    for name in ("XLA_FLAGS", *step.host_settings({}, 2)):
        monkeypatch.delenv(name, raising=False)
    ours = step.Entrant("ours, fused", "tuned").environ()
    flagged = step.Entrant("ours, fused", "wide vectors").environ()
    peer = step.Entrant("keras jax", "tuned").environ()
    plain = step.Entrant("torch", "plain").environ()
    assert "device_count" in ours["XLA_FLAGS"]
    width = "--xla_cpu_prefer_vector_width=512"
    assert flagged["XLA_FLAGS"] == f"{width} {ours['XLA_FLAGS']}"
    monkeypatch.setenv("XLA_FLAGS", "--own")
    both = step.Entrant("ours, fused", "wide vectors").environ()
    assert both["XLA_FLAGS"] == f"--own {flagged['XLA_FLAGS']}"
    assert "XLA_FLAGS" not in peer and peer["MALLOC_MMAP_MAX_"] == "0"
    assert peer["KERAS_BACKEND"] == "jax"
    assert "XLA_FLAGS" not in plain and "MALLOC_MMAP_MAX_" not in plain


def test_libraries_without_lengths_or_bfloat16_are_left_out_there(step):
    whole, ragged, half = step.CASES[0], step.CASES[4], step.CASES[7]
    libraries = ("ours, fused", "haiku", "torch")
    assert [x.library for x in step.pick(whole, libraries, "plain")] == [*libraries]
    for case in (ragged, half):
        assert [x.library for x in step.pick(case, libraries, "tuned")] == [
            "ours, fused",
            "torch",
        ]


def test_a_case_joins_those_of_other_days(step, monkeypatch, tmp_path):
    monkeypatch.setattr(step, "OUTPUT", tmp_path / "speed")
    monkeypatch.setattr(step, "_machine", lambda: {"cores": 3})
    for case, rows in ((0, [{"a": 1}]), (1, [{"b": 2}]), (0, [{"c": 3}])):
        step.save("step", step.CASES[case], rows)
    assert json.loads((tmp_path / "speed" / "step.json").read_text()) == {
        step.CASES[0].name: {"machine": {"cores": 3}, "rows": [{"c": 3}]},
        step.CASES[1].name: {"machine": {"cores": 3}, "rows": [{"b": 2}]},
    }


def row(library, start, train, infer=1.0):
    names = ("library", "start", "train_ms", "infer_ms", "gigaflops_per_second")
    return dict(zip(names, (library, start, train, infer, 1000 / train), strict=True))


def test_tables_hold_cells_shares_of_the_product_and_the_best_in_bold(speed_table):
    machine = {"largest_product_gigaflops_per_second": 200.0}
    first = [row("ours", "tuned", 10.0), row("torch", "tuned", 12.5, 0.5)]
    cases = {
        "B1 T2 D3 H4": {"machine": machine, "rows": [*first, row("torch", "plain", 9)]},
        "B1 T2 D3 H4 ragged": {"machine": machine, "rows": first[:1]},
        "B9 T2 D3 H4": {"machine": {}, "rows": first[:1]},
    }
    training, forward, ragged, _, shares = speed_table.make_step(cases).split("\n\n")
    assert training.splitlines()[2:] == [
        "| ours, tuned | 10.0 | **10.0** |",
        "| torch, tuned | 12.5 | not run |",
        "| torch, plain | **9.0** | not run |",
    ]
    assert forward.splitlines()[3] == "| torch, tuned | **0.5** | not run |"
    assert shares.splitlines()[2:] == [
        "| ours | 50% |",
        "| torch | 40% |",
        "| the product, 10⁹ operations a second | 200 |",
    ]
    assert ragged.splitlines()[0] == "| training step, ms | B1 T2 D3 H4 ragged |"
    assert ragged.splitlines()[2:] == ["| ours, tuned | **10.0** |"]


def test_what_was_not_measured_has_no_table(speed_table, monkeypatch, tmp_path):
    monkeypatch.setattr(speed_table, "FOLDER", tmp_path)
    assert speed_table.tables() == {}
    case = {"machine": {}, "rows": [row("ours", "tuned", 10.0)]}
    (tmp_path / "flags.json").write_text(json.dumps({"B1 T2 D3 H4": case}))
    (table,) = speed_table.tables().values()
    assert table.splitlines()[2:] == ["| ours, tuned | **10.0** |"]


def test_the_short_table_names_the_best_of_the_others(speed_table):
    rows = [
        row("ours, fused", "tuned", 10.0, 3.0),
        row("ours, scan", "tuned", 7.0, 1.5),
        row("a", "tuned", 12.0, 4.0),
        row("a", "plain", 9.0, 5.0),
        row("b", "tuned", 20.0, 2.0),
        row("torch", "tuned", 8.0, 6.0),
    ]
    table = speed_table.make_short({"B1 T2 D3 H4": {"rows": rows}})
    assert table.splitlines()[2] == (
        "| B1 T2 D3 H4 | 10.0 | **8.0** | 9.0 a | 3.0 | 6.0 | **2.0 b** |"
    )


def test_the_job_table_knows_the_seconds_of_an_epoch(speed_table):
    def result(seconds_to, *turns):
        turns = [[{"seconds": end} for end in ends] for ends in turns]
        return {
            "seconds_to": {"85%": seconds_to},
            "best_accuracy": 0.861,
            "turns": turns,
        }

    table = speed_table.make_job(
        {
            "slow": result([None, None], [20.0, 24.0, 31.0], [10.0, 15.0]),
            "fast": result([9.0, 4.2], [9.0], [4.2]),
        }
    )
    assert table.splitlines()[2:] == [
        "| slow | never | 5.0 | 86.1 % |",
        "| fast | 9, 4 | one epoch only | 86.1 % |",
    ]


def test_the_gpu_table_has_a_row_for_each_case(speed_table):
    rows = [
        {"library": "ours", "train_ms": 3.456, "infer_ms": 1.0},
        {"library": "other", "failed": "for a reason"},
        {"library": "torch", "train_ms": 12.34, "infer_ms": 0.5},
    ]
    cases = {"B1": {"rows": rows}, "B2": {"rows": rows[:1]}}
    assert speed_table.MAKE["gpu-training"][1](cases).splitlines() == [
        "| training step, ms | ours | other | torch |",
        "|---|---|---|---|",
        "| B1 | **3.46** |  | 12.3 |",
        "| B2 | **3.46** |  |  |",
    ]
    forward = speed_table.MAKE["gpu-forward"][1](cases).splitlines()
    assert forward[2] == "| B1 | 1.00 |  | **0.50** |"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def said(library, *logits):
    return {"library": library, "logits": np.array(logits), "first_logits": [*logits]}


def test_logits_are_compared_with_the_first_and_with_those_of_another_process(
    gpu, tmp_path
):
    case, file = gpu.CASES[0], tmp_path / "gpu.json"
    assert gpu.known_logits(file, case) == []
    failed = {"library": "a", "failed": "x"}
    rows = [failed, said("b", 1.0, 2.0), said("c", 2.0, 1.0), said("d", 1.001, 2.0)]
    gpu.check_equal(case, rows, known=[])
    assert ["failed" in row for row in rows] == [True, False, True, False]
    known = {"library": "b", "first_logits": [1.0, 2.0]}
    gpu.save(file, case, [failed, known])
    torch = [said("torch", 1.0, 2.1)]
    gpu.check_equal(case, torch, gpu.known_logits(file, case))
    assert "0.045" in torch[0]["failed"]
    gpu.save(file, case, [known | {"first_logits": [3.0]}])
    rows = json.loads(file.read_text())[case.name]["rows"]
    assert [row["library"] for row in rows] == ["a", "b"]


def test_what_failed_is_not_timed(gpu):
    (row,) = gpu.time_case(gpu.CASES[0], [said("b", 1.0) | {"failed": "why"}])
    assert row == {"library": "b", "failed": "why", "first_logits": [1.0]}


def test_a_library_that_cannot_is_told_with_its_reason(gpu, monkeypatch):
    def fail(*inputs):
        raise RuntimeError("no\n  such thing")

    peers = importlib.import_module("speed.jax_peers")
    monkeypatch.setattr(peers, "make_programs", fail)
    monkeypatch.setattr(gpu, "_machine", dict)
    row = gpu.prepare("ours, fused", gpu.CASES[0], None)
    expected = {"library": "ours, fused", "machine": {}, "failed": "no such thing"}
    assert row == expected


def test_the_scaling_table_has_a_column_for_each_size(speed_table):
    def point(field, size, ms):
        return {field: size, "milliseconds": ms, "temporary_megabytes": 10 * ms}

    whole = [point("steps", 100, 5.25), point("steps", 4000, 123.4)]
    chunks = [point("steps", 100, 6.0), point("steps", 4000, 150.0)]
    table = speed_table.make_scaling(
        {"steps": whole, "steps, chunks": chunks, "batch": [point("batch", 8, 1.0)]}
    )
    assert table.splitlines() == [
        "| steps | 100 | 4,000 |",
        "|---|---|---|",
        "| ms | 5.2 | 123 |",
        "| MB | 52.5 | 1,234 |",
        "| ms, chunks | 6.0 | 150 |",
        "| MB, chunks | 60.0 | 1,500 |",
        "",
        "| batch | 8 |",
        "|---|---|",
        "| ms | 1.0 |",
        "| MB | 10.0 |",
    ]
