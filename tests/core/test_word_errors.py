"""Word error rates by hand."""

import pytest

from exomni.core.word_errors import WordErrors, count_word_errors, spoken_words


@pytest.mark.parametrize(
    ("reference", "hypothesis"),
    [
        ("There are 42 of them.", "there are forty-two of them"),
        ("She was born on May 14th, 1987.", "She was born on May fourteenth nineteen eighty-seven"),
        ("It costs $5.20.", "It costs five dollars and twenty cents."),
        ("1,234,567 people", "one million two hundred thirty four thousand five hundred sixty seven people"),
        ("About 71% of it.", "about seventy-one percent of it"),
        ("It's fine, don't worry.", "it is fine do not worry"),
        ("Dr. Ramirez can't come.", "Doctor Ramirez cannot come"),
        ("At 6:45 in the morning.", "at six forty-five in the morning"),
        ("At 3 p.m. sharp", "at three PM sharp"),
        ("I like the colour of the theatre.", "I like the color of the theater"),
        ("We do not need it any more.", "We do not need it anymore."),
        ("An ice-cream and a teaspoon", "an ice cream and a tea spoon"),
        ("Count 25, 30, 35.", "count twenty-five thirty thirty five"),
        ("Um, that’s right.", "that's right"),
        ("Five o'clock", "5 o’clock"),
        ("Some 50 % of it...", "some fifty percent of it"),
    ],
)
def test_what_is_said_alike_is_no_error(reference, hypothesis):
    assert count_word_errors(reference, hypothesis).rate == 0.0


def test_each_kind_of_error_is_counted():
    assert count_word_errors("the cat sat on the mat", "the dog sat on mat today") == WordErrors(1, 1, 1, 6)
    assert count_word_errors("the cat sat on the mat", "the dog sat on mat today").rate == pytest.approx(0.5)


def test_a_wrong_number_is_an_error():
    assert count_word_errors("There are 42.", "there are forty-three").rate == pytest.approx(1 / 3)


def test_joined_words_count_no_more_than_they_should():
    assert count_word_errors("any more tea", "anymore coffee") == WordErrors(1, 0, 0, 3)
    assert count_word_errors("any more", "more") == WordErrors(0, 1, 0, 2)


def test_silence_and_babble():
    assert count_word_errors("one two three", "") == WordErrors(0, 1, 0, 1)  # "one two three" is the number 123
    assert count_word_errors("good morning", "").rate == 1.0
    assert count_word_errors("good", "good good good").rate == 2.0
    assert count_word_errors("", "").rate == 0.0
    assert count_word_errors("...", "hello").rate == float("inf")


def test_errors_of_many_texts_add_up():
    assert WordErrors(1, 2, 3, 10) + WordErrors(0, 1, 0, 5) == WordErrors(1, 3, 3, 15)
    assert WordErrors(1, 3, 3, 15).rate == pytest.approx(7 / 15)


def test_words_are_normalised():
    assert spoken_words("The twenty-first of March, isn't it?") == "the 21st of march is not it".split()
