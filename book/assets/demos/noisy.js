/* Words: board scrub noise_end data_end play pause fresh steps wish anything guidance state row_noisy row_guess
*/
/* Diffusion on pictures: the same walk as in the plane, with the shipped network as the denoiser. */
genimgDemos.start.noisy = async (kit) => {
  const { words, fill } = kit;
  const { open, guided, walk, latest, paint } = genimgDemos.parts.runtime;
  const about = genimgDemos.data.noisy;
  const net = await open(kit.base, "noisy-guess.onnx");
  const [MANY, numbers] = [4, 3 * about.size ** 2];
  const set = { steps: about.steps, at: Math.floor(about.steps / 2), seed: 1, w: about.guidance, wish: "-1" };
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
    set.at = Math.min(set.at, stations.length - 1);
    scrub.max = stations.length - 1;
    scrub.value = set.at;
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
    const [side, { x, x0 }] = [width / MANY, stations[Math.min(set.at, stations.length - 1)]];
    for (let i = 0; i < MANY; i += 1) {
      context.drawImage(paint(x.map((v) => Math.max(-1, Math.min(1, v))), i, about.size), i * side + 2, 2, side - 4, side - 4);
      context.drawImage(paint(x0, i, about.size), i * side + 2, height / 2 + 2, side - 4, side - 4);
    }
  });
  left.append(kit.element("p", "small", words.row_guess));
  const scrub = kit.slider(right, words.scrub, {
    min: 0, max: set.steps, value: set.at,
    show: (k) => (k === 0 ? words.noise_end : stations && k >= stations.length - 1 ? words.data_end : `t = ${(1 - k / ((stations?.length ?? set.steps + 1) - 1)).toFixed(2)}`),
  }, (k) => { set.at = k; show(); });
  let wait = 0;
  const loop = kit.loop(() => {
    wait += 1;
    if (wait % 15 || !stations) return;
    if (set.at >= stations.length - 1) return stop();
    set.at += 1;
    scrub.value = set.at;
    show();
  });
  const stop = () => { loop.set(false); toggle.textContent = words.play; };
  const keys = kit.group(right, "keys");
  const toggle = kit.button(keys, words.play, () => {
    if (loop.on) return stop();
    if (set.at >= stations.length - 1) set.at = 0;
    toggle.textContent = words.pause;
    loop.set(true);
  });
  kit.button(keys, words.fresh, () => { set.seed += 1; work(); });
  kit.menu(right, words.wish, [["-1", words.anything], ...about.wishes], "-1", (value) => { set.wish = value; work(); });
  kit.slider(right, words.guidance, { min: 0, max: 6, step: 0.5, value: set.w, show: (v) => v.toFixed(1) }, (v) => { set.w = v; work(); });
  kit.slider(right, words.steps, { min: 2, max: 20, value: set.steps }, (v) => { set.at = Math.round((set.at / set.steps) * v); set.steps = v; work(); });
  const say = kit.status(right);
  await work();
};
