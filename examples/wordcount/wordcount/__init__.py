"""Counts the words of a text."""

import re
from collections import Counter

# A word is letters, with apostrophes and hyphens inside it: don't, well-known.
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def count(lines):
    """Counts every word of an iterable of lines, whatever its case."""
    return Counter(word.lower() for line in lines for word in _WORD.findall(line))


def most_common(counts, limit):
    """The `limit` most frequent words with their counts; words as frequent as each other in
    alphabetical order, so that the same text always gives the same table."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:limit]
