"""From words to wishes: the grammar, the encoder that ships, and the command `genimg draw`."""

import random

import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from genimg_lib import _drawn, draw_cli, recipes, words

ASKED = {
    "a smiling woman with long green hair and glasses":
        {"hair_length": "long", "hair_color": "green", "mouth": "smiling", "glasses": "glasses"},
    "sad man, dark brown hair, brown skin and a mustache":
        {"hair_color": "dark brown", "skin_color": "brown", "mouth": "sad", "details": "mustache"},
    "A girl with black hair in two buns, freckles and no earrings.":
        {"hair": "two buns", "hair_color": "black", "details": "freckles", "earrings": "none"},
    "一个微笑的女人，留着绿色的长发，戴着眼镜":
        {"hair_length": "long", "hair_color": "green", "mouth": "smiling", "glasses": "glasses"},
    "光头的男人，戴墨镜": {"hair": "bald", "glasses": "sunglasses"},
    "a portrait": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def listener():
    return draw_cli.listener()


@pytest.mark.parametrize("sentence", ASKED)
def test_what_a_sentence_asks_for_is_heard(listener, sentence):
    assert listener.wish(sentence) == ASKED[sentence]


def test_new_sentences_are_heard_nearly_always(listener):
    sentences, asked = words.corpus(1_000, seed=7)
    with torch.no_grad():
        said = words.concepts_of(listener(words.encode(sentences)), listener.sizes)
    assert (said == asked).float().mean() > 0.99
    shuffled = asked[torch.randperm(len(asked), generator=torch.Generator().manual_seed(0))]
    assert (said == shuffled).all(dim=1).float().mean() < 0.2  # as a listener would do who hears nothing


def test_every_concept_names_values_that_the_artwork_has():
    columns = _drawn.attributes("comic")
    assert set(words.concepts()) <= set(columns)
    for attribute, named in words.concepts().items():
        for concept, ways in named.items():
            assert set(ways["is"]) <= set(columns[attribute]), (attribute, concept)
            assert any(key != "is" and not key.startswith("zh") for key in ways), (attribute, concept)
            assert any(key.startswith("zh") for key in ways), (attribute, concept)


def test_no_phrase_means_two_things():
    meant = {}
    for attribute, named in words.concepts().items():
        for concept, ways in named.items():
            for form, phrases in ways.items():
                for phrase in phrases if form != "is" else []:
                    assert meant.setdefault((form, phrase), (attribute, concept)) == (attribute, concept), phrase


def test_sentences_use_known_words_and_fit():
    known = set(words.vocabulary())
    for sentence in words.corpus(500, seed=3)[0]:
        assert 0 < len(words.tokens(sentence)) <= words.LENGTH and set(words.tokens(sentence)) <= known


def test_labels_are_drawn_from_the_concepts_values():
    columns, generator = _drawn.attributes("comic"), torch.Generator().manual_seed(0)
    y = words.to_labels({"mouth": "smiling", "hair": "curly", "hair_length": "short"}, 200, generator)
    assert y.shape == (200, len(columns))
    assert {columns["mouth"][v] for v in y[:, 3]} == set(words.concepts()["mouth"]["smiling"]["is"])
    assert {columns["hair"][v] for v in y[:, 0]} == {"short03", "short17", "short18"}
    assert (y[:, 1] == -1).all()  # nothing was said about the eyes


@pytest.mark.parametrize(
    ("sentence", "said"),
    [("", "no words"), ("?!", "no words"), ("a woman with glases", "did you mean 'glasses'"),
     ("a ferocious xylophone", "'ferocious'.*, 'xylophone'"), ("smiling " * 65, "at most 64")],
)  # fmt: skip
def test_what_is_not_known_is_named(listener, sentence, said):
    with pytest.raises(ValueError, match="(?s).*" + said):
        listener.wish(sentence)


def test_draw_makes_the_faces_that_were_asked_for(genimg, tmp_path):
    ask = ("draw", "a bald man with sunglasses", "--n", 3, "--scale", 1)
    status, said = genimg(*ask, "--out", "a.png")
    assert status == 0 and "hair: bald" in said and "glasses: sunglasses" in said
    assert genimg(*ask, "--out", "b.png")[0] == genimg(*ask, "--out", "c.png", "--seed", 5)[0] == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.height == 64


def test_draw_refuses_and_overwrites_nothing(genimg, tmp_path):
    (tmp_path / "here.png").write_bytes(b"mine")
    for ask, expected in (
        (("a face", "--out", "here.png"), "--force"),
        (("a face", "--out", "nowhere/a.png"), "does not exist"),
        (("a face", "--out", "face.doc"), "ending"),
        (("a face with wings", "--out", "wings.png"), "'wings'"),
        (("", "--out", "empty.png"), "no words"),
        (("a face", "--size", 48), "--size is 32 or 64"),
    ):
        status, said = genimg("draw", *ask)
        assert status == 2 and expected in said, said
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["here.png"]
    assert (tmp_path / "here.png").read_bytes() == b"mine"
    status, said = genimg("draw", "--words")
    assert status == 0 and "two buns" in said


@pytest.mark.parametrize("size", draw_cli.MODELS)
def test_colours_asked_for_are_drawn(size):
    """Green hair is greener than red hair, and dark skin darker than light skin, on the very same noise."""
    model = recipes.load(draw_cli.MODELS[size])

    def drawn(wish):
        return avg_pool2d(draw_cli.faces(model, wish, 24), size // 32)

    green, red = (drawn({"hair_color": colour})[:, :, :16].mean((0, 2, 3)) for colour in ("green", "red"))
    assert green[1] - green[0] > red[1] - red[0] + 0.1
    dark, light = (drawn({"skin_color": colour})[:, :, 12:22, 10:22].mean() for colour in ("dark", "light"))
    assert dark < light - 0.3


def test_the_grammar_is_reproducible():
    assert words.corpus(50, seed=5)[0] == words.corpus(50, seed=5)[0] != words.corpus(50, seed=6)[0]
    wish = {"hair_color": "brown", "skin_color": "dark"}
    assert "hair" in words.english(wish, random.Random(1)) or "haired" in words.english(wish, random.Random(1))
