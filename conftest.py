"""What holds for the tests and for the examples in src alike."""

import os
import signal

# A shell that runs the tests in the background lets them ignore Ctrl-C, and what ignores it cannot be tested with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Colours that a build server forces are pytest's own; what we print is compared with plain text.
os.environ.pop("FORCE_COLOR", None)
