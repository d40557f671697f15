"""A network that tells dogs from cats, trained from scratch, in one file. Read it from top to bottom.

    python examples/from_scratch.py PHOTOS [--epochs 20] [--image-size 96]

PHOTOS is a folder with one folder of photos per class, such as `cat` and `dog`. The script needs only Keras with one of
its backends, NumPy and Pillow. The network is that of the recipe `fast`, and so are the optimizer, the learning rate
and the loss. What the recipe adds is left out here: images that grow during the training, stronger augmentation,
averaged weights, groups of copies that stay in one split, checkpoints, and a calibrated decision.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

BATCH_SIZE = 128
LEARNING_RATE = 0.0075  # the largest one; see learning_rate()
WEIGHT_DECAY = 0.35
WARMUP = 0.18  # share of the steps
LABEL_SMOOTHING = 0.045
DROPOUT = 0.43


def main() -> None:
    """Read the photos, train, save the network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder with one folder of photos per class")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--image-size", type=int, default=96, help="in pixels")
    parser.add_argument("--out", type=Path, default=Path("from_scratch.keras"))
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    images, labels = read_photos(arguments.photos, arguments.image_size)
    # One photo in nine is for validation: the network never learns from it.
    order = np.random.default_rng(0).permutation(len(images))
    held_out, training = np.split(order, [len(order) // 9])
    model = build_network(arguments.image_size)
    model.summary()
    fit(model, (images[training], labels[training]), (images[held_out], labels[held_out]), arguments.epochs)
    model.save(arguments.out)


def read_photos(folder: Path, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """All photos of two folders, squashed to squares: uint8 (n, image_size, image_size, 3), and labels (n,), 0 or 1."""
    if not folder.is_dir():
        raise SystemExit(f"there is no folder {folder}; expected one with one folder of photos per class")
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(classes) != 2:
        raise SystemExit(f"{folder} has {len(classes)} folders, expected two: one per class")
    images, labels = [], []
    for label, class_folder in enumerate(classes):
        print(f"label {label}: {class_folder.name}")
        for file in sorted(class_folder.iterdir()):
            try:
                photo = keras.utils.load_img(file, target_size=(image_size, image_size), interpolation="bilinear")
            except OSError as error:
                print(f"left out: {error}")
                continue
            images.append(np.asarray(photo))
            labels.append(label)
    if len(images) < 9:
        raise SystemExit(f"{folder} has {len(images)} photos that can be read, expected at least 9")
    return np.stack(images), np.array(labels)


# The network. A convolution slides 3 x 3 weights over the image and answers at each position how well they fit. Deeper
# maps are smaller, because pooling keeps the largest of four neighbors, and there are more of them: 48, 96, 192.


def build_network(image_size: int, dropout: float = DROPOUT) -> keras.Model:
    """Pixels 0 to 255, (n, image_size, image_size, 3), to logits (n, 1): positive means the second class."""
    pixels = keras.Input((image_size, image_size, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.MaxPooling2D()(convolution(x, 48, strides=2))  # half of half the size: most of the work is saved here
    x = layers.ReLU()(normalization(x))
    x = residual_block(layers.ReLU()(normalization(convolution(x, 48))))
    for filters in (96, 192):
        x = layers.MaxPooling2D()(convolution(x, filters))
        x = residual_block(layers.ReLU()(normalization(x)))
    x = layers.GlobalAveragePooling2D()(x)  # where something was seen no longer matters, only how much of it
    x = layers.Dropout(dropout)(x)  # hides features at random, so that the answer cannot hang on one of them
    return keras.Model(pixels, layers.Dense(1, kernel_initializer="he_normal")(x))


def convolution(x: keras.KerasTensor, filters: int, strides: int = 1) -> keras.KerasTensor:
    """A convolution of 3 x 3; the normalization after it has the bias."""
    return layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)


def normalization(x: keras.KerasTensor, gamma: str = "ones") -> keras.KerasTensor:
    """Subtract the mean and divide by the deviation of each map (Ioffe and Szegedy 2015)."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-3, gamma_initializer=gamma)(x)


def residual_block(x: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions whose result is added to what came in (He et al. 2015)."""
    y = layers.ReLU()(normalization(convolution(x, x.shape[-1])))
    y = normalization(convolution(y, x.shape[-1]), gamma="zeros")  # at first the block passes on what it received
    return layers.ReLU()(layers.Add()([x, y]))


# The training. Each step moves all weights a little so that the loss of one batch becomes smaller.


class Muon(keras.optimizers.Adam):
    """Adam, but the step of a convolution's kernel is made orthogonal (Jordan et al. 2024).

    A gradient is mostly a few strong directions. An orthogonal step moves along all directions equally far.
    """

    def update_step(
        self, gradient: keras.KerasTensor, variable: keras.Variable, learning_rate: keras.KerasTensor
    ) -> None:
        """Change one weight."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, 0.95 * momentum + gradient)
        matrix = ops.reshape(gradient + 0.95 * momentum, (-1, variable.shape[-1]))
        step = orthogonal(matrix) * (0.2 * max(matrix.shape) ** 0.5)  # as long as a typical step of Adam
        self.assign_sub(variable, learning_rate * ops.reshape(step, variable.shape))


def orthogonal(matrix: keras.KerasTensor) -> keras.KerasTensor:
    """Roughly the nearest orthogonal matrix: five steps of a polynomial that pulls all singular values towards 1."""
    is_wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if is_wide else ops.transpose(matrix)
    x = x / (ops.norm(x) + 1e-12)
    for _ in range(5):
        square = x @ ops.transpose(x)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if is_wide else ops.transpose(x)


def learning_rate(step: int, num_steps: int) -> float:
    """Up in a line, then down in a line to zero: "one cycle" (Smith and Topin 2018)."""
    warmup = max(1.0, WARMUP * num_steps)
    rising, falling = (step + 1) / warmup, (num_steps - step) / max(1.0, num_steps - warmup)
    return LEARNING_RATE * min(rising, falling, 1.0)


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every second image mirrored, and all shifted by up to 8%: no photo looks the same twice."""
    images = np.where(rng.random((len(images), 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
    reach = round(0.08 * images.shape[1])
    padded = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode="reflect")
    size = images.shape[1]
    corners = rng.integers(0, 2 * reach + 1, (len(images), 2))
    return np.stack([image[y : y + size, x : x + size] for image, (y, x) in zip(padded, corners, strict=True)])


def fit(
    model: keras.Model,
    training: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    epochs: int,
    augmenting: bool = True,
) -> list[dict[str, float]]:
    """Train, and return one row per epoch: the mean loss of its steps, and the accuracy on the validation photos."""
    images, labels = training
    optimizer = Muon(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])  # decay is for kernels
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING)
    model.compile(optimizer, loss)
    steps_per_epoch = -(-len(images) // BATCH_SIZE)
    rows = []
    for epoch in range(epochs):
        rng = np.random.Generator(np.random.Philox(key=[0, epoch]))
        order, losses = rng.permutation(len(images)), []
        for step in range(steps_per_epoch):
            samples = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            pixels = augment(images[samples], rng) if augmenting else images[samples]
            model.optimizer.learning_rate = learning_rate(epoch * steps_per_epoch + step, epochs * steps_per_epoch)
            model.reset_metrics()  # else Keras gives the mean of all steps so far
            losses.append(len(samples) * float(model.train_on_batch(pixels, labels[samples, None])))
        parts = np.array_split(validation[0], -(-len(validation[0]) // 256))
        logits = np.concatenate([np.asarray(model.predict_on_batch(part))[:, 0] for part in parts])
        accuracy = float(np.mean((logits > 0) == validation[1]))
        rows.append({"loss": sum(losses) / len(images), "val_accuracy": accuracy})
        print(f"epoch {epoch + 1:2}  loss {rows[-1]['loss']:.4f}  validation accuracy {accuracy:.1%}", flush=True)
    return rows


if __name__ == "__main__":
    main()
