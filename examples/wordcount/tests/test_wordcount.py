import unittest

from wordcount import count, most_common


class Count(unittest.TestCase):
    def test_words_are_counted_whatever_their_case(self):
        self.assertEqual(count(["The cat,", "the CAT; the end"]), {"the": 3, "cat": 2, "end": 1})

    def test_apostrophes_and_hyphens_stay_inside_words(self):
        self.assertEqual(count(["don't - 'well-known'"]), {"don't": 1, "well-known": 1})

    def test_letters_beyond_ascii_are_letters(self):
        self.assertEqual(count(["Čeština, čeština"]), {"čeština": 2})

    def test_digits_are_not_words(self):
        self.assertEqual(count(["42 is 6 × 7"]), {"is": 1})

    def test_an_empty_text_has_no_words(self):
        self.assertEqual(count([]), {})


class MostCommon(unittest.TestCase):
    def test_equal_counts_are_in_alphabetical_order(self):
        counts = count(["b a c b"])
        self.assertEqual(most_common(counts, 2), [("b", 2), ("a", 1)])


if __name__ == "__main__":
    unittest.main()
