"""The prompts stage: captions that name the classes, ranked for diversity, with templates where captions lack."""
