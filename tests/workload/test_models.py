"""The catalogue of models: counts of its rows against what their sources publish, and what is no model."""

from dataclasses import asdict, replace
from decimal import Decimal

import pytest

from fabric.errors import QuestionError
from fabric.workload.models import Model, model, model_rows

ROWS = model_rows()


def billions(published: str, n: int) -> bool:
    """Return whether a count is the published one to its last digit."""
    half = Decimal(10) ** Decimal(published).as_tuple().exponent / 2
    return abs(Decimal(n) / 10**9 - Decimal(published)) <= half


@pytest.mark.parametrize("name", ROWS)
def test_parameters_are_as_published(name):
    row = ROWS[name]
    assert billions(row.parameters_b, row.model.n_parameters)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.active_b])
def test_active_parameters_are_as_published(name):
    row = ROWS[name]
    counted = {"both": row.model.n_active, "output": row.model.n_computing}[row.active_counts]
    assert billions(row.active_b, counted)


@pytest.mark.parametrize("name", ROWS)
def test_parameters_by_matrices_of_a_layer(name):
    """Another route: the shapes of all matrices, layer by layer."""
    m = ROWS[name].model
    h, q, kv = m.hidden, m.heads * m.head_dim, m.kv_heads * m.head_dim
    total = m.vocabulary * h * (1 if m.tied else 2) + m.positions * h
    for layer in range(m.layers):
        if m.kv_rank:
            shapes = [(h, m.q_rank), (m.q_rank, m.heads * (m.head_dim + m.rope_dim))]
            shapes += [(h, m.kv_rank + m.rope_dim), (m.kv_rank, 2 * q), (q, h)]
            total += m.q_rank + m.kv_rank
        else:
            shapes = [(h, q), (h, kv), (h, kv), (q, h)]
        if m.experts and layer >= m.dense_layers:
            shapes += [(h, m.expert_ffn)] * m.matrices * (m.experts + m.shared_experts) + [(h, m.experts)]
            total += m.experts if m.groups > 1 else 0
        else:
            shapes += [(h, m.ffn)] * m.matrices
        total += sum(a * b for a, b in shapes) + 2 * h + (2 * m.head_dim if m.qk_norm else 0)
        if m.biases != "none":
            total += q + 2 * kv
        if m.biases == "all":
            total += h + m.ffn + h + 2 * h
    total += 2 * h if m.biases == "all" else h
    assert m.n_parameters == total


def test_a_dense_model_is_all_active():
    for row in ROWS.values():
        assert (row.model.n_active == row.model.n_parameters) == (not row.model.experts)


def test_cache_of_a_token():
    # DeepSeek, arXiv 2505.09343, table 1: 70.272 KB, 327.680 KB (Qwen2.5-72B), 516.096 KB (Llama 405B).
    cached = {name: ROWS[name].model.kv_bytes_per_token() for name in ROWS}
    assert (cached["deepseek-v3"], cached["qwen2.5-72b"], cached["llama3-405b"]) == (70272, 327680, 516096)
    assert model("llama3-405b").kv_bytes_per_token(1.0) == 516096 / 2


def test_flops_of_megascale_moe():
    # Arithmetic that the paper does not spell out: 32.48 % MFU of 240 H800 of 989 TFLOPS in 21.61 s for 720
    # sequences of 8,192 tokens (arXiv 2505.11432, table 3 and section 6.1).
    published = 0.3248 * 240 * 989e12 * 21.61 / (720 * 8192)
    assert model("megascale-moe-352b").flops_per_token(8192) == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"layers": 0}, "layers is 0; expected at least 1"),
        ({"kv_heads": 7}, "32 heads do not share 7 heads"),
        ({"experts": 8}, "top_k is 0; expected 1 to 8"),
        ({"experts": 8, "top_k": 2}, "expert_ffn is 0"),
        ({"top_k": 2}, "without experts"),
        ({"experts": 8, "top_k": 2, "expert_ffn": 64, "dense_layers": 32}, "32 dense layers of 32"),
        ({"experts": 8, "top_k": 2, "expert_ffn": 64, "groups": 3}, "1 of 3 groups of 8 experts"),
        ({"rope_dim": 64}, "without kv_rank"),
    ],
)
def test_breakers(change, fault):
    with pytest.raises(QuestionError, match=fault):
        replace(model("llama3-8b"), **change)


def test_an_unknown_name_has_a_hint():
    with pytest.raises(QuestionError, match="no model 'lama3-8b'; did you mean llama3-8b"):
        model("lama3-8b")


def test_a_model_is_its_fields():
    assert Model(**asdict(model("qwen3-8b"))) == model("qwen3-8b")
