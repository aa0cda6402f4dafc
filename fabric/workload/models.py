"""Models: what a transformer is made of, and what follows from it: parameters, FLOPs, bytes of a token.

Every count is worked out from a row of ``data/models.csv``, never typed; the row also has the count that its
source publishes, and a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from fabric.errors import QuestionError, nearest
from fabric.parts.rows import Row, grounds, read_rows

Biases = Literal["none", "qkv", "all"]

DATA = resources.files("fabric.workload") / "data"
_EVIDENCE = ("parameters_b", "active_b", "active_counts", "source", "confidence")


@dataclass(frozen=True, slots=True)
class Model:
    """A transformer of layers that are alike, but for some dense ones before those of experts.

    Parameters
    ----------
    id, name : str
    layers, hidden, ffn : int
        Layers; values of a token; inner size of a dense feed-forward layer.
    heads, kv_heads, head_dim, vocabulary : int
        Of a head the values of a key, and of a value, without those of the rotation of latent attention.
    matrices : int
        Of a feed-forward layer: 3 with a gate (SwiGLU), else 2.
    tied : bool
        Whether the output layer is the input embedding.
    biases : {"none", "qkv", "all"}
        Which matrices have them, and norms with ``"all"``.
    qk_norm : bool
        Whether queries and keys of a head are normed.
    positions : int
        Learned positions; 0 where they are rotated.
    sequence : int
        Tokens that it was trained on, or serves; 0 if not known.
    experts, top_k, shared_experts, expert_ffn : int
        Routed experts of a layer, those that a token goes to, those that all tokens go to, and their inner
        size; 0 experts for a dense model.
    dense_layers : int
        The first layers, which have no experts.
    groups, group_limit : int
        Groups of experts, and those that the experts of a token may lie in.
    q_rank, kv_rank, rope_dim : int
        Of latent attention (MLA): sizes of the two latent vectors, and of the part of a key that is rotated;
        0 for attention that keeps keys and values.
    note : str

    Notes
    -----
    Multi-head latent attention: DeepSeek-V2, arXiv 2405.04434, section 2.1. Grouped queries: arXiv
    2305.13245.
    """

    id: str
    name: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    matrices: int = 3
    tied: bool = False
    biases: Biases = "none"
    qk_norm: bool = False
    positions: int = 0
    sequence: int = 0
    experts: int = 0
    top_k: int = 0
    shared_experts: int = 0
    expert_ffn: int = 0
    dense_layers: int = 0
    groups: int = 1
    group_limit: int = 1
    q_rank: int = 0
    kv_rank: int = 0
    rope_dim: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no model."""
        for fault in self._faults():
            msg = f"model {self.id}: {fault}"
            raise QuestionError(msg)

    def _faults(self) -> list[str]:
        faults = [f"{n} is 0; expected at least 1" for n in _POSITIVE if getattr(self, n) < 1]
        if self.kv_heads and self.heads % self.kv_heads:
            faults.append(f"{self.heads} heads do not share {self.kv_heads} heads of keys and values evenly")
        if self.experts and not 1 <= self.top_k <= self.experts:
            faults.append(f"top_k is {self.top_k}; expected 1 to {self.experts}, the experts of a layer")
        if self.experts and not self.expert_ffn:
            faults.append("expert_ffn is 0; give the inner size of an expert")
        if not self.experts and (self.top_k or self.shared_experts or self.dense_layers):
            faults.append("top_k, shared_experts or dense_layers without experts; give experts")
        if self.dense_layers >= self.layers:
            faults.append(f"{self.dense_layers} dense layers of {self.layers}; expected fewer")
        if self.experts and (self.experts % self.groups or not 1 <= self.group_limit <= self.groups):
            faults.append(f"{self.group_limit} of {self.groups} groups of {self.experts} experts: not even")
        if bool(self.q_rank or self.rope_dim) and not self.kv_rank:
            faults.append("q_rank or rope_dim without kv_rank; latent attention has all three")
        return faults

    @property
    def moe_layers(self) -> int:
        """Layers with experts."""
        return self.layers - self.dense_layers if self.experts else 0

    @property
    def attention_parameters(self) -> int:
        """Parameters of the attention of a layer, its norms included."""
        h, heads, d = self.hidden, self.heads, self.head_dim
        norms = 2 * h
        if self.kv_rank:
            query = h * self.q_rank + self.q_rank + self.q_rank * heads * (d + self.rope_dim)
            if not self.q_rank:
                query = h * heads * (d + self.rope_dim)
            down = h * (self.kv_rank + self.rope_dim) + self.kv_rank
            return query + down + self.kv_rank * heads * 2 * d + heads * d * h + norms
        matrices = 2 * h * heads * d + 2 * h * self.kv_heads * d
        biases = {"none": 0, "qkv": (heads + 2 * self.kv_heads) * d}
        every = (heads + 2 * self.kv_heads) * d + h + norms
        return matrices + biases.get(self.biases, every) + norms + 2 * d * self.qk_norm

    @property
    def expert_parameters(self) -> int:
        """Parameters of one expert."""
        return self.matrices * self.hidden * self.expert_ffn

    @property
    def dense_ffn_parameters(self) -> int:
        """Parameters of a dense feed-forward layer."""
        biases = (self.matrices - 1) * self.ffn + self.hidden if self.biases == "all" else 0
        return self.matrices * self.hidden * self.ffn + biases

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the input embedding."""
        return self.vocabulary * self.hidden

    @property
    def n_routed(self) -> int:
        """Parameters of all routed experts."""
        return self.moe_layers * self.experts * self.expert_parameters

    @property
    def n_parameters(self) -> int:
        """All parameters."""
        return self._count(self.experts)

    @property
    def n_active(self) -> int:
        """Parameters that a token meets, both embeddings included."""
        return self._count(self.top_k)

    @property
    def n_computing(self) -> int:
        """Parameters that a token is multiplied with: the active ones but those that it only looks up."""
        looked_up = (0 if self.tied else self.embedding_parameters) + self.positions * self.hidden
        return self.n_active - looked_up

    def _count(self, experts: int) -> int:
        h, is_routed = self.hidden, self.experts > 0
        # A router has a row for every expert; that of DeepSeek-V3 has a bias too, which is what groups it.
        router = self.experts * h + (self.experts if self.groups > 1 else 0)
        moe = (experts + self.shared_experts) * self.expert_parameters + router if is_routed else 0
        dense = self.layers - self.moe_layers
        layers = self.layers * self.attention_parameters + dense * self.dense_ffn_parameters
        ends = h * (2 if self.biases == "all" else 1) + self.positions * h
        embeddings = self.embedding_parameters * (1 if self.tied else 2)
        return layers + self.moe_layers * moe + ends + embeddings

    @property
    def key_dim(self) -> int:
        """Values of a key of one head, the rotated part included."""
        return self.head_dim + self.rope_dim

    def kv_bytes_per_token(self, value_bytes: float = 2.0) -> float:
        """Return the bytes that a token keeps in the cache of keys and values, of all layers.

        Latent attention keeps the latent vector and the rotated part of the key; else a key and a value for
        each of `kv_heads`.

        Examples
        --------
        >>> model("deepseek-v3").kv_bytes_per_token(), model("llama3-405b").kv_bytes_per_token()
        (70272.0, 516096.0)
        """
        values = self.kv_rank + self.rope_dim if self.kv_rank else 2 * self.kv_heads * self.head_dim
        return self.layers * values * value_bytes

    def flops_per_token(self, length: int) -> float:
        """Return the FLOPs of a token of training: forward and backward, in sequences of `length` tokens.

        Notes
        -----
        6 for every parameter that a token is multiplied with, and for scores and weighted values of causal
        attention 3 heads (key + value) x length in every layer: half of the square, twice for multiply and
        add, three times for one pass forward and two backward.

        References
        ----------
        PaLM, arXiv 2204.02311, appendix B, with the causal half, as the MFU of MegaScale-MoE (arXiv
        2505.11432, 32.48 % of 240 H800 in 21.61 s) counts it.

        Examples
        --------
        >>> round(model("llama3-405b").flops_per_token(8192) / 1e12, 3)
        2.524
        """
        attention = 3.0 * self.layers * self.heads * (self.key_dim + self.head_dim) * length
        return 6.0 * self.n_computing + attention


_POSITIVE = ("layers", "hidden", "ffn", "heads", "kv_heads", "head_dim", "vocabulary", "matrices", "groups")


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model, and what its source says of it.

    Parameters
    ----------
    model : Model
    parameters_b, active_b : str
        Published counts in billions, with the digits of the source; empty where it has none.
    active_counts : {"", "output", "both"}
        Which embeddings `active_b` counts.
    source, confidence : str
    """

    model: Model
    parameters_b: str
    active_b: str
    active_counts: str
    source: str
    confidence: str


