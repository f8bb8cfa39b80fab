"""Labelled images that you have become a run: COCO, VOC, YOLO, mask pairs, Parquet, or other runs.

Their labels are taken as they are, and their files are only read. filter, splice, report, export, verify and evaluate
work on the run. Given several sources, it joins them: classes of one name, or of words that mean the same, are one.

An image that cannot be used is a failed sample with a reason, and the exit code is 3.
"""
