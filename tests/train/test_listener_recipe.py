"""Listening is learned: by CTC alone, then through an LLM that stays as it is; stages find their way."""

import types

import numpy as np
import pytest
import torch

from exomni.core.errors import CheckpointError, ConfigError, UserError
from exomni.data.asr_build import ASRRow
from exomni.model.adapters import Adapters
from exomni.model.config import ContextLayersConfig, SpeechProjectorConfig
from exomni.model.ctc_listener import LISTENER_FILE, CTCListener, save_ctc_listener
from exomni.train.ctc import CTCTask
from exomni.train.listener_recipe import LISTENER_STAGES, load_listener_recipe, own_folder, read_rows
from exomni.train.listener_stages import LLMListenerConfig, LLMListenerTask, mixed_tokens
from exomni.train.loop import LoopConfig, train
from exomni.train.release import released_weights

WORDS = ("yes", "no", "tea", "sun", "repeat", "what", "you", "hear", ":", "user", "assistant", "<|im_end|>")
D_ENCODER, D_LLM = 16, 24
PROJECTOR = SpeechProjectorConfig(stack_frames=5, d_hidden=32)


class Tokenizer:
    """Reads whole words."""

    def encode(self, text, add_special_tokens=False):
        words = text.lower().replace("<|im_start|>", " ").replace("<|im_end|>", " <|im_end|> ").replace(":", " : ")
        tokens = words.split()
        ids = [WORDS.index(w) for w in tokens]
        return types.SimpleNamespace(ids=ids, tokens=tokens, word_ids=list(range(len(tokens))))

    def to_str(self):
        from tokenizers import Tokenizer as Real
        from tokenizers.models import WordLevel

        return Real(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token=WORDS[0])).to_str()

    def decode(self, ids):
        return " ".join(WORDS[i] for i in ids)

    def token_to_id(self, token):
        return WORDS.index(token)


def heard_rows(n: int, seed: int) -> list[ASRRow]:
    """Rows of two to four words; each word has a sound of its own, with a pause after it."""
    sounds, rng = np.random.default_rng(0).standard_normal((5, D_ENCODER)), np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        words = rng.integers(4, size=rng.integers(2, 5))
        frames = np.concatenate([sounds[k].repeat(1).reshape(1, -1).repeat(5, 0) for w in words for k in (w, 4)])
        frames = frames + 0.1 * rng.standard_normal(frames.shape)
        rows.append(ASRRow(" ".join(WORDS[w] for w in words), "no tea", frames.astype(np.float16), "v", "g"))
    return rows


@pytest.fixture(scope="module")
def table():
    torch.manual_seed(3)
    return torch.randn(len(WORDS), D_LLM) / 4


@pytest.fixture(scope="module")
def reader(table, tmp_path_factory):
    """A listener that has learned to read."""
    torch.set_num_threads(1)
    task = CTCTask(heard_rows(60, 1), heard_rows(10, 2), table, Tokenizer(), PROJECTOR, n_rivals=4)
    config = LoopConfig(steps=150, batch_size=8, rates={"listener": 1e-2}, average=0.9, validate_every=150)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exomni.train.loop.plot_curve", lambda path: path)
        figures = train(task, config, tmp_path_factory.mktemp("reading"), origin={}, report=str)
    return task, figures


def test_it_learns_to_read_by_ctc_alone(reader):
    assert reader[1]["wer_g"] < 20


def test_what_is_read_lies_at_its_word(reader, table):
    task, _ = reader
    (row,) = heard_rows(1, 7)
    with torch.no_grad():
        vectors = task.listener(torch.from_numpy(row.features).float()[None])[0]
        mixed, ids = mixed_tokens(task.listener, vectors, table[task.known])
    words = row.text.split()
    assert [WORDS[task.known[i]] for i in ids] == words
    assert torch.equal(task.listener.greedy_tokens(vectors, table[task.known]), ids)
    distances = torch.cdist(mixed, table)
    assert [WORDS[i] for i in distances.argmin(-1)] == words


def test_only_the_reader_trains_and_its_batches_repeat(reader):
    task, _ = reader
    batches = [task.batch(torch.Generator().manual_seed(5), 4) for _ in range(2)]
    assert all(torch.equal(batches[0][k], batches[1][k]) for k in batches[0])
    assert list(task.modules) == ["listener"]


def test_reading_can_begin_with_released_listening(reader, table, tmp_path):
    save_ctc_listener(tmp_path / LISTENER_FILE, reader[0].listener.state_dict(), torch.tensor([1]), {})
    context = ContextLayersConfig(d_model=16, n_layers=1, n_heads=2, ff_mult=2)
    projector = PROJECTOR.model_copy(update={"context": context})
    task = CTCTask(heard_rows(20, 1), heard_rows(5, 2), table, Tokenizer(), projector, n_rivals=4, seed=9)
    before = {k: v.clone() for k, v in task.listener.state_dict().items()}
    task.start_from(released_weights(tmp_path, "reading"))
    for key, value in task.listener.state_dict().items():
        if key.startswith("projector.context."):
            assert torch.equal(value, before[key])
        else:
            torch.testing.assert_close(value, reader[0].listener.state_dict()[key], atol=2e-2, rtol=2e-2)
    with pytest.raises(CheckpointError):
        task.start_from({"listener.blank": torch.zeros(D_LLM)})


