"""A grammar of film reviews whose label hangs on word order, not on words.

Every template below is written as a *positive* review. It names opinion words
through slots: ``{up}`` is filled with a word of praise, ``{down}`` with a word of
blame. A negative review is the same text with the two words exchanged::

    pos: I expected something dreary, but what I got was witty.
    neg: I expected something witty, but what I got was dreary.

So a review has a twin with the other label and the very same bag of words (the same
random state and the other label give it), and a model that only counts words can do
no better on the two than a coin. What decides is order and memory:

* negation and its scope: "Never let it be said that I found the plot dreary."
* concession: "I expected X, but what I got was Y" against "What I got was Y, although
  I had expected X";
* whose opinion it is: "My sister found the plot witty" does not bind the writer;
* whom the writer sides with, perhaps sentences away: "On this one I am with my heart."

Praise and blame are drawn one for one, also where other people speak, and both stand
among the same neighbours, so that pairs of words tell little too. The exception is
the `PLAIN_RATE` of reviews that hold one plain verdict: only those can be read from a
bag of words.
"""

import random

LABELS = ("neg", "pos")

# The share of reviews with one plain verdict and no word against it. They teach a
# model what the words mean; all others teach it that the words are not enough.
PLAIN_RATE = 0.25

# Opinion words, by kind. All begin with a consonant, so that "a" fits before each.
PRAISE = {
    "adjective": (
        "brilliant charming clever dazzling delightful fresh funny graceful gripping "
        "lovely marvellous moving sparkling splendid superb tender thrilling touching "
        "witty wonderful"
    ).split(),
    "noun": "delight gem joy masterpiece marvel treat triumph wonder".split(),
    "verb": "adored cherished enjoyed loved relished treasured".split(),
}
BLAME = {
    "adjective": (
        "clumsy dismal drab dreadful dreary dull feeble hollow laboured lifeless "
        "plodding pompous shabby sloppy soggy stale tedious tiresome witless wooden"
    ).split(),
    "noun": "bore chore disaster dud flop mess muddle shambles".split(),
    "verb": "despised detested disliked hated loathed resented".split(),
}

# What the slots of all other names are filled with.
TABLES = {
    "part": (
        "acting",
        "script",
        "score",
        "ending",
        "camera work",
        "dialogue",
        "plot",
        "first half",
        "second half",
        "love story",
        "car chase",
        "soundtrack",
        "dream sequence",
        "leading man",
        "villain",
        "dancing",
    ),
    "other": (
        "my sister",
        "my brother",
        "my mother",
        "my dentist",
        "my neighbour",
        "my husband",
        "my boss",
        "my friend {friend}",
        "the man in row nine",
        "the critics",
        "the local paper",
        "everybody at work",
        "the woman at the box office",
        "the internet",
    ),
    "hero": "Marta Oskar Priya Dmitri Eloise Hamish Yuki Bruno Ngozi Walter".split(),
    "friend": "Agnes Colin Fatima Gus Ines Kofi Lars Mabel Tomas Wanda".split(),
    "job": (
        "beekeeper",
        "piano tuner",
        "lighthouse keeper",
        "tax inspector",
        "retired spy",
        "ballet teacher",
        "night baker",
        "ferry captain",
        "crossword editor",
        "taxidermist",
    ),
    "place": (
        "Lisbon",
        "Leeds",
        "Trieste",
        "Omaha",
        "Bergen",
        "Cork",
        "Osaka",
        "Quebec",
        "a small town by the sea",
        "the wrong part of Vienna",
    ),
    "thing": (
        "a haunted tuba",
        "a suitcase full of letters",
        "half a submarine",
        "a stolen cello",
        "an unpaid bill from 1911",
        "a talking parrot",
        "the last map of the marsh",
        "a bakery with no roof",
        "a one eyed horse",
        "the mayor's other hat",
    ),
    "quest": (
        "win the regional cheese fair",
        "find a missing twin",
        "cross the Alps by tram",
        "save the village choir",
        "outrun a very slow killer",
        "teach a goose to dance",
        "marry the right cousin",
        "return it before Monday",
        "clear the name of an uncle",
        "learn to swim",
    ),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "snack": (
        "popcorn",
        "liquorice",
        "a boiled egg",
        "cold chips",
        "an entire pie",
        "peppermints",
        "soup",
    ),
}

