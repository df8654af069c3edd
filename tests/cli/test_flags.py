"""Commands derive from signatures: names, types, defaults and help are the estimator's own."""

import inspect
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from cyclopts import App, CycloptsError

from fastlstm.cli.app import make_app
from fastlstm.cli.flags import command, flag, flags
from fastlstm.tasks import TASKS, estimator

# What --out says on the command line, or what has no place there.
PYTHON_ONLY = ("self", "checkpoint", "storage", "fit", "stream")
ELSEWHERE = {  # of what follows training, beside arrays alone; a study has no other start, and folds are fitted
    *((mode, name) for mode in ("predict", "evaluate") for name in ("time", "static")),
    ("tune", "init"),
    ("cross-validate", "fit"),
}


def bake(
    self,
    data: Any,
    *,
    minutes: int,
    heat: float | None = None,
    toppings: Sequence[str] = (),
    shares: Sequence[float] = (0.5, 0.5),
    crust: Literal["thin", "thick"] = "thin",
    cheese: bool = True,
    extra: Any | None = None,
) -> None:
    """Bake a pizza.

    Parameters
    ----------
    data : path or DataFrame
        The dough.
    minutes, heat : int
        How long,
        and how hot.
    """


@pytest.fixture
def parse():
    given = {}
    app = App(exit_on_error=False, print_error=False, result_action="return_value")
    app.default(command(given.update, flags(bake, bake.__doc__)))

    def run(*tokens):
        given.clear()
        app(list(tokens))
        return given

    return run


def test_values_have_the_signatures_types(parse):
    given = parse(
        *[
            "dough.csv",
            "--minutes",
            "9",
            "--heat",
            "230.5",
            "--toppings",
            "olives, red onion,",
            "--crust",
            "thick",
        ],
        *["--shares", "0.2,0.8", "--no-cheese", "--extra", "more.csv"],
    )
    assert str(given.pop("data")) == "dough.csv"
    assert str(given.pop("extra")) == "more.csv"
    assert given == {
        "minutes": 9,
        "heat": 230.5,
        "toppings": ("olives", "red onion"),
        "shares": (0.2, 0.8),
        "crust": "thick",
        "cheese": False,
    }


def test_defaults_are_the_signatures(parse):
    given = parse("dough.csv", "--minutes", "9")
    expected = {
        name: p.default for name, p in inspect.signature(bake).parameters.items() if p.default is not p.empty
    }
    assert expected.items() <= given.items()


def test_a_list_may_be_given_in_parts(parse):
    given = parse("dough.csv", "--minutes", "9", "--toppings", "olives", "--toppings", "ham,egg")
    assert given["toppings"] == ("olives", "ham", "egg")
    assert parse("dough.csv", "--minutes", "9", "--toppings", 'sun\ndried,"a,\nb"')["toppings"] == (
        "sun\ndried",
        "a,\nb",
    )


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        ["dough.csv"],
        ["dough.csv", "--minutes", "9", "--shares", "half"],
        ["dough.csv", "--minutes", "9", "--crust", "x"],
        ["dough.csv", "--minutes", "9.5"],
    ],
)
def test_what_does_not_fit_is_refused(parse, tokens):
    with pytest.raises(CycloptsError):
        parse(*tokens)


def test_help_is_the_docstrings(capsys):
    app = App(name="oven")
    app.default(
        command(lambda given: None, [*flags(bake, bake.__doc__), flag("out", str, "Where to.", "table")])
    )
    app.help_print()
    shown = " ".join(capsys.readouterr().out.split())
    assert "The dough." in shown
    assert "How long, and how hot." in shown
    assert "[default: 0.5,0.5]" in shown
    assert "Where to." in shown


@pytest.mark.parametrize("task", TASKS)
def test_every_argument_of_an_estimator_is_a_flag_with_its_help(task, capsys):
    kind = estimator(task)
    own = {
        "train": (),
        "predict": ("predict",),
        "evaluate": ("evaluate",),
        "backtest": ("backtest",),
        "cross-validate": ("fit", "cross_validate"),
        "update": ("update",),
        "tune": ("fit", "tune"),
    }
    for mode, names in own.items():
        if not all(hasattr(kind, name) for name in names):
            continue
        methods = [getattr(kind, name) for name in names or ("fit",)]
        if mode in ("train", "tune", "cross-validate"):
            methods.append(kind)
        arguments = [task, mode, "--help"]
        make_app(arguments)(arguments)
        shown = capsys.readouterr().out
        for name in (
            name
            for method in methods
            for name in inspect.signature(method).parameters
            if name not in PYTHON_ONLY and (mode, name) not in ELSEWHERE
        ):
            placed = name in ("data", "audio" if mode == "predict" else "data")
            assert (name.upper() if placed else f"--{name.replace('_', '-')}") in shown
    for method, documentation in ((kind.__init__, kind.__doc__), (kind.fit, kind.fit.__doc__)):
        for parameter in flags(method, documentation):
            assert parameter.annotation.__metadata__[0].help, f"{parameter.name} has no help"
