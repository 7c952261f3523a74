"""From words to wishes: a small text encoder that hears what a sentence asks of a face, in English and in Chinese."""

import difflib
import random
import re
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from genimg_lib import _drawn
from genimg_lib.model import Losses
from genimg_lib.nets import mlp

NOUNS = "person face woman man girl boy lady guy kid child somebody character portrait".split()
GLUE = "a an the with and wearing who has is of her his hair skin comic please draw without no".split()
ZH_NOUNS = "人 女人 男人 女孩 男孩 女士 先生 脸 孩子 姑娘 小伙子 人物 老师".split()
LENGTH = 64  # tokens of a sentence, at most


@cache
def concepts() -> dict[str, dict[str, dict]]:
    """attribute -> concept -> {"is": the artwork's values, "adjective" …: ways to say it}, from phrases.yml."""
    found = yaml.safe_load((Path(__file__).parent / "phrases.yml").read_text("utf-8"))
    for named in found.values():
        for concept, ways in named.items():
            ways.setdefault("is", [concept])
    return found


def tokens(sentence: str) -> list[str]:
    """Words of letters, and every Chinese character by itself; case and punctuation are dropped."""
    return re.findall(r"[a-zà-ÿ]+|[\u4e00-\u9fff]|\d+", sentence.lower().replace("'s", ""))


# ------------------------------------------------------------------------------------------------ sentences


def english(wish: dict[str, str], rng: random.Random) -> str:
    """One of the many English sentences that ask for a wish {attribute: concept}."""
    before, after, hair = [], [], []
    for attribute, concept in rng.sample(sorted(wish.items()), len(wish)):
        ways = concepts()[attribute][concept]
        forms = [form for form in ("adjective", "with", "hair") if form in ways]
        form = rng.choice(forms)
        {"adjective": before, "with": after, "hair": hair}[form].append(rng.choice(ways[form]))
    if hair:
        after.insert(rng.randint(0, len(after)), " ".join([*hair, "hair"]))
    noun, article = rng.choice(NOUNS), rng.choice(["a ", "the ", "a comic ", ""])
    start = article + " ".join([*before, noun]) if before or not after or rng.random() < 0.8 else ""
    joint = rng.choice([" with ", " wearing ", " who has ", ", "]) if start and after else ""
    return start + joint + "".join(rng.choice([" and ", ", ", ", and "]) * (i > 0) + w for i, w in enumerate(after))


def chinese(wish: dict[str, str], rng: random.Random) -> str:
    """One of the many Chinese sentences that ask for a wish {attribute: concept}."""
    parts, hair = [], []
    for attribute, concept in rng.sample(sorted(wish.items()), len(wish)):
        ways = concepts()[attribute][concept]
        if "zh_hair" in ways:
            hair.append(rng.choice(ways["zh_hair"]))
        else:
            parts.append(rng.choice(ways["zh"]))
    if hair:
        parts.insert(rng.randint(0, len(parts)), rng.choice(["", "有", "留着"]) + rng.choice(["", "的"]).join(hair)
                     + rng.choice(["发", "头发", "的头发"]))  # fmt: skip
    noun, first = rng.choice(ZH_NOUNS), rng.choice(["一个", "一位", "画一个", "她是一个", "他是一位", ""])
    if parts and rng.random() < 0.5:
        return first + rng.choice(["、", "，", "和", ""]).join(parts) + "的" + noun
    return first + noun + ("，" + rng.choice(["，", "、", "，还"]).join(parts)) * bool(parts)


def random_wish(rng: random.Random) -> dict[str, str]:
    """What a sentence of the training set asks for: each attribute, or nothing of it, by chance."""
    chance = rng.choice([0.1, 0.25, 0.5])
    return {a: rng.choice(sorted(named)) for a, named in concepts().items() if rng.random() < chance}


def corpus(n: int, seed: int = 0) -> tuple[list[str], Tensor]:
    """n sentences, half of them Chinese, and what each asks: (n, A), a concept's number from 1, and 0 for nothing."""
    rng = random.Random(seed)
    wishes = [random_wish(rng) for _ in range(n)]
    sentences = [(english if rng.random() < 0.5 else chinese)(wish, rng) for wish in wishes]
    rows = [[1 + list(named).index(w[a]) if a in w else 0 for a, named in concepts().items()] for w in wishes]
    return sentences, torch.tensor(rows)


