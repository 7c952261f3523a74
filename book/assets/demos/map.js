/* Words: board digit across up state play pause fresh near hint
*/
/* The VAE map: a plane of codes, and the digit that the decoder draws at each place. */
genimgDemos.start.map = async (kit) => {
  const { words, fill } = kit;
  const { open, latest, paint } = genimgDemos.parts.runtime;
  const about = genimgDemos.data.map;
  const decode = await open(kit.base, "map-decode.onnx");
  const [EDGE, STEP] = [about.edge, 0.05];
  const HUES = [210, 30, 120, 0, 275, 20, 320, 55, 180, 240];
  const set = { z: [0, 0], goal: null };
  let [digit, cost] = [null, 0];
  const random = genimgDemos.parts.random(1);

  const work = latest(async () => {
    const from = performance.now();
    digit = await decode({ w: ["float32", Float32Array.from(set.z), [1, 2]] });
    cost = performance.now() - from;
    kit.refresh();
    const near = [...about.codes].sort(([ax, ay], [bx, by]) => Math.hypot(ax - set.z[0], ay - set.z[1]) - Math.hypot(bx - set.z[0], by - set.z[1])).slice(0, 15);
    const counts = new Map();
    for (const [, , label] of near) counts.set(label, (counts.get(label) ?? 0) + 1);
    const [label, votes] = [...counts].sort((a, b) => b[1] - a[1])[0];
    say(fill(words.state, { x: set.z[0].toFixed(2), y: set.z[1].toFixed(2), ms: cost.toFixed(1) }));
    tell(fill(words.near, { votes, label }));
  });
  const go = (x, y) => {
    set.z = [x, y].map((value) => Math.max(-EDGE, Math.min(EDGE, value)));
    [across.value, up.value] = set.z;
    work();
  };

  const stage = kit.group(kit.room, "stage");
  const left = kit.group(stage, "pictures");
  const right = kit.group(stage, "controls");
  const board = kit.view(left, words.board, 1, (context, width, height, colours) => {
    const [x, y] = [(value) => ((value / EDGE + 1) / 2) * width, (value) => ((1 - value / EDGE) / 2) * height];
    const lightness = document.documentElement.dataset.theme === "dark" ? 68 : 42;
    context.font = `600 ${Math.max(9, width / 42)}px sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const [cx, cy, label] of about.codes) {
      context.fillStyle = `hsl(${HUES[label]} 65% ${lightness}%)`;
      context.fillText(label, x(cx), y(cy));
    }
    context.strokeStyle = colours.mark;
    context.lineWidth = 2.5;
    context.beginPath();
    context.arc(x(set.z[0]), y(set.z[1]), Math.max(8, width / 40), 0, 7);
    context.stroke();
  });
  const { canvas } = board;
  canvas.classList.add("demo-touch");
  const point = (event) => {
    const { left: x, top: y, width, height } = canvas.getBoundingClientRect();
    go(((2 * (event.clientX - x)) / width - 1) * EDGE, (1 - (2 * (event.clientY - y)) / height) * EDGE);
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); playing.stop(); point(event); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
  left.append(kit.element("p", "small", words.hint));

  kit.view(right, words.digit, 1, (context, width, height) => {
    if (!digit) return;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(paint(digit, 0, about.size), 0, 0, width, height);
  }).canvas.classList.add("demo-digit");
  const across = kit.slider(right, words.across, { min: -EDGE, max: EDGE, step: STEP, value: 0, show: (v) => v.toFixed(2) }, (v) => go(v, set.z[1]));
  const up = kit.slider(right, words.up, { min: -EDGE, max: EDGE, step: STEP, value: 0, show: (v) => v.toFixed(2) }, (v) => go(set.z[0], v));
  const keys = kit.group(right, "keys");
  const playing = kit.play(keys, () => {
    const far = set.goal && Math.hypot(set.goal[0] - set.z[0], set.goal[1] - set.z[1]);
    if (!set.goal || far < 0.06) set.goal = [random.normal(), random.normal()];
    else go(...set.z.map((value, i) => value + (0.04 * (set.goal[i] - value)) / far));
  });
  kit.button(keys, words.fresh, () => { playing.stop(); go(random.normal(), random.normal()); });
  const say = kit.status(right);
  const tell = kit.status(right);
  await work();
};
