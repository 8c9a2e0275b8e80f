"""Speed and faithfulness of the LLM: ONNX Runtime as it ships, beside the same LLM in `transformers`.

    python benchmarks/llm.py speed --threads 2     # taking turns in one process, so that both see the same machine
    python benchmarks/llm.py quality               # against the de-quantised weights in float32

The processor time is worth more than the wall's on a machine that has other work.
"""

import argparse
import math
import statistics
import time
from itertools import islice, takewhile

import torch
from torch.nn.functional import cosine_similarity, cross_entropy

from exomni.assets.table import ASSETS, locate
from exomni.core.turns import Turn
from exomni.parts.smollm.chat import SmolLM
from exomni.parts.smollm.conversion import LLM, LLM_WEIGHTS

QUESTION = "Why is the sky blue? Explain it to a child in a few sentences."
N_STEPS = 16
N_COMPARED = 20
QUESTIONS = """Why is the sky blue?|What is the capital of France?|Tell me a story about a fox.|How do I boil an egg?
Who wrote Romeo and Juliet?|What is photosynthesis?|Give me three tips for sleeping well.|Why do cats purr?
What should I cook tonight?|Explain gravity to a child.|How far away is the moon?|What makes a good friend?
Write a short poem about rain.|How does a bicycle stay upright?|What is the largest ocean?|I feel sad today.
Can you recommend a book?|What is a rainbow made of?|How do planes fly?|Tell me a joke.|What is two plus two?
Why is the sea salty?|How do I learn to play the piano?|What is democracy?|Describe a forest in autumn.
What do bees do in winter?|How can I save money?|Who was Albert Einstein?|What is a computer?|Say goodbye to me."""
PAGE = """The lighthouse stood at the end of the long stone pier, and every evening at dusk old Martin climbed its
hundred and twelve steps to light the lamp. He had done so for thirty-one years, through storms that threw the sea over
the roof of his cottage and through summer nights so still that he could hear people talking on boats a mile away. In
the autumn of that year a young woman came from the city to write about him for a newspaper. She had expected a lonely
man, but Martin was not lonely. He knew the names of every ship that passed, and of most of their captains, and he kept
a book in which he wrote down the weather, the birds, and anything else that seemed worth remembering. "People think
that the light is for the ships," he told her, pouring tea into two cracked mugs. "It is, of course. But it is for me as
well. When you have one thing that you must do every day, you never have to ask yourself what the day is for." She wrote
that down. Later, on the train home, she read it again and found that she had begun to cry, although she could not have
said why. The newspaper printed her story on the third page, below an advertisement for winter coats. Martin cut it out
and put it in his book between a page on the northern gannet and a list of the highest tides.""".replace("\n", " ")


class Reference:
    """The LLM in `transformers`.

    Args:
        where: arguments of `from_pretrained`.
        dtype: of the weights.
    """

    def __init__(self, where: dict, dtype: torch.dtype):
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(**where, dtype=dtype).eval()

    @torch.inference_mode()
    def steps(self, ids: list[int]):
        """Greedy states and tokens after a prompt, endlessly."""
        feed, cache = torch.tensor([ids]), None
        while True:
            out = self.model.model(input_ids=feed, past_key_values=cache, use_cache=True)
            cache, state = out.past_key_values, out.last_hidden_state[0, -1]
            token = int(self.model.lm_head(state).argmax())
            yield state.float(), token
            feed = torch.tensor([[token]])

    @torch.inference_mode()
    def states(self, ids: list[int]) -> torch.Tensor:
        """States of a text, float32 [T, D]."""
        return self.model.model(input_ids=torch.tensor([ids])).last_hidden_state[0].float()


def timed(items) -> list[tuple[float, float]]:
    """Wall and processor seconds that each item took."""
    spans, items = [], iter(items)
    while True:
        wall, work = time.perf_counter(), time.process_time()
        if next(items, None) is None:
            return spans
        spans.append((time.perf_counter() - wall, time.process_time() - work))


