"""Prints the most frequent words of the files named, or of standard input."""

import argparse
import fileinput

from wordcount import count, most_common


def main():
    parser = argparse.ArgumentParser(prog="wordcount", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("-n", "--limit", type=int, default=10, help="words to print (default: 10)")
    arguments = parser.parse_args()
    with fileinput.input(arguments.files, encoding="utf-8") as lines:
        counts = count(lines)
    for word, number in most_common(counts, arguments.limit):
        print(f"{number:7} {word}")


if __name__ == "__main__":
    main()
