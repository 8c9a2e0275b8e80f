"""Words that carry an emotion, written for this project: how strongly, and which.

Each entry is a base form; `emotion.estimate_emotion` also finds its plural, past, -ing and -ly forms.
"""

_JOY = {
    1.0: "overjoyed ecstatic thrilled delighted joyful elated euphoric jubilant blissful "
    "exhilarated hooray yay woohoo congratulations congrats bravo hurrah",
    0.75: "happy wonderful amazing fantastic awesome excited love adore celebrate brilliant "
    "marvelous marvellous joy magnificent terrific cheerful fabulous superb delight "
    "delightful incredible spectacular rejoice triumph laughter giggle",
    0.5: "great glad fun enjoy lovely beautiful perfect laugh smile proud pleased win won success "
    "yummy delicious charming hilarious funny grateful thankful playful merry blessed sweet "
    "adorable gorgeous splendid excellent pleasant pleasure birthday victory hug kiss holiday "
    "party gift sunshine",
    0.3: "good nice thanks welcome favorite favourite hope hopeful bright friend friendly kind "
    "cozy cosy relax peaceful calm luck lucky cute interesting fascinating impressive inspire "
    "inspiring comfortable satisfying satisfied tasty refreshing safe relieved relief "
    "appreciate wow paradise puppy kitten",
}
_SADNESS = {
    1.0: "heartbroken devastated grief grieve mourn sorrow despair miserable tragic tragedy sob weep bereaved anguish",
    0.75: "sad unhappy sorry depressed hopeless lonely died cry cried crying funeral gloomy "
    "melancholy sadness heartache suffering misery regret sadly tearful dead dying death "
    "passed-away mournful",
    0.5: "lost lose loss miss hurt pain painful unfortunate unfortunately disappointed "
    "disappointing disappointment fail failed failure alone goodbye farewell abandoned broken "
    "neglected forgotten homeless orphan widow victim suffer discouraged upset ashamed guilty",
    0.3: "sick ill gone sigh wish alas bleak apologize apologise apology homesick starve famine "
    "poverty extinct disease cancer injured wounded",
}
_ANGER = {
    1.0: "furious enraged outraged livid infuriated seething fury rage irate",
    0.75: "angry hate hatred mad outrageous infuriating infuriate anger betray betrayed "
    "unacceptable scream shout hostile despise revenge vengeance insult damn cruel",
    0.5: "annoyed annoying frustrated frustrating unfair irritated irritating stupid idiot liar "
    "cheat steal stole shame fight violent violence abuse threaten ridiculous rude bully "
    "offended offensive aggressive ruin ruined betrayal lied injustice",
    0.3: "argue complain complaint enemy enough nonsense selfish greedy lazy yell forbid punish riot",
}
_DISGUST = {
    1.0: "disgusting revolting repulsive nauseating vile disgust disgusted repulsed yuck eww ugh",
    0.75: "gross nasty filthy foul rotten stench vomit sickening putrid hideous icky slimy repugnant loathe",
    0.5: "dirty stink stinky smelly awful horrible mold mouldy moldy maggot cockroach sewage "
    "garbage ugly puke creepy sewer rancid contaminated",
    0.3: "slime sweaty trash germ grime infected rat leech",
}
_FEAR = {
    1.0: "terrified horrified petrified panic terror horror nightmare horrifying terrifying",
    0.75: "afraid scared frightened scary frightening fear dread dreadful alarmed panicked menacing",
    0.5: "worried worry anxious anxiety nervous danger dangerous threat emergency monster ghost "
    "shiver tremble escape killer murder murderer terrible spooky haunted ominous disaster "
    "catastrophe uneasy tense",
    0.3: "careful beware warning strange suspicious thunder earthquake poison poisonous venomous trap unsafe explosion",
}


def _flatten(emotion: str, tiers: dict[float, str]) -> list[tuple[str, tuple[str, float]]]:
    return [(word, (emotion, weight)) for weight, words in tiers.items() for word in words.split()]


WORDS: dict[str, tuple[str, float]] = dict(
    _flatten("fear", _FEAR)
    + _flatten("disgust", _DISGUST)
    + _flatten("anger", _ANGER)
    + _flatten("sadness", _SADNESS)
    + _flatten("joy", _JOY)
)
"""Base form -> (emotion, weight 0..1)."""

PHRASES: dict[str, tuple[str, float]] = {
    "sorry to hear": ("sadness", 0.75),
    "sorry for your loss": ("sadness", 0.9),
    "passed away": ("sadness", 0.75),
    "oh no": ("sadness", 0.5),
    "what a shame": ("sadness", 0.6),
    "what a pity": ("sadness", 0.6),
    "my heart": ("sadness", 0.8),
    "breaks my heart": ("sadness", 0.8),
    "broke my heart": ("sadness", 0.8),
    "feel down": ("sadness", 0.6),
    "give up": ("sadness", 0.35),
    "no hope": ("sadness", 0.7),
    "all alone": ("sadness", 0.7),
    "thank you": ("joy", 0.4),
    "well done": ("joy", 0.7),
    "good job": ("joy", 0.6),
    "great job": ("joy", 0.7),
    "good news": ("joy", 0.6),
    "great news": ("joy", 0.75),
    "can't wait": ("joy", 0.7),
    "look forward": ("joy", 0.45),
    "looking forward": ("joy", 0.45),
    "you're welcome": ("joy", 0.45),
    "happy to ": ("joy", 0.5),
    "glad to": ("joy", 0.5),
    "good morning": ("joy", 0.4),
    "nice to meet": ("joy", 0.55),
    "of course": ("joy", 0.2),
    "have fun": ("joy", 0.7),
    "so much fun": ("joy", 0.8),
    "how dare": ("anger", 0.9),
    "fed up": ("anger", 0.75),
    "sick of": ("anger", 0.65),
    "of": ("anger", 0.5),
    "shut up": ("anger", 0.85),
    "me alone": ("anger", 0.7),
    "get out": ("anger", 0.6),
    "had enough": ("anger", 0.6),
    "drives me crazy": ("anger", 0.6),
    "fed me lies": ("anger", 0.6),
    "made me sick": ("disgust", 0.7),
    "makes me sick": ("disgust", 0.7),
    "throw up": ("disgust", 0.75),
    "threw up": ("disgust", 0.75),
    "smells bad": ("disgust", 0.6),
    "smells terrible": ("disgust", 0.8),
    "tastes terrible": ("disgust", 0.75),
    "watch out": ("fear", 0.75),
    "look out": ("fear", 0.65),
    "run away": ("fear", 0.4),
    "behind you": ("fear", 0.4),
    "be careful": ("fear", 0.4),
    "scared to death": ("fear", 1.0),
}
"""Words in a row that more together; they replace what the single words would say."""

INERT: frozenset[str] = frozenset(
    "good-bye world-war goods sweeter best-known mean-time cold-blooded".split()
    + "united states kindergarten goodness playwright player playground darkroom".split()
)
"""Words that only look like one of the above."""
