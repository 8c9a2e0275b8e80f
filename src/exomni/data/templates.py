"""Templates for what dialogue text is short of: numbers, dates, names, lists, feelings, questions."""

import random
import re

NAMES = """Olivia Liam Emma Noah Amelia Oliver Sophia Elijah Mateo Lucas Isabella Levi Ezra Asher Maya James Hannah
Daniel Fatima Yusuf Aisha Chen Priya Arjun Yuki Hiroshi Ingrid Lars Chloe Pierre Giulia Marco Sofia Diego Camila Ivan
Natasha Kwame Amara Siobhan Declan Rhys Megan Zoe Phoebe Theodore Penelope Sebastian Beatrice Barbara Patrick Pamela
Bob Mabel Abby Peter Tom Pippa Humphrey Winifred Vivian Victor Fiona""".split()
SURNAMES = """Smith Johnson Garcia Nguyen Patel Kim O'Brien Kowalski Rossi Schmidt Dubois Yamamoto Okafor Andersson
Novak Murphy Campbell Bergman Petrov Haddad Mbeki Fernandez Whitfield Pemberton Abernathy""".split()
PLACES = """Paris London Tokyo Lisbon Nairobi Toronto Chicago Mumbai Sydney Vienna Oslo Cairo Seoul Boston Lima
Bristol Manchester Philadelphia Budapest Bombay Mississippi Alabama Memphis Vancouver Reykjavik Johannesburg
Copenhagen Edinburgh Barcelona Singapore Honolulu Albuquerque Wellington Prague Zurich""".split()
MONTHS = """January February March April May June July August September October November December""".split()
DAYS = """Monday Tuesday Wednesday Thursday Friday Saturday Sunday""".split()
THINGS = """apples books maps pumps umbrellas windows bicycles pianos violins photographs mushrooms blueberries shoes
tomatoes lamps batteries envelopes buttons mirrors helmets carpets vegetables puppies beehives thermometers
microscopes telescopes sandwiches cupboards chimneys""".split()
ADJECTIVES = """small bright quiet enormous purple ancient beautiful peculiar warm heavy smooth rapid brave humble
wonderful awful famous empty private public simple complex rough gentle curious""".split()
VERBS = """bring move open fix borrow remember visit paint prepare improve wash explain combine number wrap compare
measure verify shape follow""".split()
TOPICS = """photosynthesis gravity inflation the_moon volcanoes bread music_theory vaccines magnets rainbows whales
compound_interest the_Roman_Empire black_holes earthquakes honeybees electricity chess glaciers democracy batteries
the_human_heart sleep the_water_cycle penguins satellites computers coffee coral_reefs poetry algorithms jazz
migration probability thunderstorms dinosaurs bridges soap memory bamboo""".split()
TOPICS = [t.replace("_", " ") for t in TOPICS]

FEELINGS = {
    "joy": """I am so happy for you!|What wonderful news, congratulations!|That is fantastic, well done!|I love it,
it is
absolutely delightful!|Hooray, we did it!|You make me smile every single day.|This is the best present I have ever had!|
We had such a lovely time at the party.|I am thrilled that you passed the exam!|What a beautiful morning, I feel great!|
Your baby is adorable, what a joy!|We laughed and danced until midnight.|I am delighted to meet you, {name}!|
{name} won the prize, isn't that amazing?|Thank you so much, that is very kind of you!|I feel cheerful and full of
hope.|
It was a pleasure to help you, {name}.|Great, your package arrived and everything is perfect!""",
    "sadness": """I am so sorry for your loss.|It breaks my heart to hear that.|She cried all night and felt
terribly lonely.|
I miss my grandmother very much.|Sadly, the old dog died last week.|He was heartbroken when {name} left.|
I feel miserable and I do not know why.|Unfortunately, the funeral is on {day}.|It is a sad and gloomy story.|
We lost everything in the flood.|I am disappointed and a little depressed.|{name} is grieving, please be gentle.|
That is a tragic accident, I am very sorry.|She said goodbye with tears in her eyes.""",
    "anger": """I am furious about this!|How dare you speak to me like that!|That is completely unacceptable!|Stop
it right now, I
am sick of your lies!|I hate being treated this way.|They cheated us, and I am really angry.|This is an outrage, and
I demand an apology!|Leave me alone, you have ruined everything!|{name} was enraged by the insult.|He shouted and
slammed the door in rage.|I am so annoyed with that stupid machine!|Enough! I will not tolerate this any more.""",
    "fear": """I am terrified of spiders.|Watch out, there is something behind you!|I am scared that we will not
make it.|Please
help me, I am so afraid!|The storm was frightening, and we panicked.|I am worried and very nervous about the operation.|
She trembled with fear in the dark.|It is a dangerous place, be careful!|{name} had a nightmare and woke up screaming.|
I am anxious about the test on {day}.|Oh no, the brakes are not working!""",
    "disgust": """Yuck, that is disgusting!|The smell was revolting and it made me sick.|Ew, there is mould on the
bread!|That is
the most repulsive thing I have ever seen.|The kitchen was filthy and full of rotten food.|I find that behaviour
vile and nasty.|It tastes awful, like rotten eggs.|Gross, do not touch that slimy thing!""",
}
FEELINGS = {k: [" ".join(s.split()) for s in v.split("|")] for k, v in FEELINGS.items()}

