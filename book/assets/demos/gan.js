/* Words: board curves curves_text key_real key_fake key_pull play pause one restart toy mixture moons checkerboard
   speed a_frame trouble saturating strong greedy state early learning balanced collapsed beaten stalled */
/* The GAN game: two small networks play in the plane, and the reader may break the rules. */
genimgDemos.start.gan = (kit) => {
  const { words, fill } = kit;
  const { Net, Adam, criticLoss, generatorLoss, sigmoid } = genimgDemos.parts.gan;
  const { toys, random: seeded } = genimgDemos.parts;
  const [BATCH, LATENT, HIDDEN, RATE, SHOWN, EDGE, CELLS] = [64, 4, 32, 0.002, 250, 1.25, 40];
  const MANY = 10; // turns of a player that is too strong

  const set = { toy: "mixture", speed: 2, saturating: false, strong: false, greedy: false, seed: 1 };
  let game;
  let playing = null;

  const noise = (n) => Float64Array.from({ length: n * LATENT }, () => game.random.normal());
  const draw = (n) => {
    const points = new Float64Array(2 * n);
    for (let i = 0; i < n; i += 1) points.set(toys[set.toy].make(game.random).slice(0, 2), 2 * i);
    return points;
  };

  const restart = () => {
    const random = seeded(set.seed);
    const generator = new Net([LATENT, HIDDEN, HIDDEN, 2], random);
    const critic = new Net([2, HIDDEN, HIDDEN, 1], random);
    game = { random, generator, critic, ofGenerator: new Adam(generator, RATE), ofCritic: new Adam(critic, RATE), steps: 0, history: [], cost: 0 };
    game.real = draw(SHOWN);
    game.z = noise(SHOWN);
    look();
  };

  const play = () => {
    let said;
    for (let turn = 0; turn < (set.strong ? MANY : 1); turn += 1) {
      said = criticLoss(game.critic, draw(BATCH), game.generator.forward(noise(BATCH), BATCH), set.strong || set.greedy ? 0 : 0.1);
      game.ofCritic.step();
    }
    for (let turn = 0; turn < (set.greedy ? MANY : 1); turn += 1) {
      generatorLoss(game.generator, game.critic, noise(BATCH), set.saturating);
      game.ofGenerator.step();
    }
    game.steps += 1;
    const share = (scores) => scores.reduce((sum, s) => sum + sigmoid(s), 0) / scores.length;
    game.history.push([share(said.onReal), share(said.onFake)]);
  };

  /* What is shown and said: the points of fixed noise, where each is sent, and how many places are reached. */
  const look = () => {
    const { fake, pull } = generatorLoss(game.generator, game.critic, game.z, set.saturating);
    game.generator.clear();
    game.critic.clear();
    const { centres, reach } = toys[set.toy];
    const counts = new Array(centres.length).fill(0);
    for (let i = 0; i < SHOWN; i += 1) {
      const far = centres.map(([x, y]) => Math.hypot(fake[2 * i] - x, fake[2 * i + 1] - y));
      const nearest = far.indexOf(Math.min(...far));
      if (far[nearest] < reach) counts[nearest] += 1;
    }
    Object.assign(game, { fake, pull, near: counts.reduce((a, b) => a + b, 0) / SHOWN, reached: counts.filter((count) => count >= 4).length, places: centres.length });
    const lengths = Array.from({ length: SHOWN }, (_, i) => Math.hypot(pull[2 * i], pull[2 * i + 1])).sort((a, b) => a - b);
    game.length = lengths[SHOWN / 2];
    kit.refresh();
    tell();
  };

  const last = (which) => game.history.slice(-50).reduce((sum, pair) => sum + pair[which], 0) / Math.min(50, game.history.length || 1);

  const tell = () => {
    say(fill(words.state, { steps: game.steps, reached: game.reached, places: game.places, pull: game.length.toFixed(3), ms: game.cost.toFixed(0) }));
    const [real, fake] = [last(0), last(1)];
    const verdict = game.steps < 60 ? "early"
      : set.greedy && game.reached <= 5 ? "collapsed"
      : real > 0.9 && fake < 0.1 ? (set.saturating ? "stalled" : "beaten")
      : game.reached === game.places && game.near > 0.6 ? "balanced" : "learning";
    // A verdict is spoken when it has held for a while: the numbers above may flicker, the words should not.
    Object.assign(game, game.verdict === verdict ? { held: game.held + 1 } : { verdict, held: 0 });
    if (game.held === 15 || !game.steps || !playing?.on) comment(words[verdict]);
  };

  // --- pictures
  const field = document.createElement("canvas");
  field.width = field.height = CELLS;
  const grid = new Float64Array(2 * CELLS * CELLS);
  for (let i = 0; i < CELLS * CELLS; i += 1) {
    grid[2 * i] = ((2 * (i % CELLS) + 1) / CELLS - 1) * EDGE;
    grid[2 * i + 1] = (1 - (2 * Math.floor(i / CELLS) + 1) / CELLS) * EDGE;
  }
  const rgb = (colour) => colour.match(/\w\w/g).map((pair) => parseInt(pair, 16));

  const drawField = (context, width, height, colours) => {
    const [real, fake] = [rgb(colours.real), rgb(colours.fake)];
    const pixels = new ImageData(CELLS, CELLS);
    game.critic.forward(grid, CELLS * CELLS).forEach((score, i) => {
      const belief = sigmoid(score);
      const side = belief > 0.5 ? real : fake;
      pixels.data.set([...side, 170 * Math.sqrt(Math.abs(2 * belief - 1))], 4 * i);
    });
    field.getContext("2d").putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(field, 0, 0, width, height);
  };

  const board = (context, width, height, colours) => {
    if (!game?.fake) return;
    const [x, y] = [(value) => ((value / EDGE + 1) / 2) * width, (value) => ((1 - value / EDGE) / 2) * height];
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    drawField(context, width, height, colours);
    context.strokeStyle = colours.ink;
    context.globalAlpha = 0.55;
    context.beginPath();
    for (let i = 0; i < 70; i += 1) {
      const [px, py, dx, dy] = [game.fake[2 * i], game.fake[2 * i + 1], game.pull[2 * i], game.pull[2 * i + 1]];
      const scale = Math.min(0.5, 0.4 / Math.hypot(dx, dy)); // a line shows at most 0.4 of the plane
      context.moveTo(x(px), y(py));
      context.lineTo(x(px + scale * dx), y(py + scale * dy));
    }
    context.stroke();
    context.globalAlpha = 1;
    const dot = Math.max(1.8, width / 220);
    context.fillStyle = colours.real;
    for (let i = 0; i < SHOWN; i += 1) context.fillRect(x(game.real[2 * i]) - dot, y(game.real[2 * i + 1]) - dot, 2 * dot, 2 * dot);
    context.lineWidth = 1;
    context.strokeStyle = colours.paper;
    context.fillStyle = colours.fake;
    for (let i = 0; i < SHOWN; i += 1) {
      context.beginPath();
      context.arc(x(game.fake[2 * i]), y(game.fake[2 * i + 1]), 1.3 * dot, 0, 7);
      context.fill();
      context.stroke();
    }
  };

  const curves = (context, width, height, colours) => {
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    context.strokeStyle = colours.line;
    context.beginPath();
    context.moveTo(0, height / 2);
    context.lineTo(width, height / 2);
    context.stroke();
    const shown = game?.history.slice(-600) ?? [];
    [colours.real, colours.fake].forEach((colour, which) => {
      context.strokeStyle = colour;
      context.lineWidth = 1.6;
      context.beginPath();
      shown.forEach((pair, i) => {
        const [px, py] = [(i / 600) * width, 3 + (1 - pair[which]) * (height - 6)];
        if (i) context.lineTo(px, py);
        else context.moveTo(px, py);
      });
      context.stroke();
    });
  };

  const stage = kit.group(kit.room, "stage");
  const left = kit.group(stage, "pictures");
  const right = kit.group(stage, "controls");
  kit.view(left, words.board, 1, board);
  const key = kit.element("p", "key");
  for (const name of ["real", "fake", "pull"]) key.append(kit.element("span", `key-${name}`, words[`key_${name}`]));
  left.append(key);
  kit.view(left, words.curves, 4.5, curves);
  left.append(kit.element("p", "small", words.curves_text));

  const keys = kit.group(right, "keys");
  playing = kit.play(keys, () => {
    const from = performance.now();
    for (let i = 0; i < set.speed; i += 1) play();
    look();
    game.cost = 0.8 * game.cost + 0.2 * (performance.now() - from);
  });
  kit.button(keys, words.one, () => { play(); look(); });
  kit.button(keys, words.restart, () => { set.seed += 1; restart(); });
  kit.menu(right, words.toy, ["mixture", "moons", "checkerboard"].map((name) => [name, words[name]]), set.toy, (name) => { set.toy = name; restart(); });
  kit.slider(right, words.speed, { min: 1, max: 20, value: set.speed, show: (value) => fill(words.a_frame, { n: value }) }, (value) => { set.speed = value; });
  const trouble = kit.group(right, "trouble", words.trouble);
  for (const name of ["saturating", "strong", "greedy"]) kit.check(trouble, words[name], false, (on) => { set[name] = on; look(); });
  const say = kit.status(right);
  const comment = kit.status(right, true);
  restart();
  playing.start();
};
