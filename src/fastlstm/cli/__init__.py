"""The command line: ``fastlstm TASK MODE …``.

Every flag comes from an estimator's own signature and docstring, see :mod:`fastlstm.cli.flags`. What goes
wrong by the user's input is one line on stderr and exit code 2.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from fastlstm.errors import FastLSTMError

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
LONGEST_NAME = 80  # characters of a name that a message shows

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        The exit code: 0 done, 2 the input is wrong, 130 interrupted. A bug of ours is an exception, with
        which Python exits with 1.

    Examples
    --------
    >>> main(["info", "nowhere"])
    2
    """
    from cyclopts import CycloptsError  # deferred: `import fastlstm.cli` stays free

    from fastlstm.cli.app import make_app
    from fastlstm.cli.usage import explain
    from fastlstm.cli.waiting import wait_asleep_where_cores_are_busy

    wait_asleep_where_cores_are_busy()
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the shell: whoever did so wants nothing of it
            setattr(sys, stream, open(os.devnull, "w"))  # noqa: SIM115 (for as long as the process runs)
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    logger, told = logging.getLogger("fastlstm"), logging.StreamHandler(sys.stderr)
    logger.addHandler(told)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        code = make_app(arguments)(arguments)
        sys.stdout.flush()
    except CycloptsError as error:
        print(f"fastlstm: {explain(error)}", file=sys.stderr)
        return WRONG_INPUT
    except FastLSTMError as error:
        print("fastlstm:", " ".join(str(error).split()), file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("fastlstm: interrupted, no run was saved", file=sys.stderr)
        return INTERRUPTED
    except (MemoryError, RuntimeError) as error:
        torch_says = any(words in str(error) for words in ("allocate memory", "out of memory"))
        if not (torch_says or isinstance(error, MemoryError)):
            raise
        print(
            "fastlstm: there is not enough memory for that: give a smaller hidden_size, batch_size, context or longest",
            file=sys.stderr,
        )
        return WRONG_INPUT
    except BrokenPipeError:  # whoever read our output, `head` for instance, has had enough
        _drop_output()
        return DONE
    except UnicodeEncodeError as error:
        _drop_output()
        print(
            f"fastlstm: the output is in {error.encoding}, which has no {error.object[error.start]!a}: write to a file "
            "with --out, or set PYTHONIOENCODING=utf-8",
            file=sys.stderr,
        )
        return WRONG_INPUT
    except OSError as error:  # a full disk, a name too long for one, a file that must not be read
        _drop_output()
        place = "" if error.filename is None else f"{str(error.filename)[:LONGEST_NAME]}: "
        print(
            f"fastlstm: {place}{error.strerror or error}; mend that, or name another place", file=sys.stderr
        )
        return WRONG_INPUT
    finally:
        logger.removeHandler(told)
        logger.setLevel(level)
    return DONE if code is None else int(code)


def _drop_output() -> None:
    """Let what was not written yet go nowhere, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