OPENERS = (
    "Well, ",
    "Actually, ",
    "Of course! ",
    "Sure, ",
    "Hmm, ",
    "Yes. ",
    "No, ",
    "Okay, ",
    "Right, ",
    "Oh, ",
    "",
    "",
    "",
    "",
    "",
)
SHORT = """Yes.|No.|Maybe.|Of course.|Hello!|Hello there.|Hi, {name}!|Goodbye!|Good morning.|Thank you.|Thanks!|You are
welcome.|I see.|I do not know.|Sorry?|Really?|Wow!|Oh my!|Great!|Not yet.|Perhaps tomorrow.|Please wait.|One moment,
please.|Let me think.|That is right.|Good question!|See you on {day}.|Why not?|How come?|Who knows?|Absolutely.|Nice to
meet you.|My name is {name}.|Hmm.|Okay.|Sure thing.|No problem.|What?|Bye bye!|Mama, mama!|Pop!|Boom!""".replace(
    "\n", " "
).split("|")


def _number(rng: random.Random) -> str:
    kind = rng.randrange(9)
    if kind == 0:
        return str(rng.randint(0, 20))
    if kind == 1:
        return str(rng.randint(21, 999))
    if kind == 2:
        return f"{rng.randint(1000, 999999):,}"
    if kind == 3:
        return f"{rng.uniform(0, 100):.{rng.randint(1, 2)}f}"
    if kind == 4:
        return f"{rng.randint(1, 12)} million"
    if kind == 5:
        return f"{rng.randint(1, 100)}%"
    if kind == 6:
        return f"${rng.randint(1, 999)}.{rng.randint(0, 99):02d}"
    if kind == 7:
        return rng.choice("one two three four five six seven eight nine ten eleven twelve".split())
    return str(rng.randint(1000, 9999))


def _ordinal(n: int) -> str:
    suffix = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{suffix}"


_SLOTS = {
    "name": lambda r: r.choice(NAMES), "surname": lambda r: r.choice(SURNAMES), "place": lambda r: r.choice(PLACES),
    "day": lambda r: r.choice(DAYS), "month": lambda r: r.choice(MONTHS), "date": lambda r: _ordinal(r.randint(1, 31)),
    "year": lambda r: str(r.randint(1066, 2040)), "n": _number, "thing": lambda r: r.choice(THINGS),
    "adj": lambda r: r.choice(ADJECTIVES), "verb": lambda r: r.choice(VERBS), "topic": lambda r: r.choice(TOPICS),
    "hour": lambda r: str(r.randint(1, 12)), "half": lambda r: r.choice(("am", "pm")),
    "minute": lambda r: f"{r.randrange(0, 60, 5):02d}", "count": lambda r: str(r.randint(2, 99)),
}  # fmt: skip


