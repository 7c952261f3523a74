/* Words: board scrub noise_end data_end play pause fresh cloud mixture moons face route linear cosine ddpm sampler heun
   ddim ancestral steps wish anything left right upper lower eyes mouth outline guidance key_real key_fake key_guess
   state plain strong_wish few_steps
*/
/* The denoiser: scrub through a walk from noise to data. The best guess of the data is known exactly here. */
genimgDemos.start.denoiser = (kit) => {
  const { words, fill } = kit;
  const { PATHS, posteriorMean, journey, guided, steps } = genimgDemos.parts.paths;
  const seeded = genimgDemos.parts.random;
  const [MANY, GUESSES, EDGE] = [160, 14, 1.9];

  const arc = (n, from, to, place) => Array.from({ length: n }, (_, i) => place(from + ((to - from) * (i + 0.5)) / n));
  const moon = (side) => (angle) => [side * (Math.cos(angle) - 0.5), side * (Math.sin(angle) - 0.25)];
  const eye = (x) => arc(6, 0, 2 * Math.PI, (angle) => [x + 0.06 * Math.cos(angle), 0.3 + 0.09 * Math.sin(angle)]);
  const CLOUDS = {
    face: {
      s: 0.025,
      parts: {
        outline: arc(48, 0, 2 * Math.PI, (angle) => [0.85 * Math.cos(angle), 0.95 * Math.sin(angle)]),
        eyes: [...eye(-0.32), ...eye(0.32)],
        mouth: arc(16, 1.1 * Math.PI, 1.9 * Math.PI, (angle) => [0.5 * Math.cos(angle), -0.1 + 0.45 * Math.sin(angle)]),
      },
    },
    mixture: {
      s: 0.05,
      parts: {
        right: [-1, 0, 1, 2].map((k) => [0.75 * Math.cos((k * Math.PI) / 4), 0.75 * Math.sin((k * Math.PI) / 4)]),
        left: [3, 4, 5, 6].map((k) => [0.75 * Math.cos((k * Math.PI) / 4), 0.75 * Math.sin((k * Math.PI) / 4)]),
      },
    },
    moons: { s: 0.04, parts: { upper: arc(24, 0, Math.PI, moon(0.6)), lower: arc(24, 0, Math.PI, moon(-0.6)) } },
  };

  const set = { cloud: "face", route: "linear", sampler: "heun", steps: 12, wish: "anything", w: 1, seed: 1 };
  let walks = [];
  let guesses = [];
  let facts = {};

  const walk = () => {
    const from = performance.now();
    const { s, parts } = CLOUDS[set.cloud];
    const [path, all] = [PATHS[set.route], Object.values(parts).flat()];
    const free = (x, t) => posteriorMean(path, all, s, x, t);
    const wish = set.wish === "anything" ? null : (x, t) => posteriorMean(path, parts[set.wish], s, x, t);
    const predict = wish ? guided(free, wish, set.w) : free;
    const random = seeded(set.seed);
    const starts = Array.from({ length: MANY }, () => [random.normal(), random.normal()]);
    walks = starts.map((x1) => journey(path, predict, x1, set.steps, steps[set.sampler], random));
    guesses = walks.slice(0, GUESSES).map((stations) => stations.slice(0, -1).map((x, k) => predict(x, 1 - k / set.steps)));
    const goal = wish ? parts[set.wish] : all;
    const near = walks.map((stations) => {
      const [x, y] = stations[set.steps];
      return Math.min(...goal.map(([cx, cy]) => Math.hypot(x - cx, y - cy)));
    });
    const lengths = walks.map((stations) => {
      const distance = ([a, b], [c, d]) => Math.hypot(a - c, b - d);
      const gone = stations.slice(1).reduce((sum, x, k) => sum + distance(stations[k], x), 0);
      return gone / Math.max(distance(stations[0], stations[set.steps]), 1e-6);
    });
    const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
    facts = {
      hit: Math.round((100 * near.filter((d) => d < 3 * s).length) / MANY),
      detour: middle(lengths).toFixed(2),
      ms: (performance.now() - from).toFixed(0),
    };
    show();
  };

  const show = () => {
    board.draw();
    guidance.input.disabled = set.wish === "anything";
    say(fill(words.state, facts));
    comment(set.wish !== "anything" && set.w > 2 ? words.strong_wish : set.steps < 5 ? words.few_steps : words.plain);
  };

  const draw = (context, width, height, colours) => {
    const [x, y] = [(value) => ((value / EDGE + 1) / 2) * width, (value) => ((1 - value / EDGE) / 2) * height];
    const dot = Math.max(1.6, width / 240);
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    context.fillStyle = colours.real;
    for (const [name, centres] of Object.entries(CLOUDS[set.cloud].parts)) {
      context.globalAlpha = set.wish === "anything" || set.wish === name ? 0.9 : 0.25;
      for (const [cx, cy] of centres) context.fillRect(x(cx) - dot, y(cy) - dot, 2 * dot, 2 * dot);
    }
    context.strokeStyle = colours.fake;
    context.globalAlpha = 0.22;
    context.beginPath();
    for (const stations of walks) {
      stations.slice(0, scrub.at + 1).forEach(([px, py], k) => (k ? context.lineTo(x(px), y(py)) : context.moveTo(x(px), y(py))));
    }
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = colours.fake;
    for (const stations of walks) {
      const [px, py] = stations[scrub.at];
      context.beginPath();
      context.arc(x(px), y(py), 1.2 * dot, 0, 7);
      context.fill();
    }
    if (scrub.at === set.steps) return;
    context.strokeStyle = context.fillStyle = colours.mark;
    guesses.forEach((guess, i) => {
      const [[px, py], [gx, gy]] = [walks[i][scrub.at], guess[scrub.at]];
      context.beginPath();
      context.setLineDash([3, 3]);
      context.moveTo(x(px), y(py));
      context.lineTo(x(gx), y(gy));
      context.stroke();
      context.beginPath();
      context.arc(x(gx), y(gy), 1.6 * dot, 0, 7);
      context.fill();
    });
    context.setLineDash([]);
  };

  const stage = kit.group(kit.room, "stage");
  const left = kit.group(stage, "pictures");
  const right = kit.group(stage, "controls");
  const board = kit.view(left, words.board, 1, draw);
  const key = kit.element("p", "key");
  for (const [mark, word] of [["real", "real"], ["fake", "fake"], ["mark", "guess"]]) key.append(kit.element("span", `key-${mark}`, words[`key_${word}`]));
  left.append(key);

  const scrub = kit.scrubber(right, { last: set.steps, at: 6, every: 6, changed: () => show() });
  kit.button(scrub.keys, words.fresh, () => { set.seed += 1; walk(); });

  const choices = (names) => names.map((name) => [name, words[name]]);
  const wishes = () => choices(["anything", ...Object.keys(CLOUDS[set.cloud].parts)]);
  kit.menu(right, words.cloud, choices(Object.keys(CLOUDS)), set.cloud, (name) => {
    Object.assign(set, { cloud: name, wish: "anything" });
    wish.replaceChildren(...wishes().map(([value, text]) => new Option(text, value)));
    walk();
  });
  kit.menu(right, words.route, choices(Object.keys(PATHS)), set.route, (name) => { set.route = name; walk(); });
  kit.menu(right, words.sampler, choices(Object.keys(steps)), set.sampler, (name) => { set.sampler = name; walk(); });
  kit.slider(right, words.steps, { min: 1, max: 40, value: set.steps }, (n) => {
    scrub.resize(n);
    set.steps = n;
    walk();
  });
  const wish = kit.menu(right, words.wish, wishes(), set.wish, (name) => { set.wish = name; walk(); });
  const guidance = kit.slider(right, words.guidance, { min: 0, max: 6, step: 0.25, value: set.w, show: (w) => w.toFixed(2) }, (w) => { set.w = w; walk(); });
  const say = kit.status(right);
  const comment = kit.status(right, true);
  walk();
};
