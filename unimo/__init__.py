"""The console command `unimo` and the version of the package."""

from importlib.metadata import version

__version__ = version("unimo")
