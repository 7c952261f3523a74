"""Three broken programs to read, and what is wrong with each: the text of `find_the_faults`, and its truth.

They are re-creations in PyTorch of programs of a kind often met in tutorials: written, never run.
"""

CLASSES = {
    "missing import": "a name is used that nothing imports or defines",
    "wrong arguments": "a function is called with other arguments than it declares",
    "no such call": "a method, class or keyword that does not exist in this form",
    "wrong layer": "this kind of layer cannot do the job given to it here",
    "not flattened": "a dense layer acts on the last axis of a picture that should have been flattened first",
    "wrong activation": "the activation forbids values that this output must be able to take",
    "wrong size": "a size here cannot meet the size it has to meet",
    "not wired": "the data does not flow as it must: the wrong thing goes in, or comes out",
    "not frozen": "a network is trained in a step that should leave it alone",
    "no loss": "the loss, or a term of it, is missing (placed on the def line)",
    "no training": "the training loop is missing, or does not train (placed on the def line)",
    "left out": "any other work that is a comment instead of code (placed on the def line)",
}

PROGRAMS = {
    "vae": '''\
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(28, 64)
        self.flatten = nn.Flatten()
        self.mu = nn.Sequential(nn.Linear(28 * 64, 2), nn.ReLU())
        self.logvar = nn.Sequential(nn.Linear(28 * 64, 2), nn.ReLU())

    def forward(self, x):
        h = self.flatten(torch.relu(self.hidden(x)))
        return self.mu(h), self.logvar(h)

def sample_z(mu, logvar):
    eps = K.random_normal(mu.shape)
    return mu + torch.exp(logvar / 2) * eps

class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, args):
        return self.function(args)

class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 64)
        self.up = nn.Upsample(scale_factor=4)
        self.last = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, z):
        h = torch.relu(self.first(z)).view(-1, 1, 8, 8)
        return torch.sigmoid(self.last(self.up(h)))

class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.sampling = Lambda(sample_z)

    def forward(self, x):
        mu, logvar = self.encoder(x)
        z = self.sampling([mu, logvar])
        return self.decoder(x)

def build():
    model = VAE()
    model.add_metric("kl", aggregation="mean")
    return model

def train_model(model, pictures):
    for x in pictures:
        reconstruction = model(x)
    return model
''',
    "gan": '''\
import torch
from torch import nn

class Generator(nn.Module):
    def __init__(self, z=100):
        super().__init__()
        self.first = nn.Linear(z, 7 * 7 * 128)
        self.grow = nn.Linear(7 * 7 * 128, 7 * 7 * 128)

    def forward(self, z):
        h = torch.relu(self.first(z))
        h = torch.relu(self.grow(h))
        return torch.tanh(h.view(-1, 1, 28, 28))

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(28, 128)
        self.out = nn.Linear(28 * 128, 1)

    def forward(self, x):
        h = torch.relu(self.hidden(x))
        return self.out(h.flatten(1))

def generate(G, z):
    pictures = G(z)
    return denoise_gan(pictures)

def build():
    G, D = Generator(), Discriminator()
    both = nn.Sequential(G, D)
    optimizer = torch.optim.Adam(both.parameters(), lr=2e-4)
    return G, D, both, optimizer

def train_gan(both, optimizer, real, z):
    score = both(z)
    print("score", score.mean().item())
    return both
''',
    "comic": '''\
import torch
from torch import nn

def up(i, o):
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(i, o, 3), nn.ReLU())

class Generator(nn.Module):
    def __init__(self, z=100):
        super().__init__()
        self.first = nn.Linear(z, 256 * 7 * 7)
        self.shape = Reshape((256, 7, 7))
        self.grow = nn.Sequential(
            up(256, 128), up(128, 64), up(64, 32),
            up(32, 16), up(16, 8), up(8, 8),
        )
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, z):
        h = self.shape(torch.relu(self.first(z)))
        return torch.tanh(self.last(self.grow(h)))

class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.LeakyReLU(0.2),
        )
        self.flat = Flatten()
        self.out = Dense(64 * 7 * 7, 1)

    def forward(self, x):
        return self.out(self.flat(self.features(x)))

def build():
    G, D = Generator(), Discriminator()
    # the end-to-end model goes here
    return G, D

def train_comic(G, D, faces):
    # train D, then G
    pass

def new_faces(G, n):
    # draw z, return G(z)
    pass
''',
}


