"""What each place of a picture says: the class activation map of networks that end in a mean over the places.

Their last layer is linear, so the logit of the mean is the mean of the logits that the last layer gives for each place
alone. Source: Zhou et al., Learning deep features for discriminative localization, 2016.
"""

import keras

from dogvscat.learning.model.networks import both_ways


def inner_network(model: keras.Model) -> keras.Model:
    """The network itself, also of one that averages over flips."""
    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), model)


def with_activation(model: keras.Model) -> keras.Model | None:
    """The same network, telling what each place says as well.

    Args:
        model: From `pixels` to logits, float32 (n, 1 or 2).

    Returns:
        A model from `pixels` to [logits, activation]; activation is float32 (n, height, width), the log-odds of the
        positive class at each place, whose mean over the places is the first logit. None for a network that does not
        end in a mean over the places.
    """
    network = inner_network(model)
    means = [layer for layer in network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not means:
        return None
    features = means[-1].input  # (n, height, width, filters)
    places = network.get_layer("logit")(features)  # (n, height, width, 1 or 2)
    both = keras.Model(network.input, [network.output, places[..., 0]])
    if network is model:
        return both
    pixels = keras.Input(model.input_shape[1:], dtype="uint8", name="pixels")
    columns, activation = both(both_ways(pixels))  # (2n, 1 or 2), (2n, height, width)
    (logits, mirrored_logits), (seen, mirrored) = keras.ops.split(columns, 2), keras.ops.split(activation, 2)
    average = keras.layers.Average
    return keras.Model(
        pixels,
        [average()([logits, mirrored_logits]), average()([seen, keras.ops.flip(mirrored, axis=2)])],
    )
