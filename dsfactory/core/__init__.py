"""The store and the stage contract. Knows no stage."""