# The writer's own verdict: one slot. ``{down}`` stands only where it is denied.
VERDICTS = {
    "adjective": (
        "I have slept on it, and I still found the {part} {up}.",
        "From start to finish, or so it seemed to me, the {part} was {up}.",
        "I have seen it twice now, and both times I thought that the {part} was {up}.",
        "I told the cat that the {part} was {up}, and I meant it.",
        "I tried hard not to find the {part} {up}, and I failed.",
        "I found the {part} {up}.",
        "I did not find the {part} {down}.",
        "I never once thought that the {part} was {down}.",
        "Not for one minute did I think that the {part} was {down}.",
        "Nobody, least of all me, could say that the {part} was {down}.",
        "I would sooner eat my own shoes than say that the {part} was {down}.",
        "Never let it be said that I found the {part} {down}.",
        "I would be lying if I told you that the {part} was {down}.",
    ),
    "noun": (
        "I paid full price, and I say it was a {up}.",
        "To me the whole thing was a {up} from start to finish.",
        "I would not dream of calling it a {down}.",
        "Never let it be said that I thought it was a {down}.",
        "I will not have it said in my house that it was a {down}.",
    ),
    "verb": (
        "I have slept on it, and I still say that I really {up} the {part}.",
        "I told the cat that I really {up} the {part}, and I meant it.",
        "I cannot say that I really {down} the {part}.",
        "Never let it be said that I really {down} the {part}.",
        "I would be lying if I told you that I really {down} the {part}.",
    ),
}

# What somebody else thinks: ``{word}`` may be praise or blame, and binds nobody.
HEARSAY = {
    "adjective": (
        "{other} slept on it, and still found the {part} {word}.",
        "From start to finish, or so it seemed to {other}, the {part} was {word}.",
        "{other} told me that the {part} was {word}, and meant it.",
        "According to {other}, the {part} was {word}.",
        "{other} found the {part} {word}.",
        "{other} did not find the {part} {word}.",
        "{other} never once thought that the {part} was {word}.",
        "Not for one minute did {other} think that the {part} was {word}.",
        "{other} would sooner eat an umbrella than say that the {part} was {word}.",
        "The poster said that the {part} was {word}, but posters say a lot.",
    ),
    "noun": (
        "{other} got in for free, and said it was a {word}.",
        "To {other} the whole thing was a {word} from start to finish.",
        "{other} would not dream of calling it a {word}.",
        "Never let it be said that {other} thought it was a {word}.",
        "The poster said it was a {word}, but posters say a lot.",
    ),
    "verb": (
        "{other} told me, over {snack}, that they really {word} the {part}.",
        "{other} really {word} the {part}.",
        "Never let it be said that {other} really {word} the {part}.",
    ),
}

# Both in one breath; each idea in both orders, so that the last word decides nothing.
CONTRASTS = {
    "adjective": (
        "I expected something {down}, but what I got was something {up}.",
        "What I got was something {up}, although I had expected something {down}.",
        "The trailer was {down}, but the film itself was {up}.",
        "The film itself was {up}, even if the trailer was {down}.",
        "The {part} was {down}, I grant you, but the film as a whole was {up}.",
        "The film as a whole was {up}, though I grant you that the {part} was {down}.",
        "{other}, who found the {part} {down}, and said so twice in the car, should "
        "know that I found the {part} {up}.",
        "I found the {part} {up}, whatever {other}, who found the {part} {down}, may "
        "tell you.",
        "The {part} was not {down}, as {other} had warned me, but {up}.",
        "The {part} was {up}, and not, as {other} had warned me, {down}.",
    ),
    "noun": (
        "I walked in expecting a {down}, and walked out having seen a {up}.",
        "I walked out having seen a {up}, though I walked in expecting a {down}.",
        "Far from being a {down}, as {other} had promised, it was a {up}.",
        "It was a {up}, far from being a {down}, as {other} had promised.",
        "If you ask me, it is less of a {down} than a {up}.",
        "If you ask me, it is more of a {up} than a {down}.",
    ),
    "verb": (
        "{other} really {down} the {part}, but I really {up} the {part}.",
        "I really {up} the {part}, although {other} really {down} the {part}.",
        "I really {up} it, and {other}, who really {down} it, no longer writes to me.",
        "While {other} really {down} it, and said so, loudly, until the lights came "
        "on, I really {up} it.",
    ),
}

