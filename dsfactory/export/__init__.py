"""Finished samples to datasets that other tools read: one file per format."""

from dsfactory.export.exporter import FORMATS, ExportSummary, export, find_format
from dsfactory.export.sample import ExportSample

__all__ = ["FORMATS", "ExportSample", "ExportSummary", "export", "find_format"]
