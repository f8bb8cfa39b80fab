"""Layouts: where which object is to be in an image, before it is drawn."""
