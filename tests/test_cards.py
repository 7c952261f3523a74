"""Model cards say what the weights' JSON says, on the data's terms."""

import json
import shutil

import pytest

from genimg_lib import cards, data, recipes

SECTIONS = ["Use", "Data", "Training", "Scores", "Limits", "Licence and credits"]
SHIPPED = [path.stem for path in sorted(recipes.WEIGHTS.glob("*.json")) if path.stem in recipes.RECIPES]


@pytest.mark.parametrize("name", ["comic-gan", "comic-latent-cond", "manga-gan", "digits-map"])
def test_a_card_holds_what_is_known(name, tmp_path):
    said = cards.card(name, tmp_path)
    facts = json.loads((recipes.WEIGHTS / f"{name}.json").read_text())
    assert [line[3:] for line in said.splitlines() if line.startswith("## ")] == SECTIONS
    assert facts["sha256"] in said and f"{facts['steps']:,} steps" in said
    for key, value in facts["scores"].items():
        assert f"| {key} | {value:g} |" in said
    assert f"Of {facts['samples']:,} samples" in said
    source = data.SOURCES[recipes.get(name).data]
    assert source.licence in said and source.source in said
    if recipes.get(name).data == "comic":
        assert "Adventurer by Lisa Wischofsky, CC BY 4.0" in said and "8,000 pictures to learn from" in said
    if recipes.get(name).first:
        assert facts["first"] in said


def test_every_shipped_model_has_a_card():
    made = cards.cards()
    assert set(made) == set(SHIPPED) and all(text.startswith(f"# {name}\n") for name, text in made.items())


def test_poor_draws_are_called_poor(tmp_path):
    poor, good = (cards.card(name, tmp_path) for name in ("comic-vae", "comic-latent"))
    assert "visibly unlike the data" in poor and "visibly unlike the data" not in good


def own_run(folder, change):
    """The shipped manga-gan as a run of one's own, its JSON changed."""
    place = folder / "manga-gan"
    place.mkdir()
    for end in ("safetensors", "json"):
        shutil.copy(recipes.WEIGHTS / f"manga-gan.{end}", place)
    path = place / "manga-gan.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def test_the_numbers_come_from_the_json(tmp_path):
    scores = {"frechet random": 77.5, "coverage pca": 0.125}
    own_run(tmp_path, lambda facts: facts | {"steps": 4321, "samples": 321, "scores": scores})
    said = cards.card("manga-gan", tmp_path)
    assert "4,321 steps" in said and "Of 321 samples" in said and "visibly unlike" in said
    assert "| frechet random | 77.5 |" in said and "12% of unseen" in said


def test_a_run_without_scores_says_so(tmp_path):
    own_run(tmp_path, lambda facts: {key: value for key, value in facts.items() if key != "scores"})
    assert "`genimg score manga-gan`" in cards.card("manga-gan", tmp_path)


def test_no_card_without_weights_that_load(tmp_path):
    with pytest.raises(ValueError, match="learned nothing"):
        cards.card("drawn-faces", tmp_path)
    own_run(tmp_path, lambda facts: facts | {"sha256": "0"})
    with pytest.raises(ValueError, match="does not hold the weights"):
        cards.card("manga-gan", tmp_path)


def test_the_command_writes_a_card_and_replaces_nothing(genimg, tmp_path):
    assert genimg("export", "card", "manga-gan", "--out", "card.md")[0] == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == cards.card("manga-gan", tmp_path)
    (tmp_path / "card.md").write_text("mine")
    status, said = genimg("export", "card", "manga-gan", "--out", "card.md")
    assert status == 2 and "--force" in said and (tmp_path / "card.md").read_text() == "mine"
    assert genimg("export", "card", "manga-gan", "--out", "card.md", "--force")[0] == 0
    for words in (["manga-gan", "--out", "card.png"], ["comic-mermaid", "--out", "new.md"]):
        status, said = genimg("export", "card", *words)
        assert status == 2 and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["card.md"]
