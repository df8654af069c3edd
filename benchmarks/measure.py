"""What every benchmark needs: turns, medians, and the name of the machine."""

from fastlstm.cli.measuring import machine, medians

__all__ = ["machine", "medians"]