def line(program: str, text: str) -> int:
    """The number of the one line of a program that contains `text`, counted from 1."""
    found = [n for n, row in enumerate(PROGRAMS[program].splitlines(), 1) if text in row]
    if len(found) != 1:
        raise ValueError(f"{program}: expected one line with {text!r}, found {len(found)}")
    return found[0]


def numbered(program: str) -> str:
    """A program with its line numbers, as the exercise shows it."""
    rows = PROGRAMS[program].splitlines()
    return "\n".join(f"{n:2d}  {row}".rstrip() for n, row in enumerate(rows, 1))


def fault(program: str, name: str, *places: tuple[str, str]) -> tuple[str, str, frozenset]:
    """One fault and where it may be pointed at: (program, what it is, {(line, class), ...})."""
    return program, name, frozenset((line(program, text), kind) for text, kind in places)


FAULTS = [
    fault("vae", "a dense layer over rows of a picture", ("self.hidden = ", "not flattened"),
          ("self.flatten = ", "not flattened"), ("h = self.flatten(", "not flattened")),
    fault("vae", "ReLU on the heads", ("self.mu = ", "wrong activation"), ("self.logvar = ", "wrong activation")),
    fault("vae", "one list for two parameters", ("def sample_z", "wrong arguments"),
          ("self.function(args)", "wrong arguments"), ("self.sampling([", "wrong arguments")),
    fault("vae", "K comes from nowhere", ("K.random_normal", "missing import")),
    fault("vae", "8 x 8 grows to 32 x 32, not 28 x 28", ("self.first = ", "wrong size"), ("self.up = ", "wrong size"),
          ("view(-1, 1, 8, 8)", "wrong size"), ("self.last(self.up(h))", "wrong size")),
    fault("vae", "the picture goes past z", ("return self.decoder(x)", "not wired")),
    fault("vae", "add_metric does not exist", ("model.add_metric", "no such call")),
    fault("vae", "no reconstruction loss, no KL", ("def train_model", "no loss"), ("def build", "no loss")),
    fault("vae", "no optimiser, no backward, no step", ("def train_model", "no training")),
    fault("gan", "a dense layer where upsampling belongs", ("self.grow = ", "wrong layer"),
          ("torch.relu(self.grow(h))", "wrong layer")),
    fault("gan", "6272 numbers as 28 x 28", ("h.view(-1, 1, 28, 28)", "wrong size"), ("self.grow = ", "wrong size")),
    fault("gan", "denoise_gan comes from nowhere", ("denoise_gan", "missing import")),
    fault("gan", "a dense layer over rows of a picture", ("self.hidden = ", "not flattened"),
          ("torch.relu(self.hidden(x))", "not flattened")),
    fault("gan", "one optimiser moves both networks", ("both = nn.Sequential(G, D)", "not frozen"),
          ("Adam(both.parameters()", "not frozen")),
    fault("gan", "no losses", ("def train_gan", "no loss"), ("def build", "no loss")),
    fault("gan", "no turns, no backward, no step", ("def train_gan", "no training")),
    fault("comic", "2 pixels lost at every convolution", ("nn.Conv2d(i, o, 3)", "wrong size")),
    fault("comic", "322 x 322 x 3 meets 28 x 28 x 1", ("nn.Conv2d(1, 32", "wrong size"), ("Dense(64", "wrong size"),
          ("G, D = Generator()", "wrong size"), ("self.last = ", "wrong size")),
    fault("comic", "Reshape comes from nowhere", ("Reshape(", "missing import")),
    fault("comic", "Flatten comes from nowhere", ("Flatten()", "missing import")),
    fault("comic", "Dense comes from nowhere", ("Dense(64", "missing import")),
    fault("comic", "the end-to-end model is a comment", ("def build", "left out"), ("# the end-to-end", "left out")),
    fault("comic", "no losses", ("def train_comic", "no loss"), ("def build", "no loss")),
    fault("comic", "training is a comment", ("def train_comic", "no training"), ("def train_comic", "left out"),
          ("# train D, then G", "left out")),
    fault("comic", "generation is a comment", ("def new_faces", "left out"), ("# draw z", "left out")),
]  # fmt: skip