def speed(n_threads: int, seconds: float) -> None:
    """Print milliseconds of the first token (the prompt) and of each later one, for both."""
    torch.set_num_threads(n_threads)
    old = Reference({"pretrained_model_name_or_path": str(LLM_WEIGHTS.folder())}, torch.bfloat16)
    folder = LLM.folder()
    began = time.perf_counter(), time.process_time()
    new = SmolLM(folder, n_threads)
    print(f"load {time.perf_counter() - began[0]:.2f} s, {time.process_time() - began[1]:.2f} s of work")
    turns = [Turn("user", QUESTION)]
    ids = new.tokenizer.encode(new.prompt(turns)).ids
    runs = {
        "transformers": lambda: islice(old.steps(ids), N_STEPS),
        "onnxruntime": lambda: islice(new.write(turns, repetition_penalty=1.0), N_STEPS),
    }
    spans: dict[str, list] = {name: [] for name in runs}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, run in runs.items():
            spans[name].append(timed(run()))
    print(f"{len(ids)} prompt tokens, {n_threads} threads; median and least milliseconds, wall (work)")
    for name, rounds in spans.items():
        first, later = [r[0] for r in rounds], [s for r in rounds for s in r[1:]]
        print(f"{name:13s}", *(f"{what} {_span(s)}" for what, s in (("prompt", first), ("token", later))), sep="  ")


def _span(spans: list[tuple[float, float]]) -> str:
    wall, work = zip(*spans, strict=True)
    middle, least = (f"{1e3 * of(wall):6.1f} ({1e3 * of(work):6.1f})" for of in (statistics.median, min))
    return f"{middle} {least}"


def quality() -> None:
    """Print how the states, the greedy replies and the perplexity compare with the de-quantised weights."""
    gguf = locate(ASSETS["smollm2-135m-instruct"])[0]
    exact = Reference({"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}, torch.float32)
    halved = Reference({"pretrained_model_name_or_path": str(LLM_WEIGHTS.folder())}, torch.bfloat16)
    chat = SmolLM(LLM.folder())
    head = exact.model.lm_head.weight.detach()
    before = chat.tokenizer.encode("<|im_start|>assistant\n").ids
    page = chat.tokenizer.encode(PAGE).ids
    all_states = {"onnxruntime": chat.hidden_states(PAGE)}
    for name, model in (("float32", exact), ("bfloat16", halved)):
        all_states[name] = model.states(before + page)[len(before) - 1 : -1]
    for name, states in all_states.items():
        loss = float(cross_entropy(states @ head.T, torch.tensor(page)))
        alike = {other: cosine_similarity(states, all_states[other]) for other in ("float32", "bfloat16")}
        figures = (f"cosine to {o} mean {c.mean():.5f} least {c.min():.5f}" for o, c in alike.items())
        print(f"{name:12s} perplexity {math.exp(loss):.3f}", *figures, sep="; ")
    for name, model in (("onnxruntime", None), ("bfloat16", halved)):
        shares, whole = zip(*(_agreement(q, exact, chat, model) for q in QUESTIONS.replace("\n", "|").split("|")),
                            strict=True)  # fmt: skip
        print(f"{name:12s} first {N_COMPARED} greedy tokens: {statistics.mean(shares):.1%} up to the first other one, "
              f"{statistics.mean(whole):.1%} of replies alike")  # fmt: skip


def _agreement(question: str, exact: Reference, chat: SmolLM, other: Reference | None) -> tuple[float, bool]:
    """Share of a reply's first tokens before it parts from the reference's, and whether it never does."""
    turns = [Turn("user", question)]
    ids = chat.tokenizer.encode(chat.prompt(turns)).ids
    wanted = _text(chat, exact, ids)
    if other is None:
        tokens = islice(chat.write(turns, repetition_penalty=1.0), N_COMPARED)
        written = chat.tokenizer.encode("".join(token.text for token in tokens)).ids
    else:
        written = _text(chat, other, ids)
    n = len([*takewhile(lambda pair: pair[0] == pair[1], zip(wanted, written, strict=False))])
    return n / len(wanted), n == len(wanted)


def _text(chat: SmolLM, model: Reference, ids: list[int]) -> list[int]:
    tokens = [token for _, token in islice(model.steps(ids), N_COMPARED)]
    return tokens[: tokens.index(chat.end_id)] if chat.end_id in tokens else tokens


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["speed", "quality"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.threads, args.seconds)
    else:
        quality()


if __name__ == "__main__":
    main()