@cache
def model_rows() -> dict[str, ModelRow]:
    """Return the rows of the catalogue of models by their ids.

    Raises
    ------
    PartError
        If the file is broken.
    """
    columns = ("id", *(f.name for f in fields(Model) if f.name != "id"), *_EVIDENCE)
    titles = {row.text("id"): row.text("title") for row in read_rows(DATA, "sources.csv", _SOURCE_COLUMNS)}
    found: dict[str, ModelRow] = {}
    for row in read_rows(DATA, "models.csv", columns):
        evidence = grounds(row, titles)
        source = "; ".join(titles[name] for name in evidence.source)
        total, active, counts = (row.cells[name] for name in _EVIDENCE[:3])
        found[row.text("id")] = ModelRow(_model_of(row), total, active, counts, source, evidence.confidence)
    return found


_SOURCE_COLUMNS = ("id", "title", "locator")


def _model_of(row: Row) -> Model:
    cells: dict[str, Any] = {}
    for field in fields(Model):
        if field.type == "int":
            cells[field.name] = int(row.number(field.name))
        elif field.type == "bool":
            cells[field.name] = row.choice(field.name, ("yes", "no")) == "yes"
        else:
            cells[field.name] = row.cells[field.name]
    row.choice("biases", get_args(Biases))
    try:
        return Model(**cells)
    except QuestionError as error:
        row.refuse(str(error))


def model(name: str) -> Model:
    """Return a model of the catalogue.

    Raises
    ------
    QuestionError
        If there is none of that name.

    Examples
    --------
    >>> model("llama3-8b").n_parameters
    8030261248
    """
    rows = model_rows()
    if name not in rows:
        hint = nearest(name, rows) or f"known are {', '.join(rows)}"
        msg = f"no model {name!r}; {hint}"
        raise QuestionError(msg)
    return rows[name].model
