"""The command: `interlock list | check | show | diagram | explain | export | replay | hunt | run | experts | serve | conform | model`.

A thin file: what each command takes and prints is in `command/`. Exit codes: 0 holds, 1 violated, 2 bad usage or definition,
3 inconclusive; `check --all` exits 0 when every answer is as recorded, 1 when one differs, and 3 when none differs but some are missing.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import NoReturn

import typer

from command import check, conform, draw, experts, hunt, model, replay, run, serve, show
from protocol.errors import ProtocolError, TraceError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A control plane for prefill/decode-disaggregated LLM serving as explicit state machines: run, checked and drawn.",
    epilog="Exit codes: 0 holds or done, 1 violated or failed, 2 wrong usage or definition, 3 inconclusive.",
)
app.command("list")(show.list_scenarios)
readers = (show.show, check.check, draw.diagram, draw.explain, draw.export, replay.replay, hunt.hunt)
for function in (*readers, run.run, experts.experts, serve.serve, conform.conform):
    app.command()(function)
models = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The models that the engine can run.")
models.command("fetch")(model.fetch)
app.add_typer(models, name="model")


def main() -> None:
    """Run the command; an error on purpose is one line on standard error and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow that the terminal's encoding lacks ends no command
    try:
        try:
            sys.exit(app(prog_name="interlock", standalone_mode=False))
        finally:
            sys.stdout.flush()
    except (ProtocolError, TraceError) as error:
        print(f"interlock: {error}", file=sys.stderr)
        sys.exit(2)
    except typer.TyperException as error:
        print(_of_wrong_words(error), file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(f"interlock: out of memory, so that nothing is answered; lower the bounds ({error})", file=sys.stderr)
        sys.exit(3)
    except BrokenPipeError:
        _leave_pipe()
    except Exception:
        traceback.print_exc()
        print("interlock: this is a fault of interlock itself, and no answer", file=sys.stderr)
        sys.exit(3)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # which the parser of the command line answers with 1: here that is "violated"
            _leave_pipe()
        raise


def _of_wrong_words(error: typer.TyperException) -> str:
    """What the parser of the command line says, in a line as ours are; where no word was given it says the whole help."""
    text, context = error.format_message(), getattr(error, "ctx", None)
    if context is not None and text == context.get_help():
        return text
    line = " ".join(text.split()).rstrip(".")
    return f"interlock: {line[:1].lower()}{line[1:]} (see {context.command_path if context is not None else 'interlock'} --help)"


def _leave_pipe() -> NoReturn:
    """End as a command does whose reader has gone: without a word, with the exit code of the signal."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(141)


if __name__ == "__main__":
    main()
