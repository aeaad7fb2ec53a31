"""A TFDS data set of synthetic reviews: no download, the same path as IMDB."""

from collections.abc import Iterator

import tensorflow_datasets as tfds

from lstm_jax.data import grammar

_DESCRIPTION = """\
Synthetic film reviews, written by a grammar and labelled neg or pos. Not IMDB: an
accuracy on these texts says nothing about real reviews. The label hangs on word order
(negation, concession, whose opinion it is), so that a bag of words stays far below a
recurrent network. Meant for tests, demonstrations and work without a network.
"""


class SyntheticReviews(tfds.core.GeneratorBasedBuilder):
    """Reviews from `lstm_jax.data.grammar`: 4,000 to learn on, 1,000 to test.

    Each text stands once in the whole set, and each split has as many negative as
    positive ones. A change of the grammar changes the texts and asks for a new
    version, lest a prepared copy of the old ones be read as the new.

    >>> SyntheticReviews.name, str(SyntheticReviews.VERSION)
    ('synthetic_reviews', '1.0.0')
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}

    SEED = 0
    NUM_TRAIN = 4000
    NUM_TEST = 1000

    def _info(self) -> tfds.core.DatasetInfo:
        """Describe the features, without the metadata files that TFDS may look for."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=grammar.LABELS),
                }
            ),
            supervised_keys=("text", "label"),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, str]]]]:
        """Cut one run of distinct reviews in two, so that no text is in both."""
        del dl_manager  # nothing to download
        reviews = grammar.write_reviews(self.SEED, self.NUM_TRAIN + self.NUM_TEST)
        return {
            "train": self._generate_examples(reviews[: self.NUM_TRAIN]),
            "test": self._generate_examples(reviews[self.NUM_TRAIN :]),
        }

    def _generate_examples(
        self, reviews: list[tuple[str, str]]
    ) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield (key, example); TFDS orders the records by a hash of the key."""
        for key, (text, label) in enumerate(reviews):
            yield key, {"text": text, "label": label}
