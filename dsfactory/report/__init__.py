"""The page a person looks at: ``dsfactory report``, and the hand-over to FiftyOne: ``dsfactory view``."""
