"""Model cards: what is known of trained weights, on one page   (Mitchell et al. 2019).

Nothing on a card is typed in twice: numbers come from the JSON beside the weights, names and settings from the recipe,
sources and licences from the data.
"""

from collections.abc import Iterable
from pathlib import Path

from genimg_lib import _drawn, data, recipes

# What numbers cannot say, by data set: for what the model is meant, for what it is not, what it cannot do.
MEANT = {
    "comic": "learning, teaching, avatars and decoration: faces of nobody, in one artist's manner",
    "manga": "learning and teaching: faces of nobody, in one artist's manner",
    "digits": "learning and teaching",
}
NOT_MEANT = {
    "comic": "pictures of particular people; anything that is to be taken for the artist's own work",
    "manga": "pictures of particular people; anything that is to be taken for the artist's own work",
    "digits": "reading or forging handwriting",
}
LIMITS = {
    "comic": [
        "It knows the parts of one kit, and nothing about people: no age, no sex, no origin. Skin and hair colours are "
        "independent in the data, as they are not in the world.",
        "Rare values are drawn too seldom and heard badly; nine faces in ten of the data wear no glasses.",
    ],
    "manga": ["It knows the parts of one kit, and nothing about people."],
    "digits": ["It has seen Western digits, one at a time, centred."],
}
CREDITS = {
    "comic": "Keep this credit with the weights and with every picture: *Adventurer by Lisa Wischofsky, CC BY 4.0; "
    "remixed.*",
    "manga": "No credit is asked for; we name the artist all the same.",
}
GOOD = {"frechet": "low; 100 is the spread of real pictures", "kid": "low, about 0", "coverage": "high, at most 1"}
SMEARED = 20  # a Fréchet distance above which a model's draws are visibly not like the data


def card(name: str, runs: Path = Path("runs")) -> str:
    """The model card of trained weights, Markdown. ValueError or FileNotFoundError where there are none that load."""
    recipe = recipes.get(name, runs)
    if not recipe.steps:
        raise ValueError(f"{name} has learned nothing, so there is no card to write; its rules are in genimg_lib.rules")
    path = recipes.weights_of(name, runs)
    model, facts = recipes.load(name, runs), recipes.facts_of(path)
    kind = recipe.data.partition(":")[0]
    parts = [
        f"# {name}",
        f"*{recipe.about}*",
        table(details(recipe, model, path, facts).items()),
        "## Use",
        f"```bash\ngenimg sample {name} --n 64 --out faces.png\n```",
        f"**Meant for** {MEANT.get(kind, 'the one who trained it')}.",
        f"**Not meant for** {NOT_MEANT.get(kind, 'pictures that you have no right to train on')}.",
        "## Data",
        *learned_from(recipe, kind),
        "## Training",
        trained(recipe, facts),
        "## Scores",
        *scored(name, facts),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits(recipe, kind, facts)),
        "## Licence and credits",
        *licensed(kind),
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Iterable[tuple[str, ...]], head: tuple[str, ...] = ("", "")) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def details(recipe, model, path: Path, facts: dict) -> dict[str, str]:
    """What the weights are."""
    channels = {1: "grey", 3: "colour"}[model.shape[0]]
    numbers = sum(weight.numel() for weight in model.parameters())
    rows = {
        "pictures": f"{model.shape[1]} × {model.shape[2]} pixels, {channels}",
        "model": f"`{type(model).__name__}`, {numbers:,} numbers" + (", first stage included" if recipe.first else ""),
        "file": f"`{path.name}`, {path.stat().st_size / 1e6:.1f} MB, 16-bit",
        "sha256": f"`{facts.get('sha256', 'unknown')}`",
    }
    if recipe.first:
        rows["first stage"] = f"`{recipe.first}`, sha256 `{facts.get('first', 'inside the file')}`"
    return rows


def learned_from(recipe, kind: str) -> list[str]:
    """Where the pictures come from, and how many there were."""
    source = data.SOURCES["folder:PATH" if kind == "folder" else kind]
    said = [f"`{kind}`: {source.what}. From {source.source}. Licence: {source.licence}."]
    look = _drawn.LOOKS.get(kind)
    if look:
        held = "held out by their attributes, so that no combination is on both sides"
        said.append(f"{look.train:,} pictures to learn from; {look.test:,} others {held}.")
    return said


def trained(recipe, facts: dict) -> str:
    """What the training was."""
    seconds = f" in {facts['seconds']:,} seconds" if "seconds" in facts else ""
    where = f" on {facts['device']}, torch {facts['torch']}" if "device" in facts else ""
    return f"{facts.get('steps', recipe.steps):,} steps of {recipe.batch} pictures{seconds}{where}, one seed."


def scored(name: str, facts: dict) -> list[str]:
    """The scores beside the weights."""
    if "scores" not in facts:
        return [f"Not measured yet: `genimg score {name}`."]
    rows = [(key, f"{value:g}", GOOD[key.split()[0]]) for key, value in facts["scores"].items()]
    return [
        table(rows, ("score", "value", "good is")),
        f"Of {facts['samples']:,} samples of seed 0 against as many held-out pictures, in two feature "
        "spaces: random convolutions and principal components of the pixels. Copying and attributes are not in these "
        "numbers.",
    ]


def limits(recipe, kind: str, facts: dict) -> list[str]:
    """What it cannot do, as far as it is known."""
    said = [f"Pictures have {recipe.size} pixels a side. What needs more to be seen was not in the data either."]
    said += LIMITS.get(kind, [])
    scores = facts.get("scores", {})
    if scores:
        least = min(value for key, value in scores.items() if key.startswith("coverage"))
        said.append(f"It reaches {least:.0%} of unseen pictures; what the others show it draws hardly ever.")
        if max(value for key, value in scores.items() if key.startswith("frechet")) > SMEARED:
            said.append("**Its own draws are visibly unlike the data.** It is here as a first stage, or to compare.")
    return said


def licensed(kind: str) -> list[str]:
    """On which terms."""
    licence = data.SOURCES["folder:PATH" if kind == "folder" else kind].licence
    said = [f"The code is under the MIT licence. The data: {licence}; the weights and their pictures are made of them."]
    return said + ([CREDITS[kind]] if kind in CREDITS else [])


def cards(names=None) -> dict[str, str]:
    """The cards of several models by name; of all whose weights ship, if none are named."""
    shipped = [path.stem for path in sorted(recipes.WEIGHTS.glob("*.json")) if path.stem in recipes.RECIPES]
    return {name: card(name) for name in names or shipped}
