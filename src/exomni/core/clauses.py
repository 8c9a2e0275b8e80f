"""Cutting text into what is spoken at once, as it arrives.

Speech should begin early and sound whole: the first clause is short, later ones may be sentences, and each may be
only so much longer than the speech before it, so that the voice never has to wait for the words.
"""

import re
import unicodedata
from dataclasses import dataclass, field

MAX_CLAUSE_CHARS = 180
"""About 12 s of speech."""
FIRST_CLAUSE_WORDS, SECOND_CLAUSE_WORDS = 9, 18

_SENTENCE = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|\n+")
_CLAUSE = re.compile(r"[,;:—–][\"'”’)\]]*(?=\s)")
_NOT_AN_END = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|e\.g|i\.e|approx|No|Inc|Ltd|U\.S|[A-Z])|^\s*\d{1,3})\.$"
)
_LIST_MARK = re.compile(r"^\s*[-*•]\s+", re.M)
_MARKUP = re.compile(r"(?:\*\*|__|~~|`+|^#+\s*|^>\s*)", re.M)
_DEGREES = re.compile(r"\s*°(?:\s?([CF])\b)?")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|https?://(\S+)")


def speakable(text: str) -> str:
    """Written style as words: markdown, links, emoji and control characters go, everything that is said stays."""
    # NFKC would turn x² into x2 and ½ into 1/2, which the voice reads wrong: numerals like these are left alone.
    text = "".join(c if unicodedata.category(c) == "No" else unicodedata.normalize("NFKC", c)
                   for c in unicodedata.normalize("NFC", text))  # fmt: skip
    text = _DEGREES.sub(lambda m: " degrees" + {"C": " Celsius", "F": " Fahrenheit"}.get(m.group(1), ""), text)
    text = _LINK.sub(lambda m: m.group(1) or m.group(2), text)
    text = _MARKUP.sub("", _LIST_MARK.sub("", text)).replace("*", " ").replace("|", " ")
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")  # soft hyphens and joiners part no words
    kept = (c if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn", "So", "Sk") else " " for c in text)
    return " ".join("".join(kept).split())


def ends_sentence(clause: str) -> bool:
    """Whether a clause is the last of its sentence."""
    return clause.rstrip("\"'”’)] ").endswith((".", "!", "?", "…"))


@dataclass
class ClauseCutter:
    """Takes text piece by piece and gives clauses as soon as they are whole.

    Attributes:
        pending: text that is not yet part of a clause.
        n_given: clauses given so far.
    """

    pending: str = ""
    n_given: int = field(default=0)

    def add(self, text: str) -> list[str]:
        """Clauses that `text` completes, in order; joined with what is pending they are the text so far."""
        clauses = []
        # Word by word, so that the cuts do not depend on how the text was cut up on its way here.
        for piece in re.split(r"(?<=\s)", text):
            self.pending += piece
            while end := self._end() if self.pending[-1:].isspace() else 0:
                clauses.append(self.pending[:end])
                self.pending = self.pending[end:]
                self.n_given += 1
        return clauses

    def finish(self) -> list[str]:
        """The last clauses, once no more text will come."""
        remainder, self.pending = self.pending, ""
        clauses = []
        while len(remainder) > MAX_CLAUSE_CHARS:
            end = _last_space(remainder, MAX_CLAUSE_CHARS)
            clauses.append(remainder[:end])
            remainder = remainder[end:]
        return [*clauses, remainder] if remainder.strip() else clauses

    def _end(self) -> int:
        """Where the next clause ends in the pending text; 0 while it does not."""
        words = {0: FIRST_CLAUSE_WORDS, 1: SECOND_CLAUSE_WORDS}.get(self.n_given, MAX_CLAUSE_CHARS)
        text = self.pending[: 2 * MAX_CLAUSE_CHARS]  # what lies beyond decides nothing
        sentence = _sentence_end(text)
        if sentence and sentence <= MAX_CLAUSE_CHARS and text[:sentence].count(" ") <= words:
            return sentence
        text = text[:sentence] if sentence else text
        marks = [m.end() for m in _CLAUSE.finditer(text)]
        least = 3 if self.n_given == 0 else 6
        for end in marks:
            if self.n_given < 2 and end <= MAX_CLAUSE_CHARS and len(text[:end].split()) >= least:
                return end
        if len(text) > MAX_CLAUSE_CHARS or len(text.split()) > words:
            limit = min(MAX_CLAUSE_CHARS, _char_of_word(text, words))
            within = [m for m in marks if m <= limit and len(text[:m].split()) >= least]
            return within[-1] if within else _last_space(text, limit)
        return 0


def _sentence_end(text: str) -> int:
    """Where the first sentence of a text ends; 0 while it does not."""
    for match in _SENTENCE.finditer(text):
        if not _NOT_AN_END.search(text[: match.end()]) and text[: match.end()].strip():
            return match.end()
    return 0


def _char_of_word(text: str, n_words: int) -> int:
    """Index just after word number `n_words`."""
    for count, match in enumerate(re.finditer(r"\S+", text), 1):
        if count == n_words:
            return match.end()
    return len(text)


def _last_space(text: str, limit: int) -> int:
    space = text.rfind(" ", 1, limit + 1)
    return space if space > 0 else limit


def cut_clauses(text: str) -> list[str]:
    """All clauses of a whole text."""
    cutter = ClauseCutter()
    return [*cutter.add(text), *cutter.finish()]
