"""The one room that knows Keras."""
