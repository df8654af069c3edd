"""The commands, and what each says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App, Parameter

from fastlstm import __version__
from fastlstm.cli.bench import bench
from fastlstm.cli.info import info
from fastlstm.tasks import TASKS

PURPOSES = {
    "forecast": "The future of series in a table, with intervals.",
    "classify": "Classes of sequences, texts, or single steps.",
    "regress": "Numbers of sequences, texts, or single steps: remaining life, a dose, a score.",
    "detect": "What is unusual in series, without labels.",
    "generate": "Text that goes on as a corpus does.",
    "transcribe": "Words from recordings of speech.",
    "translate": "Texts from texts: languages, spellings, summaries.",
}
MODES = {
    "train": "Learn from data and save a run.",
    "evaluate": "Compare what a saved run says with what is known.",
    "predict": "Predict with a saved run.",
    "backtest": "Predict the last stretch of the data as if it were the future: RUN DATA, or DATA with train's flags.",
    "cross-validate": "Fit to all parts of a table but one and judge that one, each in its turn.",
    "update": "Move a saved run on with new rows, without training.",
    "tune": "Search for the best configuration on the validation part, train with it and save a run.",
    "export": "Write the model as one file of ONNX, which runs without fastlstm and PyTorch.",
}


def make_app(arguments: Sequence[str]) -> App:
    """Build the application, with the commands of the task that the arguments name.

    Other tasks are listed only, so that their estimators are not imported.

    Parameters
    ----------
    arguments : sequence of str
        What stands after ``fastlstm``.

    Examples
    --------
    >>> sorted(name for name in make_app([]) if not name.startswith("-"))
    ['bench', 'classify', 'detect', 'forecast', 'generate', 'info', 'regress', 'transcribe', 'translate']
    """
    app = App(
        name="fastlstm",
        help="Long Short-Term Memory networks, from a data file to a prediction.",
        version=__version__,
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
        default_parameter=Parameter(negative_iterable=(), show_env_var=False),
    )
    app.command(info)
    app.command(bench)
    for task in TASKS:
        commands = App(name=task, help=PURPOSES[task])
        if task in arguments[:1]:
            from fastlstm.cli.task import task_commands  # deferred: it imports the task's estimator

            for mode, command in task_commands(task, arguments[1:]).items():
                commands.command(command, name=mode, help=MODES[mode])
        app.command(commands)
    return app
