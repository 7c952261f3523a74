"""What `faces.py` measured, as numbers in a table and as two pictures for the book."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import matplotlib
import numpy as np
import torch

from genimg_lib import data, plot

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parent.parent
ASSETS, PAGE = ROOT / "book" / "assets", ROOT / "book" / "algorithms" / "benchmark.md"
NAMES = {
    "gan": "pixel GAN", "vae": "VAE", "flow": "pixel flow matching", "two-stage": "VAE + flow on its codes",
    "dcgan": "DCGAN example", "lucidrains": "denoising-diffusion-pytorch", "diffusers": "diffusers UNet2D",
}  # fmt: skip
PEERS = ("dcgan", "lucidrains", "diffusers")
SPACES = {"random": "random convolutions", "pca": "pixels' components"}
MARKERS = dict(zip(NAMES, "osD^ovP", strict=True))
EQUAL = 80  # seconds at which the models' faces are shown side by side
COLOURS = {
    "light": {
        "text": "#1c2726", "line": "#cfdfdb", "gan": "#17635d", "vae": "#7a9e3b", "flow": "#2f6fb0",
        "two-stage": "#0f9d8a", "dcgan": "#a2431f", "lucidrains": "#c9820a", "diffusers": "#8a4f9e",
    },
    "dark": {
        "text": "#e4ecea", "line": "#35504c", "gan": "#7fd0c4", "vae": "#b5d679", "flow": "#7db4ea",
        "two-stage": "#35e0c8", "dcgan": "#f3a987", "lucidrains": "#f0c060", "diffusers": "#d3a6e4",
    },
}  # fmt: skip


def curves(found: dict) -> dict[str, list[dict]]:
    """Of each model its points, in order of time: {"budget", "seconds", "seeds", space: (mean, least, most)}."""
    groups = defaultdict(list)
    for row in found["rows"]:
        groups[row["model"], row["budget"]].append(row)
    result = {name: [] for name in NAMES if any(name == model for model, _ in groups)}
    for (model, budget), rows in sorted(groups.items(), key=lambda item: item[0][1]):
        point = {"budget": budget, "seconds": mean(row["seconds"] for row in rows), "seeds": len(rows)}
        for space in SPACES:
            scores = [row[space] for row in rows]
            point[space] = (mean(scores), min(scores), max(scores))
        result[model].append(point)
    return result


def races(found: dict) -> list[dict]:
    """For each peer and space: its best mean score, when, and the first of our points that is as good."""
    lines, result = curves(found), []
    for peer in (name for name in PEERS if name in lines):
        for space in SPACES:
            best = min(lines[peer], key=lambda point: point[space][0])
            reached = [
                (point["budget"], point[space][0], point["seconds"], model)
                for model in lines if model not in PEERS
                for point in lines[model] if point[space][0] <= best[space][0]
            ]  # fmt: skip
            *_, seconds, model = min(reached, default=(None, None))  # of equally early ones, the best
            result.append({"peer": peer, "space": space, "best": best[space][0], "at": best["seconds"],
                           "ours": model, "seconds": seconds})  # fmt: skip
    return result


def race_table(found: dict) -> str:
    """The races as Markdown."""
    rows = ["| peer | feature space | its best score | after | ours is as good after | share of its time |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    for race in races(found):
        ours, share = "not reached", "–"
        if race["seconds"]:
            ours = f"{race['seconds']:.0f} s ({NAMES[race['ours']]})"
            share = f"{100 * race['seconds'] / race['at']:.0f} %"
        rows.append(f"| {NAMES[race['peer']]} | {SPACES[race['space']]} | {race['best']:.1f} | {race['at']:.0f} s | "
                    f"{ours} | {share} |")  # fmt: skip
    rows += [f"| {NAMES[peer]} | | not measured | | | |" for peer in PEERS if peer not in curves(found)]
    return "\n".join(rows)


def score_table(found: dict) -> str:
    """Every mean score as Markdown: a row a model, a column a budget; random convolutions / pixels' components."""
    lines = curves(found)
    budgets = sorted({point["budget"] for points in lines.values() for point in points})
    rows = [
        "| | seeds | " + " | ".join(f"{budget:g} s" for budget in budgets) + " |",
        "|---" * (len(budgets) + 2) + "|",
    ]
    for model, points in lines.items():
        at = {point["budget"]: f"{point['random'][0]:.1f} / {point['pca'][0]:.1f}" for point in points}
        seeds = [point["seeds"] for point in points]
        counted = f"{min(seeds)}–{max(seeds)}" if min(seeds) < max(seeds) else f"{seeds[0]}"
        rows.append(f"| {NAMES[model]} | {counted} | " + " | ".join(at.get(budget, "") for budget in budgets) + " |")
    rows += [f"| {name} | 0 |" + " |" * len(budgets) for model, name in NAMES.items() if model not in lines]
    real = found["real"]
    rows.append(f"| real faces | | {real['random']:.1f} / {real['pca']:.1f} |" + " |" * (len(budgets) - 1))
    return "\n".join(rows)


