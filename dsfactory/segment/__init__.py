"""One segmentation network, trained the same way wherever labels are judged: by ``evaluate`` and ``filter``."""