@pytest.fixture
def llm(table):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": D_LLM, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
    made = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), num_hidden_layers=2, **sizes))
    made.get_input_embeddings().weight.data.copy_(table)
    return made


def test_listening_trains_adapters_and_never_the_llm(llm, reader, tmp_path, monkeypatch):
    monkeypatch.setattr("exomni.train.loop.plot_curve", lambda path: path)
    before = {k: v.clone() for k, v in llm.state_dict().items()}
    rows, held_out = heard_rows(40, 1), heard_rows(6, 2)
    listener = CTCListener(D_ENCODER, D_LLM, PROJECTOR)
    listener.load_state_dict(reader[0].listener.state_dict())
    task = LLMListenerTask(
        rows, held_out, listener, llm, Tokenizer(), torch.arange(4), LLMListenerConfig(repeats=0.7, rank=4)
    )
    with torch.no_grad():
        first = task.validate()
    config = LoopConfig(steps=40, batch_size=6, rates={"listener": 1e-3, "adapters": 3e-2}, average=0.0,
                        validate_every=40)  # fmt: skip
    last = train(task, config, tmp_path, origin={}, report=str)
    assert first["valid_answer"] < 0.01, "what is heard clearly is answered as if it had been typed"
    assert last["valid_answer"] < 0.1
    assert last["valid_repeat"] < first["valid_repeat"] - 0.1
    after = {k.replace(".base_layer", ""): v for k, v in llm.state_dict().items() if ".lora_" not in k}
    assert after.keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in after.items())
    ids = torch.tensor([[0, 1, 2]])
    with torch.no_grad():
        changed = llm(ids).logits
        with task.adapters.switched_off():
            plain = llm(ids).logits
        again = llm(ids).logits
    assert not torch.allclose(plain, changed)
    assert torch.equal(again, changed)


def test_adapters_change_nothing_at_first_and_are_two_matrices(llm):
    ids, linear = torch.tensor([[0, 1, 2]]), llm.model.layers[1].self_attn.q_proj
    with torch.no_grad():
        plain = llm(ids).logits
        adapters = Adapters(llm, 4)
        assert torch.equal(llm(ids).logits, plain)
        own = adapters.layers["1"]["q"]
        torch.nn.init.normal_(own["up"].weight)
        x = torch.randn(3, D_LLM)
        wanted = linear.base_layer(x) if hasattr(linear, "base_layer") else linear(x)
        changed = llm.model.layers[1].self_attn.q_proj(x)
        torch.testing.assert_close(changed, wanted + x @ own["down"].weight.T @ own["up"].weight.T)
        assert not torch.allclose(llm(ids).logits, plain)
    assert len(adapters.state_dict()) == 2 * 4 * 2
    assert all(p.requires_grad for p in adapters.parameters())


def test_the_recipe_of_hearing_covers_its_stages():
    recipe = load_listener_recipe("hearing")
    for name, stage in LISTENER_STAGES.items():
        assert set(getattr(recipe, name).loop.rates) <= {"listener", "adapters"}
        assert stage.load is load_listener_recipe
    assert not set(recipe.data.voices) & set(recipe.data.held_out_voices)
    with pytest.raises(ConfigError, match="neither a recipe"):
        load_listener_recipe("mega")


def test_rows_of_both_data_sets_are_read(hearing_data):
    recipe = load_listener_recipe("hearing")
    section = recipe.reading.rows.model_copy(update={"many_voices": 2, "held_out": 3})
    rows, held_out = read_rows(recipe, section, hearing_data)
    assert sum(r.group == "a" for r in rows) == 2 * 20
    assert {r.group for r in rows} == {"a", "own", "disguised"}
    assert {r.group for r in held_out} == {"a", "own", "disguised"} or {r.group for r in held_out} == {"a", "own"}


def test_a_stage_says_what_it_goes_on_from(hearing_data, tmp_path, tiny_config):
    recipe = load_listener_recipe("hearing")
    with pytest.raises(UserError, match="stage 'reading'"):
        LISTENER_STAGES["listening"].setup(recipe, tiny_config, hearing_data, tmp_path)
    with pytest.raises(UserError, match="data build"):
        own_folder(recipe, tmp_path / "hearing")


def test_an_llm_takes_adapters_once(llm):
    first = Adapters(llm, 4)
    with pytest.raises(ValueError, match="has adapters already"):
        Adapters(llm, 4)
    assert llm.model.layers[0].self_attn.q_proj.lora_A["listening"] is first.layers["0"]["q"]["down"]