def draw_curves(found: dict, mode: str, path: Path) -> None:
    """Score over seconds, both logarithmic, a panel a feature space; the band is the seeds' range."""
    colour, lines = COLOURS[mode], curves(found)
    style = {
        "svg.fonttype": "none", "svg.hashsalt": "faces", "font.family": "sans-serif", "font.size": 11,
        "text.color": colour["text"], "axes.labelcolor": colour["text"], "axes.edgecolor": colour["line"],
        "xtick.color": colour["text"], "ytick.color": colour["text"],
    }  # fmt: skip
    with plt.rc_context(style):
        figure, panels = plt.subplots(2, 1, figsize=(5.4, 8.4), sharex=True)  # one above the other: a phone is narrow
        for ax, (space, title) in zip(panels, SPACES.items(), strict=True):
            for model, points in lines.items():
                x = [point["seconds"] for point in points]
                middle, low, high = zip(*(point[space] for point in points), strict=True)
                dashed = "--" if model in PEERS else "-"
                ax.plot(x, middle, dashed, color=colour[model], marker=MARKERS[model], ms=5.5, lw=2, label=NAMES[model])
                ax.fill_between(x, low, high, color=colour[model], alpha=0.15, lw=0)
            ax.axhline(found["real"][space], color=colour["text"], lw=1, ls=":", label="as many real faces")
            ax.set(xscale="log", yscale="log", title=title, ylabel="Fréchet distance, %")
            ticks = [tick for tick in (5, 10, 20, 40, 80, 160, 320) if ax.get_xlim()[0] < tick < ax.get_xlim()[1]]
            ax.set_xticks(ticks, [str(tick) for tick in ticks])
            ax.grid(color=colour["line"], lw=0.6)
            ax.spines[["top", "right"]].set_visible(False)
            low, high = ax.get_ylim()
            ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if low < tick < high]
            ax.set_yticks(ticks, [str(tick) for tick in ticks])
            ax.minorticks_off()
        panels[-1].set_xlabel("training seconds, one thread")
        names, labels = panels[0].get_legend_handles_labels()
        figure.legend(names, labels, loc="lower center", ncols=2, frameon=False, fontsize=10)
        figure.tight_layout(rect=(0, 0.13, 1, 1))
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def draw_faces(found: dict, folder: Path, path: Path) -> None:
    """The first faces of every model's first seed at equal seconds, or at the last point before; real ones on top."""
    shown = {"real faces": data.load("comic", 32, split="test").x[:12]}
    for model in curves(found):
        at = [row for row in found["rows"] if (row["model"], row["seed"]) == (model, 0) and row["budget"] <= EQUAL]
        if at:
            row = max(at, key=lambda row: row["budget"])
            kept = np.load(folder / f"{model}-0-{row['budget']:g}.npy")
            shown[f"{NAMES[model]}, {row['seconds']:.0f} s"] = torch.from_numpy(kept).float() / 127.5 - 1
    plot.rows(shown)
    plt.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    plt.close()


def between(text: str, name: str, new: str) -> str:
    """A page with what stands between two marks, `% NAME` and `% end of NAME`, replaced."""
    head, _, rest = text.partition(f"% {name}\n")
    _, _, tail = rest.partition(f"% end of {name}\n")
    return f"{head}% {name}\n\n{new}\n\n% end of {name}\n{tail}"


def write(found: dict, folder: Path) -> None:
    """Print the tables, put them on the book's page, and draw its pictures."""
    for mode in COLOURS:
        draw_curves(found, mode, ASSETS / f"faces-seconds-{mode}.svg")
    draw_faces(found, folder, ASSETS / "faces-equal-seconds.png")
    page = PAGE.read_text(encoding="utf-8")
    page = between(between(page, "races", race_table(found)), "scores", score_table(found))
    PAGE.write_text(page, encoding="utf-8")
    print(f"\n{race_table(found)}\n\n{score_table(found)}\n")


def read(path: Path = ROOT / "benchmarks" / "faces.json") -> dict:
    """The committed results."""
    return json.loads(path.read_text(encoding="utf-8"))
