"""One training, from photos to a bundle. The only package that uses Keras."""
