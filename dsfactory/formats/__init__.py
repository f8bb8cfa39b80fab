"""Finished samples to datasets that other tools read, and back: one folder per format."""

from dsfactory.dataset.sample import ExportSample
from dsfactory.formats.exporter import FORMATS, ExportSummary, export, find_format

__all__ = ["FORMATS", "ExportSample", "ExportSummary", "export", "find_format"]
