"""Where a network sees the positive class: the class activation map of networks that end in a mean over positions.

Source: Zhou et al., Learning deep features for discriminative localization, 2016.
"""

from dogvscat.learning.engine import keras
from dogvscat.learning.model.networks import with_mirror_images


def with_class_activation(model: keras.Model) -> keras.Model | None:
    """The same network with its class activation map as a second output.

    Args:
        model: From `pixels` to logits, float32 (n, 1 or 2).

    Returns:
        A model from `pixels` to [logits, activation]; activation is float32 (n, height, width), the log-odds of the
        positive class at each position, whose mean over the positions is the first logit. None for a network that does
        not end in a mean over positions.
    """
    network = _inner_network(model)
    means = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not means:
        return None
    # The logit is w . mean(f) + b over the features f of all positions. That is linear, so it equals mean(w . f + b):
    # the last layer, applied to each position before the mean, gives what that position adds to the logit.
    features = means[-1].input  # (n, height, width, filters)
    position_logits = network.get_layer("logit")(features)  # (n, height, width, 1 or 2)
    with_activation = keras.Model(network.input, [network.output, position_logits[..., 0]])
    if network is model:
        return with_activation
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    columns, activation = with_activation(with_mirror_images(pixels))  # (2n, 1 or 2), (2n, height, width)
    logits, mirrored_logits = keras.ops.split(columns, 2)
    activation, mirrored_activation = keras.ops.split(activation, 2)
    average = keras.layers.Average
    mean_logits = average()([logits, mirrored_logits])
    mean_activation = average()([activation, keras.ops.flip(mirrored_activation, axis=2)])
    return keras.Model(pixels, [mean_logits, mean_activation])


def _inner_network(model: keras.Model) -> keras.Model:
    """The network without averaging over flips, which wraps it as a layer."""
    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), model)
