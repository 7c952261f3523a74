"""Every recipe keeps the contract: losses, gradients, samples, seeds, save and load."""

import copy
import json

import pytest
import torch

from genimg_lib import recipes

NAMES = sorted(recipes.RECIPES)


@pytest.fixture(scope="module", params=NAMES)
def recipe(request):
    return recipes.get(request.param)


@pytest.fixture(scope="module")
def model(recipe, untrained):
    torch.manual_seed(0)
    return untrained(recipe)


@pytest.fixture(scope="module")
def untrained():
    def build(recipe):
        """The recipe's model with random weights in every stage."""
        return recipe.build(build(recipes.get(recipe.first))) if recipe.first else recipe.build()

    return build


@pytest.fixture
def batch(model):
    return torch.rand(8, *model.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_losses_are_finite_and_every_trainable_parameter_gets_a_gradient(model, batch):
    model = copy.deepcopy(model)
    x = model.prepare(batch)
    for _ in range(2):  # a layer that starts at zero passes its gradient on only from the second step
        for part, loss in model.turns().values():
            model.train()
            parameters = [p for p in part.parameters() if p.requires_grad]
            optimizer = torch.optim.SGD(parameters, 1e-3)
            optimizer.zero_grad()
            terms = loss(x, None)
            assert all(torch.isfinite(value) and value.ndim == 0 for value in terms.values())
            terms["loss"].backward()
            grads = [p.grad for p in parameters]
            optimizer.step()
            assert all(g is not None and torch.isfinite(g).all() for g in grads)
    for name, (part, loss) in model.turns().items():
        terms = loss(x, None)
        named = {key: p for key, p in part.named_parameters() if p.requires_grad}
        reached = set()
        for term in terms.values():  # the loss, and what it is made of: equal and opposite parts may cancel in it
            if term.requires_grad:
                grads = torch.autograd.grad(term, list(named.values()), retain_graph=True, materialize_grads=True)
                reached |= {key for key, grad in zip(named, grads, strict=True) if grad.any()}
        assert reached == set(named), f"{name}: no gradient reaches {sorted(set(named) - reached)}"


def test_one_player_leaves_the_other_alone(model, batch):
    """No turn may leave gradients in a parameter that is not its own to change."""
    model = copy.deepcopy(model).train()
    x = model.prepare(batch)
    for part, loss in model.turns().values():
        model.zero_grad()
        loss(x, None)["loss"].backward()
        own = set(part.parameters())
        assert all(p.grad is None or not p.grad.any() for p in model.parameters() if p not in own)


def test_samples_have_the_shape_the_range_and_the_seed(model, recipe):
    torch.manual_seed(3)
    first = model.sample(5)
    torch.manual_seed(3)
    again, other = model.sample(5), model.sample(5)
    assert first.shape == (5, *model.shape) and first.dtype == torch.float32 and not first.requires_grad
    assert first.min() >= -1 and first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert model.shape[-1] == recipe.size


def test_it_survives_save_and_load(model, recipe, tmp_path, untrained):
    if not model.turns():
        pytest.skip("nothing learned, nothing to save")
    recipes.save_weights(recipe.name, model, tmp_path / recipe.name, {"steps": 0})
    if recipe.first:
        recipes.save_weights(recipe.first, model.first, tmp_path / recipe.first, {"steps": 0})
    loaded = recipes.load(recipe.name, tmp_path)
    for key, value in model.state_dict().items():
        assert torch.allclose(loaded.state_dict()[key].float(), value.float(), rtol=1e-3, atol=1e-6), key


def test_a_shipped_first_stage_is_stored_once(tmp_path):
    name = "comic-coupling"
    model = recipes.load(name, tmp_path)
    path = recipes.save_weights(name, model, tmp_path / name, {"steps": 0})
    assert path.stat().st_size == (recipes.WEIGHTS / f"{name}.safetensors").stat().st_size
    assert path.stat().st_size < sum(p.numel() for p in model.parameters())  # two bytes a number, were all in it
    loaded = recipes.load(name, tmp_path)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())

    next(model.first.parameters()).data += 0.1  # another first stage is stored with the second
    path = recipes.save_weights(name, model, tmp_path / name, {"steps": 0})
    first = next(iter(recipes.load(name, tmp_path).first.parameters()))
    assert torch.allclose(first, next(model.first.parameters()), atol=1e-3)

    path = recipes.save_weights(name, recipes.load(name, tmp_path / "none"), tmp_path / name, {"steps": 0})
    facts = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(facts | {"first": "0" * 64}))
    with pytest.raises(ValueError, match="was trained with another comic-vae than ships now"):
        recipes.load(name, tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    torch.manual_seed(0)
    recipes.save_weights("manga-gan", recipes.get("manga-gan").build(), tmp_path / "comic-gan", {"steps": 0})
    (tmp_path / "comic-gan/manga-gan.safetensors").rename(tmp_path / "comic-gan/comic-gan.safetensors")
    with pytest.raises(ValueError, match="does not hold the weights of 'comic-gan'"):
        recipes.load("comic-gan", tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    path = recipes.save_weights("manga-gan", recipes.get("manga-gan").build(), tmp_path / "manga-gan", {"steps": 0})
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="its checksum differs"):
        recipes.load("manga-gan", tmp_path)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'comic-gan'"):
        recipes.get("comic_gan")


@pytest.mark.parametrize("name", NAMES)
def test_shipped_weights_load_and_say_where_they_come_from(name):
    path = recipes.WEIGHTS / f"{name}.safetensors"
    if not path.exists():
        pytest.skip("trained by the reader, not shipped")
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["sha256"] == recipes.sha256(path.read_bytes())
    assert {"recipe", "steps", "seconds", "device", "samples", "scores"} <= set(facts)
    assert path.stat().st_size < 5_000_000