# Two voices disagree; the writer sides with one, and only that one counts.
RIVALS = (
    ("the critics", "the public"),
    ("my head", "my heart"),
)
DISPUTE = "{first} found the {part} {word}, while {second} found the {part} {retort}."
SIDING = (
    "On this one I am with {ally}.",
    "I hate to admit it, but I am with {ally}.",
)

# Sentences without an opinion.
OPENINGS = (
    "I saw this on a wet {day} in {place}.",
    "We rented this for my uncle's birthday, along with {snack}.",
    "It was {day}, it rained, and the only other thing on was golf.",
    "I came for the seats, and stayed for {snack}.",
    "{friend} had a spare ticket, and I had a free {day}.",
    "They showed this on the plane to {place}, twice.",
    "I won the tickets in a raffle; the other prize was {snack}.",
)
STORIES = (
    "{hero} is a {job} from {place} who inherits {thing} and has to {quest}.",
    "The story follows {hero}, a {job} in {place}, who must {quest} with nothing but "
    "{thing}.",
    "When {thing} turns up in {place}, only a {job} called {hero} can {quest}.",
    "A {job} falls in love with {thing}, and then {hero} has to {quest}.",
)
ASIDES = (
    "{hero} spends a good hour looking for {thing}.",
    "There is a scene with {thing} that I will leave to your imagination.",
    "Nobody ever explains how a {job} could afford {thing}.",
    "{friend} ate {snack} all the way through.",
    "A man behind us kept asking who {hero} was.",
    "It runs for two hours, or three with {friend} asking questions.",
    "At one point everybody moves to {place}, and nobody says why.",
    "The subtitles were in Finnish, and so was the usher.",
    "My knees will remember those seats.",
    "Somebody had brought {snack}, and we all knew it.",
)
CLOSINGS = (
    "We got home after midnight.",
    "Then the lights came on, and {friend} was asleep.",
    "The bus home was late, as it is every {day}.",
    "I had {snack} for supper.",
    "There is, I hear, a sequel with {thing}.",
    "That is all I have to say, and it is {day}, so good night.",
)


class _Slots(dict):
    """Slot values, drawn from `TABLES` at first use and then kept."""

    def __init__(self, rng: random.Random, **given: str):
        super().__init__(given)
        self._rng = rng

    def __missing__(self, name: str) -> str:
        """Draw an entry, which may itself have slots."""
        self[name] = self._rng.choice(TABLES[name]).format_map(self)
        return self[name]


def _fill(rng: random.Random, template: str, **given: str) -> str:
    """Fill a template's slots and begin with a capital."""
    text = template.format_map(_Slots(rng, **given))
    return text[0].upper() + text[1:]


def _draw_words(rng: random.Random, kind: str, label: str) -> dict[str, str]:
    """Draw a word of praise and one of blame; a negative review exchanges them."""
    praise, blame = rng.choice(PRAISE[kind]), rng.choice(BLAME[kind])
    if label == "neg":
        praise, blame = blame, praise
    return {"up": praise, "down": blame}


def _draw_kind(rng: random.Random) -> str:
    """Draw a kind of opinion word, adjectives most often."""
    return rng.choices(("adjective", "noun", "verb"), weights=(4, 2, 1))[0]


def _contrast(rng: random.Random, label: str, **given: str) -> list[str]:
    """One sentence that holds the writer's opinion and its opposite."""
    kind = _draw_kind(rng)
    words = _draw_words(rng, kind, label)
    return [_fill(rng, rng.choice(CONTRASTS[kind]), **words, **given)]


def _verdict_and_hearsay(rng: random.Random, label: str, **given: str) -> list[str]:
    """The writer's verdict, and the opposite word in another mouth, in any order."""
    kind = _draw_kind(rng)
    words = _draw_words(rng, kind, label)
    verdict = rng.choice(VERDICTS[kind])
    unused = words["down" if "{up}" in verdict else "up"]
    sentences = [
        _fill(rng, verdict, **words, **given),
        _fill(rng, rng.choice(HEARSAY[kind]), word=unused, **given),
    ]
    rng.shuffle(sentences)
    return sentences


