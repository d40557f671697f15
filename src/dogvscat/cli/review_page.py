"""The page of `dogvscat audit --labels --serve`: opens its port, takes its folder, and runs it."""

from pathlib import Path

from dogvscat.api.extras import need_serve_extra
from dogvscat.cli.options import parse_class_folders
from dogvscat.cli.output import flush, report, show
from dogvscat.text import pluralize, shell_word

_HOST = "127.0.0.1"


class ReviewPage:
    """A page for one person on this machine, bound to its port but not running yet.

    Args:
        photos: A folder or zip with one folder of photos per class.
        class_names: The value of `--class-names`.
        folder: Has the suspects, and gets the decisions.
        port: 0 for any free port.

    Raises:
        UsageError: if the extra `serve` is not installed, or the port is in use.
    """

    def __init__(self, photos: Path, class_names: str | None, folder: Path, port: int) -> None:
        need_serve_extra()
        from dogvscat.service.sockets import bind

        self._photos = photos
        self._class_folders = parse_class_folders(class_names)
        self._folder = folder
        self._socket = bind(_HOST, port)

    @property
    def has_suspects(self) -> bool:
        """Whether the labels were checked already, so that the page can open at once."""
        from dogvscat.photos.label_review import has_suspects

        return has_suspects(self._folder)

    def serve(self) -> int:
        """Serve the page until Ctrl-C; returns the exit code.

        Raises:
            UsageError: if another process works in the folder, or listens at the port.
            DataError: if the photos or the suspects cannot be used.
            WriteError: if the folder cannot be written to.
        """
        from dogvscat.atomic import refuse_unwritable
        from dogvscat.locks import exclusive
        from dogvscat.photos.label_review import SUSPECTS_FILE, LabelReview
        from dogvscat.photos.reading.sources import open_photos
        from dogvscat.service.label_review import create_review_app
        from dogvscat.service.loopback import new_token, run_page
        from dogvscat.service.sockets import url_of

        source = open_photos(self._photos, self._class_folders)
        refuse_unwritable(self._folder)
        with exclusive(self._folder, lock_outside=True):
            review = LabelReview(self._folder, source.class_names)
            suspects_file = self._folder / SUSPECTS_FILE
            report(
                f"{suspects_file} lists {pluralize(review.num_suspects, 'photo')} to decide. Delete it and "
                f"{review.decisions_file} to have the labels checked again."
            )
            token = new_token()

            def ready() -> None:
                show(url_of(self._socket))  # on stdout: a script that started the page waits for this line
                flush()
                report("Open this address in a browser of this machine (Ctrl-C ends the page).")

            code = run_page(create_review_app(review, source, token), self._socket, ready)
        counts = ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in review.counts().items())
        report(f"{len(review.decisions):,} of {pluralize(review.num_suspects, 'photo')} decided: {counts}.")
        report(f"dogvscat train PHOTOS --relabel {shell_word(review.decisions_file)} uses these decisions.")
        return code
