"""What is wrong with a command line, in one line that names the flag and the mend."""

from __future__ import annotations

from cyclopts import (
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)


def explain(error: CycloptsError) -> str:
    """Say in one line what is wrong with the arguments.

    Parameters
    ----------
    error : cyclopts.CycloptsError
        What parsing them raised.

    Returns
    -------
    str
        The flag or argument, and the mend.

    Examples
    --------
    >>> from fastlstm.cli.app import make_app
    >>> try:
    ...     make_app([])(["fly"])
    ... except CycloptsError as error:
    ...     print(explain(error))
    unknown command 'fly': see fastlstm --help
    """
    command = " ".join(error.command_chain or ())
    help_is = f"see fastlstm {command} --help".replace("  ", " ")
    if isinstance(error, UnknownCommandError):
        return f"unknown command {(error.unused_tokens or ['?'])[0]!r}: {help_is}"
    if isinstance(error, UnusedCliTokensError):
        return f"{(error.unused_tokens or ['?'])[0]!r} is one argument too many: {help_is}"
    if isinstance(error, UnknownOptionError) and any(
        argument.name == "--resume" and argument.required for argument in error.argument_collection
    ):
        return (
            f"{error.token.keyword or error.token.value} does not go with --resume, which goes on with all that the "
            "training was begun with: leave it out, or train anew without --resume"
        )
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        if error.argument.tokens:
            return f"{name} stands without a value: {error.argument.parameter.help}"
        if not error.argument.required:  # a value that begins with - is taken for an option
            return f"{name} stands without a value; one that begins with - is written {name}=-…: {help_is}"
        return f"{command} needs {name}: {error.argument.parameter.help}".replace("``", "")
    error.verbose = False
    return f"{' '.join(str(error).split()).rstrip('.')}; {help_is}"
