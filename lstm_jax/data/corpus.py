"""What every data source gives: labelled reviews, before any tokenizing."""

from typing import NamedTuple

import numpy as np


class Reviews(NamedTuple):
    """Labelled texts of one split.

    Attributes:
      texts: the reviews, in the order of the source.
      labels: int32 [N], an index into ``Corpus.label_names``.
      groups: int64 [N], reviews of one group never stand on both sides of the
        validation split (for IMDB: the movie); None when the source knows none.
    """

    texts: list[str]
    labels: np.ndarray
    groups: np.ndarray | None = None

    def pick(self, rows: np.ndarray) -> "Reviews":
        """Those of some rows, int ``[M]``.

        >>> Reviews(["a", "b"], np.array([0, 1])).pick(np.array([1])).texts
        ['b']
        """
        groups = None if self.groups is None else self.groups[rows]
        return Reviews([self.texts[i] for i in rows], self.labels[rows], groups)


class Corpus(NamedTuple):
    """A data set as a source gives it.

    Attributes:
      name: the name that every output of a run carries.
      label_names: one name a class, two or more; none where no labels are read.
      train: reviews to learn and validate on.
      test: reviews for the last line of a run, or None when there are none.
      notice: what every output must say of this data ("" when nothing).
      unlabelled: more texts of the kind, or none; a language model reads them.
    """

    name: str
    label_names: tuple[str, ...]
    train: Reviews
    test: Reviews | None
    notice: str = ""
    unlabelled: tuple[str, ...] = ()
