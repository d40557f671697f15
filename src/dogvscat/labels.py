"""Class names and the other answers.

Class names are sorted: label 0 is the first name, and label 1, the positive class, is the second. For `("cat", "dog")`
the positive class is `dog`.
"""

ClassNames = tuple[str, str]
"""Names of the negative and the positive class."""

CAT_AND_DOG: ClassNames = ("cat", "dog")
UNSURE = "unsure"
"""Answer where the network is not certain enough; never a label."""
NEITHER = "neither"
"""Label of photos that show neither class. It is not a class: no network answers it."""
FAILED = ""
"""Key of the photos without an answer, in counts of answers. It is empty because a class may be named `error`."""
LEAVE_OUT = "leave_out"
"""A suggestion in a table of corrections: the photo shows neither class, or it is impossible to say which."""
NEITHER_NAMES: ClassNames = (NEITHER, NEITHER)
"""Class names of a collection of photos that show neither class."""

CLOSE = "close"
"""Reason for `unsure`: the probability is too near one half. `NEITHER` is the second reason."""
AT_CHANCE = "at_chance"
"""Reason for `unsure`, the third one: the network itself is no better than guessing."""
