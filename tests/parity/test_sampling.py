import torch

from exomni.model.config import SamplingConfig
from exomni.model.sampling import UnitSampler, nucleus

KIND = "sampling"


class Watched(UnitSampler):
    """Remembers how many ids each draw chose from."""

    def __init__(self, config: SamplingConfig, seed: int) -> None:
        super().__init__(config, seed)
        self.sizes = []

    def _draw(self, weights: torch.Tensor) -> int:
        self.sizes.append(len(weights))
        return super()._draw(weights)


def test_candidates_as_published(fixture):
    io = fixture.io
    for case in fixture.config["nucleus_cases"]:
        name, p, k = case["case"].split(".top_")[0], *case["case"].split(".top_")[1:]
        probabilities = io[f"{name}.logp"].softmax(dim=0)
        ids, weights = nucleus(probabilities, float(p.removeprefix("p")), int(k.removeprefix("k")))
        assert ids.tolist() == io[f"{case['case']}.candidates"].tolist(), case["case"]
        torch.testing.assert_close(weights, io[f"{case['case']}.probs_unnormalised"], atol=1e-4, rtol=1e-4)
        assert len(ids) == case["n_candidates"]


def config_of(fields: dict, defaults: dict) -> SamplingConfig:
    merged = defaults | {k: fields[k] for k in defaults if k in fields}
    return SamplingConfig(
        top_p=merged["top_p"],
        top_k=merged["top_k"],
        repetition_window=merged["win_size"],
        repetition_share=merged["tau_r"],
    )


def test_falls_back_as_published(fixture):
    """Which distribution is drawn from is fixed by the history; what is drawn depends on torch's version."""
    defaults = fixture.config["defaults"]
    for case in fixture.config["ras_decisions"]:
        logp, history = fixture.io[f"{case['logp']}.logp"], case["history"]
        sampler = Watched(config_of(case, defaults), case["seed"])
        drawn = sampler(logp, history)
        fell_back = len(sampler.sizes) == 2
        if fixture.config["torch"] == torch.__version__:
            assert (drawn, fell_back) == (case["final"], case["fell_back_to_full_distribution"])
        if fell_back:
            assert sampler.sizes[1] == len(logp)


def test_threshold_as_published(fixture):
    for case in fixture.config["ras_threshold_cases"]:
        certain = torch.full((70,), -1e4)
        certain[case["nucleus_pick"]] = 0.0
        sampler = Watched(config_of(case, fixture.config["defaults"]), seed=0)
        sampler(certain, case["history"])
        assert (len(sampler.sizes) == 2) == case["fell_back"], case
