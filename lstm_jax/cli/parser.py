"""The flags of ``lstm-jax``; only the standard library is imported."""

import argparse
from typing import Any, NoReturn

from lstm_jax.version import __version__

_MODEL = "--workdir runs/lstm"
_AVERAGED = "; of several, each with its flag, the probabilities are averaged"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"error: {' '.join(message.split())}; see {self.prog} --help\n")


def make_parser() -> Parser:
    """All subcommands."""
    parser = Parser(
        prog="lstm-jax",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Use a model that train.py has trained.",
        epilog=f"example:\n  lstm-jax predict {_MODEL} 'A film I will not forget.'",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--no-prepare-host",
        action="store_false",
        dest="prepare_host",
        help="on CPU: do not restart with one device a core and a fit allocator",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
    )
    for add in (_predict, _evaluate, _explain, _export, _report, _serve, _generate):
        add(commands)
    return parser


def _command(commands: Any, name: str, what: str, example: str) -> Parser:
    return commands.add_parser(
        name,
        help=what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example:\n  lstm-jax {name} {example}",
    )


def _add_model(parser: Parser, several: str = "") -> None:
    """Where the model is; ``several`` says what becomes of more than one."""
    model = parser.add_mutually_exclusive_group(required=True)
    flags = {
        "--workdir": ("DIR", "the folder of a run"),
        "--model": ("FILE", "what lstm-jax export wrote"),
    }
    for flag, (metavar, what) in flags.items():
        # Also where one is used: of two, none should be passed over in silence.
        model.add_argument(flag, metavar=metavar, action="append", help=what + several)


def _add_workdir(parser: Parser) -> None:
    parser.add_argument(
        "--workdir", metavar="DIR", required=True, help="the folder of a run"
    )


def _predict(commands: Any) -> None:
    example = f"{_MODEL} --file reviews.csv --format csv > judged.csv"
    parser = _command(commands, "predict", "classify texts", example)
    _add_model(parser, _AVERAGED)
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="none, or -: one a line from stdin",
    )
    parser.add_argument(
        "--file",
        metavar="FILE",
        help=".csv, .tsv, .jsonl or .ndjson; .txt: a text a line",
    )
    parser.add_argument("--text-column", metavar="NAME", default="text")
    parser.add_argument(
        "--format",
        choices=("text", "json", "csv"),
        default="text",
        help="json has an object a line",
    )


def _evaluate(commands: Any) -> None:
    example = f"{_MODEL} --data reviews.tsv"
    parser = _command(commands, "evaluate", "judge a model by labelled texts", example)
    _add_model(parser, _AVERAGED)
    parser.add_argument(
        "--data", metavar="FILE", required=True, help=".csv, .tsv, .jsonl or .ndjson"
    )
    parser.add_argument("--text-column", metavar="NAME", default="text")
    parser.add_argument("--label-column", metavar="NAME", default="label")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def _explain(commands: Any) -> None:
    example = f"{_MODEL} 'Not bad at all.' --html why.html"
    parser = _command(commands, "explain", "show what each word does", example)
    _add_model(parser)
    parser.add_argument("text", metavar="TEXT", help="- reads it from stdin")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--html", metavar="FILE", help="write a page too, with the gates"
    )


def _export(commands: Any) -> None:
    example = f"{_MODEL} --output model.zip"
    parser = _command(
        commands, "export", "write a model to one file, for use without Flax", example
    )
    _add_workdir(parser)
    parser.add_argument("--output", metavar="FILE", required=True)
    parser.add_argument("--format", choices=("stablehlo", "onnx"), default="stablehlo")


def _report(commands: Any) -> None:
    parser = _command(commands, "report", "write report.html again", _MODEL)
    _add_workdir(parser)


def _serve(commands: Any) -> None:
    example = f"{_MODEL} --port 8000"
    parser = _command(
        commands, "serve", "show a page, and answer JSON, on this machine", example
    )
    _add_model(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="default: this machine alone is answered"
    )
    parser.add_argument("--port", type=_port, default=8000, help="0: any free one")


def _generate(commands: Any) -> None:
    example = "--workdir runs/lm --prompt 'This film is' --temperature 0.7"
    parser = _command(commands, "generate", "write text with a language model", example)
    _add_workdir(parser)
    parser.add_argument("--prompt", metavar="TEXT", default="")
    parser.add_argument("--length", metavar="N", type=_count, default=100)
    parser.add_argument("--temperature", metavar="X", type=_amount, default=0.8)
    parser.add_argument("--count", metavar="N", type=_count, default=1)
    parser.add_argument("--seed", metavar="N", type=_count, default=0)


def _count(text: str) -> int:
    """A whole number, of what a program can hold."""
    if not (text.isdecimal() and int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"expected 0 to 1000000, got {text!r}")
    return int(text)


def _amount(text: str) -> float:
    """A number from 0 to 100."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise argparse.ArgumentTypeError(f"expected 0 to 100, got {text!r}")
    return number


def _port(text: str) -> int:
    """A number that a port can have."""
    if not (text.isdecimal() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got {text!r}")
    return int(text)
