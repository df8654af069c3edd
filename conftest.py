"""What holds for the tests and for the examples in src alike."""

import os
import signal

# A shell that runs the tests in the background lets them ignore Ctrl-C, and what ignores it cannot be tested with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Whoever has colours forced, as build servers do, has them in pytest's own output; ours is compared with what is printed.
os.environ.pop("FORCE_COLOR", None)