@cache
def vocabulary() -> tuple[str, ...]:
    """Every token that a phrase, a noun or the glue between them can hold; 0 is no token."""
    said = [*GLUE, *NOUNS, *ZH_NOUNS, "一个一位画她他是的有留着和还发头发色很"]
    said += [phrase for named in concepts().values() for ways in named.values()
             for form, phrases in ways.items() if form != "is" for phrase in phrases]  # fmt: skip
    return ("", *sorted({token for phrase in said for token in tokens(phrase)}))


# ------------------------------------------------------------------------------------------------ the encoder


class TextEncoder(nn.Module):
    """A sentence as numbers (B, LENGTH) -> for each attribute, logits over its concepts and "nothing": (B, K).

    Three convolutions let each word hear its neighbours, "brown" the "skin" that follows it, and a maximum over the
    words asks whether something was said anywhere in the sentence (Kim 2014, there for sentiment).
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.sizes = [1 + len(named) for named in concepts().values()]
        self.embed = nn.Embedding(len(vocabulary()), width, padding_idx=0)
        self.hear = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(3))
        self.tell = mlp([width, 2 * width, sum(self.sizes)])

    @property
    def device(self):
        return self.embed.weight.device

    def forward(self, x: Tensor) -> Tensor:
        there = (x > 0)[:, None]
        h = self.embed(x).mT
        for conv in self.hear:
            h = (h + F.gelu(conv(h))) * there
        return self.tell(h.masked_fill(~there, -1e4 if h.dtype == torch.float16 else -1e9).amax(dim=2))

    def loss(self, x: Tensor, y: Tensor) -> Losses:
        """Cross-entropy of each attribute's concept, in nats, summed: x (B, LENGTH), y (B, A) from `corpus`."""
        logits = self(x).float().split(self.sizes, dim=1)
        return {"loss": sum(F.cross_entropy(part, y[:, a]) for a, part in enumerate(logits))}

    def turns(self):
        return {"model": (self, self.loss)}

    def prepare(self, x: Tensor) -> Tensor:
        return x

    @torch.no_grad()
    def wish(self, sentence: str) -> dict[str, str]:
        """What a sentence asks for, {attribute: concept}; ValueError names every word that nothing is known about."""
        check(sentence)
        said = concepts_of(self(encode([sentence])), self.sizes)[0].tolist()
        return {a: list(named)[k - 1] for (a, named), k in zip(concepts().items(), said, strict=True) if k}


def concepts_of(logits: Tensor, sizes: list[int]) -> Tensor:
    """The likeliest concept of each attribute: logits (B, K) -> (B, A), 0 for nothing."""
    return torch.stack([part.argmax(dim=1) for part in logits.split(sizes, dim=1)], dim=1)


def encode(sentences: list[str]) -> Tensor:
    """The tokens' numbers in the vocabulary, padded with 0: (B, LENGTH)."""
    number = {token: i for i, token in enumerate(vocabulary())}
    rows = [[number[token] for token in tokens(s)][:LENGTH] for s in sentences]
    return torch.tensor([row + [0] * (LENGTH - len(row)) for row in rows])


def check(sentence: str) -> None:
    """ValueError for a sentence that is empty, too long, or holds words that no phrase has."""
    words, known = tokens(sentence), set(vocabulary())
    if not words:
        raise ValueError("expected a description such as 'a smiling woman with long green hair', got no words")
    if len(words) > LENGTH:
        raise ValueError(f"expected at most {LENGTH} words, got {len(words)}: leave out what a face cannot show")
    strange = list(dict.fromkeys(word for word in words if word not in known))
    if strange:
        near = {word: difflib.get_close_matches(word, known - {""}, 1, 0.7) for word in strange}
        named = ", ".join(f"{word!r}" + (f" (did you mean {n[0]!r}?)" if n else "") for word, n in near.items())
        raise ValueError(f"unknown words: {named}. `genimg draw --words` lists what can be asked for")


def to_labels(wish: dict[str, str], n: int, generator: torch.Generator | None = None) -> Tensor:
    """n rows of labels as the comic data set has them, (n, A): one of a concept's values each, −1 for anything."""
    columns = _drawn.attributes("comic")
    y = torch.full((n, len(columns)), -1)
    for attribute, concept in wish.items():
        values = [columns[attribute].index(value) for value in concepts()[attribute][concept]["is"]]
        if attribute == "hair" and "hair_length" in wish:  # "short curly hair": a style of that length, if there is one
            fits = [v for v in values if columns["hair"][v].startswith(wish["hair_length"])]
            values = fits or values
        y[:, list(columns).index(attribute)] = torch.tensor(values)[
            torch.randint(len(values), (n,), generator=generator)
        ]
    return y