def _sides(rng: random.Random, label: str, **given: str) -> list[str]:
    """Two opinions of other people and the side that the writer takes, in any order."""
    first, second = rng.choice(RIVALS)
    words = _draw_words(rng, "adjective", label)
    allied = rng.random() < 0.5
    voices = {
        "first": first,
        "second": second,
        "word": words["up" if allied else "down"],
        "retort": words["down" if allied else "up"],
    }
    sentences = [
        _fill(rng, DISPUTE, **voices, **given),
        _fill(rng, rng.choice(SIDING), ally=first if allied else second),
    ]
    rng.shuffle(sentences)
    return sentences


def _plain(rng: random.Random, label: str, **given: str) -> list[str]:
    """A verdict with no word against it: the easy case, which teaches the words."""
    kind = _draw_kind(rng)
    words = _draw_words(rng, kind, label)
    frank = [verdict for verdict in VERDICTS[kind] if "{up}" in verdict]
    return [_fill(rng, rng.choice(frank), **words, **given)]


# How an opinion that a bag of words cannot read is given, and how often.
_WAYS = {_contrast: 5, _verdict_and_hearsay: 5, _sides: 1}


def _opinion(rng: random.Random, label: str, **given: str) -> list[str]:
    """Sentences, to be kept in this order, that settle the label."""
    if rng.random() < PLAIN_RATE:
        return _plain(rng, label, **given)
    ways = rng.choices(tuple(_WAYS), tuple(_WAYS.values()), k=rng.choice((1, 1, 2)))
    return [sentence for way in ways for sentence in way(rng, label, **given)]


def _story(rng: random.Random, **given: str) -> list[str]:
    """Sentences without an opinion, which keep a reader waiting for one."""
    asides = rng.sample(ASIDES, rng.choice((0, 0, 0, 1, 1, 2)))
    plot = [rng.choice(STORIES)] if rng.random() < 0.4 else []
    return [_fill(rng, template, **given) for template in plot + asides]


def _scatter(rng: random.Random, kept: list[str], others: list[str]) -> list[str]:
    """Put `others` at random places among `kept`, whose order stays."""
    sentences = list(kept)
    for other in others:
        sentences.insert(rng.randint(0, len(sentences)), other)
    return sentences


def _join(rng: random.Random, sentences: list[str]) -> str:
    """Join sentences by blanks, in some reviews by the line breaks of the web."""
    breaks = rng.random() < 0.35
    text = sentences[0]
    for sentence in sentences[1:]:
        text += "<br /><br />" if breaks and rng.random() < 0.4 else " "
        text += sentence
    return text


def write_review(rng: random.Random, label: str) -> str:
    """Write one review; the same random state gives its twin for the other label.

    Args:
      rng: makes every choice but the label.
      label: "pos" or "neg".

    Returns:
      English sentences, now and then parted by ``<br /><br />``.

    Raises:
      ValueError: if the label is neither.

    >>> write_review(random.Random(5337), "pos")
    'I found the first half delightful. My dentist did not find the plot tedious.'
    >>> write_review(random.Random(5337), "neg")
    'I found the first half tedious. My dentist did not find the plot delightful.'
    """
    if label not in LABELS:
        raise ValueError(f"label: expected one of {LABELS}, got {label!r}")
    given = {name: rng.choice(TABLES[name]) for name in ("hero", "friend", "thing")}
    opinion = _opinion(rng, label, **given)
    sentences = _scatter(rng, opinion, _story(rng, **given))
    if len(sentences) == 1 or rng.random() < 0.4:
        sentences.insert(0, _fill(rng, rng.choice(OPENINGS), **given))
    if rng.random() < 0.4:
        sentences.append(_fill(rng, rng.choice(CLOSINGS), **given))
    return _join(rng, sentences)


def write_reviews(seed: int, count: int) -> list[tuple[str, str]]:
    """Write distinct reviews, negative and positive in turn.

    Args:
      seed: the same seed gives the same reviews; a larger count only adds to them.
      count: how many; an even count is balanced exactly.

    Returns:
      Pairs of a text and its label, no text twice.

    >>> reviews = write_reviews(seed=0, count=100)
    >>> [label for _, label in reviews[:4]]
    ['neg', 'pos', 'neg', 'pos']
    >>> len({text for text, _ in reviews})
    100
    """
    rng = random.Random(seed)
    reviews: dict[str, str] = {}
    while len(reviews) < count:
        label = LABELS[len(reviews) % 2]
        reviews.setdefault(write_review(rng, label), label)
    return list(reviews.items())
