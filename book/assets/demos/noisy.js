/* Words: board scrub noise_end data_end play pause fresh steps wish anything guidance state row_noisy row_guess
*/
/* Diffusion on pictures: the same walk as in the plane, with the shipped network as the denoiser. */
genimgDemos.start.noisy = async (kit) => {
  const { words, fill } = kit;
  const { open, guided, walk, latest, paint } = genimgDemos.parts.runtime;
  const about = genimgDemos.data.noisy;
  const net = await open(kit.base, "noisy-guess.onnx");
  const [MANY, numbers] = [4, 3 * about.size ** 2];
  const set = { steps: about.steps, seed: 1, w: about.guidance, wish: "-1" };
  let [stations, cost] = [null, 0];

  const work = latest(async () => {
    const from = performance.now();
    const random = genimgDemos.parts.random(set.seed * 104729);
    const x = Float32Array.from({ length: MANY * numbers }, () => random.normal());
    const rows = new Int32Array(MANY * about.width).fill(-1);
    const [column, value] = set.wish.split(":").map(Number);
    if (set.wish !== "-1") for (let i = 0; i < MANY; i += 1) rows[i * about.width + column] = value;
    stations = await walk(guided(net, [3, about.size, about.size], rows, set.w, true), x, MANY, set.steps);
    cost = (performance.now() - from) / MANY;
    if (scrub.last !== stations.length - 1) scrub.resize(stations.length - 1);
    show();
  });
  const show = () => {
    board.draw();
    say(fill(words.state, { ms: cost.toFixed(0), calls: 2 * (2 * (stations.length - 1) - 1) }));
  };

  const stage = kit.group(kit.room, "stage");
  const left = kit.group(stage, "pictures");
  const right = kit.group(stage, "controls");
  left.append(kit.element("p", "small", words.row_noisy));
  const board = kit.view(left, words.board, 2, (context, width, height) => {
    if (!stations) return;
    context.imageSmoothingEnabled = true;
    const [side, { x, x0 }] = [width / MANY, stations[scrub.at]];
    for (let i = 0; i < MANY; i += 1) {
      context.drawImage(paint(x.map((v) => Math.max(-1, Math.min(1, v))), i, about.size), i * side + 2, 2, side - 4, side - 4);
      context.drawImage(paint(x0, i, about.size), i * side + 2, height / 2 + 2, side - 4, side - 4);
    }
  });
  left.append(kit.element("p", "small", words.row_guess));
  const scrub = kit.scrubber(right, { last: set.steps, at: set.steps >> 1, every: 15, changed: () => show() });
  kit.button(scrub.keys, words.fresh, () => { set.seed += 1; work(); });
  kit.menu(right, words.wish, [["-1", words.anything], ...about.wishes], "-1", (value) => { set.wish = value; work(); });
  kit.slider(right, words.guidance, { min: 0, max: 6, step: 0.5, value: set.w, show: (v) => v.toFixed(1) }, (v) => { set.w = v; work(); });
  kit.slider(right, words.steps, { min: 2, max: 20, value: set.steps }, (v) => { set.steps = v; work(); });
  const say = kit.status(right);
  await work();
};