def _fill(rng: random.Random, text: str) -> str:
    """Fill every slot afresh, so that a slot named twice gets two fillings."""
    return re.sub(r"\{(\w+)\}", lambda match: filling(match.group(1), rng), text)


def filling(slot: str, rng: random.Random) -> str:
    """A word for a slot such as "name", "place", "topic" or "thing"."""
    return _SLOTS[slot](rng)


FACTS = """{name} {surname} was born in {place} on {month} {date}, {year}.|The train to {place} leaves at
{hour}:{minute} {half}.|
It costs {n} dollars, which is {count} more than last year.|Please {verb} the {adj} {thing} before {day}.|There are
{count} {thing}
and {count} {thing} in the {adj} box.|My favourite places are {place}, {place}, and the {adj} hills near the
sea.|The answer
is {n}.|In {year}, about {n} people lived in {place}.|Call {name} {surname} on {day}, {month} {date}, at
{hour}:{minute}.|First,
{verb} the {thing}. Second, {verb} the {thing}. Finally, {verb} everything else.|You will need {count} {thing},
{count} {thing},
and a {adj} bowl.|{name} and {name} moved from {place} to {place} in {year}.|The temperature in {place} will be
{count} degrees
on {day}.|Chapter {count} is about {topic} and {topic}.|Bob and Pam bought a {adj} map of {place} for {name}.|Peter
Piper picked a
peck of pickled peppers.|The {adj}, {adj} {thing} were on the {adj} table.|Did {name} {verb} the {thing}?|Would you
like me to
{verb} the {adj} {thing}, or the {thing}?|What do you think about {topic}?|Could you tell me how {topic}
works?|Where is the nearest
airport to {place}?|Have you ever been to {place}, {name}?|How many {thing} do we need, {count} or {count}?|{adj}
{thing} are much
better than {adj} {thing}, aren't they?|I think {topic} is a fascinating subject.|My mother {name} baked {count}
blueberry muffins
for the {month} meeting.|The phone number is {count}, {count}, {count}.|Here are three ideas: {verb} the {thing},
{verb} the {thing},
and read about {topic}.|Remember that {topic} and {topic} are quite different things.|From {place} to {place} it is
{n} miles.|Do not
{verb} the {thing}!|Look at that {adj} {thing}!|Five very fluffy vans drove over the bumpy bridge.|We pumped up the
bamboo boat and
moved it from the pub to the pier.""".replace("\n", " ").split("|")

QUESTIONS = """What is {topic}?|How does {topic} work?|Why is {topic} important?|Tell me something about
{topic}.|Can you explain
{topic} to a child?|Who discovered {topic}?|What should I know about {place}?|How do I {verb} {thing}?|What is the
difference between
{topic} and {topic}?|Give me a tip about {topic}.|What do you like about {place}?|How are you today?|Can you
recommend a {adj} hobby?|
I feel {adj} today.|What is the history of {topic}?|Tell me a short story about {adj} {thing}.|I had a terrible
day.|I just got a new
job!|My friend {name} is ill.|What can I cook with {thing}?|Is {place} a good place to live?|How can I learn about
{topic}?|Describe
{adj} {thing}.|Why do people like {topic}?|What would you do in {place}?|I am afraid of {topic}.|I love
{thing}!""".replace("\n", " ").split("|")


def question(rng: random.Random) -> str:
    """A question or remark that somebody might put to a talking machine."""
    return _sentence(_fill(rng, rng.choice(QUESTIONS)))


def draw(rng: random.Random) -> str:
    """One text from the templates."""
    kind = rng.random()
    if kind < 0.10:
        return _sentence(_fill(rng, rng.choice(SHORT)))
    if kind < 0.34:
        feeling = [_fill(rng, rng.choice(FEELINGS[rng.choice(list(FEELINGS))])) for _ in range(rng.choice((1, 1, 2)))]
        return _sentence(" ".join(feeling))
    if kind < 0.44:
        return question(rng)
    facts = [_fill(rng, rng.choice(OPENERS) + rng.choice(FACTS)) for _ in range(rng.choice((1, 1, 2)))]
    return _sentence(" ".join(facts))


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]
