"""Questions and requests that somebody might speak to a talking machine: broader than the templates of `text`."""

import random
import re
from collections.abc import Sequence

from . import templates

QUESTIONS = """What is the capital of {country}?|Where is {country}?|What language do people speak in {country}?|What
food is {country} known for?|Which is bigger, {country} or {country}?|How many {thing} are in a dozen?|What is {small}
plus {small}?|What is {small} times {small}?|What does the word {noun} mean?|What is {a_noun}?|Can you tell me what
{a_noun} is?|What is {a_noun} used for?|Use the word {noun} in a sentence.|Give me another word for {noun}.|Tell me a
joke about {thing}.|Who was {person}?|What is {person} famous for?|When was {person} born?|Why is the sky blue?|What
colour is {coloured}?|How do I say hello in {language}?|What should I cook with {thing} tonight?|How long does it take
to boil {thing}?|Tell me three facts about {topic}.|What are the benefits of {topic}?|Is {topic} dangerous?|How old is
{topic}?|Please explain {topic} in simple words.|Which animal is the {most}?|Which planet is the {most}?|What is the
opposite of {adj}?|How do you spell {noun}?|What day comes after {day}?|What month comes before {month}?|Write a short
poem about {topic}.|What rhymes with {adj}?|Name three kinds of {thing}.|I want to learn about {topic}.|Do you like
{topic}?|What is your favourite {topic_word}?|Good morning, how are you?|My name is {name}, what is yours?|I am going to
{country} in {month}.|I feel tired and a little sad.|Should I {verb} my {thing} today?|How can I {verb} my {thing}?|Who
invented {invention}?|When was {invention} invented?|How does {invention} work?|What is the weather like in
{month}?|Tell me about the history of {country}.|What can I do on a rainy {day}?|Give me some advice about
{topic}.|Thank you, that was very helpful.|Could you say that again, please?|What do {animals} eat?|Where do {animals}
live?|How long do {animals} live?|Are {animals} intelligent?|Why do {animals} sleep?""".replace("\n", " ").split("|")
_WORDS = {
    "country": """France Germany Japan Brazil Canada Egypt India Kenya Norway Peru Spain Italy China Mexico Australia
    Greece Turkey Ireland Portugal Russia Sweden Poland Argentina Morocco Thailand Iceland Cuba Chile""",
    "language": "French German Japanese Spanish Italian Chinese Russian Arabic Portuguese Greek Swedish Korean",
    "coloured": "grass|the_sun|snow|blood|an_orange|the_ocean|coal|a_banana|the_moon|chocolate|a_cherry|milk",
    "person": """Albert_Einstein|Marie_Curie|Isaac_Newton|Leonardo_da_Vinci|Cleopatra|Mozart|Charles_Darwin|
    Nelson_Mandela|William_Shakespeare|Abraham_Lincoln|Julius_Caesar|Gandhi|Beethoven|Napoleon|Galileo|Jane_Austen""",
    "most": "biggest smallest fastest slowest heaviest oldest hottest coldest strongest tallest",
    "topic_word": "book colour film song season animal game city sport subject number food",
    "invention": """the_telephone|the_light_bulb|the_wheel|the_radio|the_camera|the_computer|the_bicycle|the_compass|
    the_steam_engine|the_printing_press|the_aeroplane|paper|the_microscope|the_refrigerator""",
    "animals": """cats dogs horses elephants bees penguins whales owls snakes spiders lions monkeys rabbits frogs sharks
    bears camels dolphins eagles turtles wolves""",
}
WORDS = {k: [w.replace("_", " ") for w in (v.replace("\n    ", "").split("|") if "|" in v else v.split())]
         for k, v in _WORDS.items()}  # fmt: skip


def question(rng: random.Random, nouns: Sequence[str]) -> str:
    """One question; a third come from the templates that the voice's texts have too.

    Args:
        rng: source of every choice.
        nouns: to ask the meaning of.
    """
    if rng.random() < 0.33:
        return templates.question(rng)
    return re.sub(r"\{(\w+)\}", lambda match: _filling(match.group(1), rng, nouns), rng.choice(QUESTIONS))


def _filling(slot: str, rng: random.Random, nouns: Sequence[str]) -> str:
    if slot in WORDS:
        return rng.choice(WORDS[slot])
    if slot == "small":
        return str(rng.randint(2, 20))
    if slot in ("noun", "a_noun"):
        noun = rng.choice(nouns)
        article = ("an " if noun[0] in "aeiou" else "a ") if slot == "a_noun" else ""
        return article + noun
    return templates.filling(slot, rng)
