"""Who runs the stages: this process (``local``)."""
