/* Words: face more wish wish_hint wish_button guidance drift play pause fresh anything kept menus state understood
   unknown attributes
*/
/* The face machine: the shipped generator with wishes, a flow on the codes of an autoencoder. */
genimgDemos.start.faces = async (kit) => {
  const { words, fill } = kit;
  const { open, guided, walk, latest, paint, understand } = genimgDemos.parts.runtime;
  const about = genimgDemos.data.faces;
  const [guess, decode] = [await open(kit.base, "faces-guess.onnx"), await open(kit.base, "faces-decode.onnx")];
  const MORE = 6;
  const names = Object.keys(about.attributes);
  const set = { seed: 1, w: about.guidance, drift: 0, wishes: Object.fromEntries(names.map((name) => [name, [-1]])) };
  let [main, others, cost, asked] = [null, null, 0, ""];

  const noise = (seed) => {
    const random = genimgDemos.parts.random(seed * 7919);
    return Float32Array.from({ length: about.z }, () => random.normal());
  };
  /* Along the sphere on which noise lives: a straight line would pass too close to the mean (Shoemake 1985). */
  const between = (a, b, share) => {
    const dot = a.reduce((sum, value, i) => sum + value * b[i], 0);
    const size = (v) => Math.hypot(...v);
    const angle = Math.acos(Math.max(-1, Math.min(1, dot / size(a) / size(b))));
    return a.map((value, i) => (Math.sin((1 - share) * angle) * value + Math.sin(share * angle) * b[i]) / Math.sin(angle));
  };

  /* n codes at once; a wish for one of several values takes another for each seed. */
  const draw = async (starts, seeds) => {
    const n = starts.length;
    const x = new Float32Array(n * about.z);
    starts.forEach((start, i) => x.set(start, i * about.z));
    const wishes = Int32Array.from(seeds.flatMap((seed) => names.map((name) => set.wishes[name][seed % set.wishes[name].length])));
    const stations = await walk(guided(guess, [about.z], wishes, set.w, false), x, n, about.steps);
    return decode({ w: ["float32", stations.at(-1).x, [n, about.z]] });
  };

  const one = async () => {
    const from = performance.now();
    main = await draw([between(noise(set.seed), noise(set.seed + 1), set.drift)], [set.seed]);
    cost = performance.now() - from;
    kit.refresh();
    say(fill(words.state, { ms: cost.toFixed(0), seed: set.seed }));
  };
  const again = latest(one);
  const rest = latest(async () => {
    const seeds = Array.from({ length: MORE }, (_, i) => set.seed + i + 1);
    others = await draw(seeds.map(noise), seeds);
    kit.refresh();
  });
  const all = async () => { await again(); await rest(); };

  const stage = kit.group(kit.room, "stage");
  const left = kit.group(stage, "pictures");
  const right = kit.group(stage, "controls");
  const smooth = (context) => { context.imageSmoothingEnabled = true; context.imageSmoothingQuality = "high"; };
  kit.view(left, words.face, 1, (context, width, height) => {
    if (!main) return;
    smooth(context);
    context.drawImage(paint(main, 0, about.size), 0, 0, width, height);
  }).canvas.classList.add("demo-face");
  kit.view(left, words.more, MORE, (context, width, height) => {
    if (!others) return;
    smooth(context);
    for (let i = 0; i < MORE; i += 1) context.drawImage(paint(others, i, about.size), i * height + 1, 1, height - 2, height - 2);
  });
  left.append(kit.element("p", "small", words.more));

  const line = kit.group(right, "ask");
  const field = kit.element("input");
  Object.assign(field, { type: "text", placeholder: words.wish_hint, autocomplete: "off" });
  const label = kit.element("label", "line");
  label.append(kit.element("span", "label", words.wish), field);
  line.append(label);
  const read = () => {
    const { wishes, unknown } = understand(field.value, about.phrases, about.fillers);
    for (const name of names) {
      set.wishes[name] = wishes[name] ?? [-1];
      choose(name);
    }
    const said = Object.keys(wishes).map((name) => words.attributes[name] ?? name).join(", ");
    asked = [said && fill(words.understood, { said }), unknown.length && fill(words.unknown, { unknown: unknown.join(", ") })].filter(Boolean).join(" ");
    tell(asked);
    all();
  };
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); read(); } });
  const tell = kit.status(right, true);
  const keys = kit.group(right, "keys");
  kit.button(keys, words.wish_button, read);
  kit.button(keys, words.fresh, () => { set.seed += MORE + 1; set.drift = 0; drift.value = 0; all(); });
  kit.play(keys, () => {
    set.drift += 0.02;
    if (set.drift > 1) Object.assign(set, { drift: 0, seed: set.seed + 1 });
    drift.value = set.drift;
    again();
  }, { stopped: () => rest() });
  const drift = kit.slider(right, words.drift, { min: 0, max: 1, step: 0.02, value: 0, show: (v) => Number(v).toFixed(2) }, (v) => { set.drift = v; again(); });
  kit.slider(right, words.guidance, { min: 0, max: 4, step: 0.25, value: set.w, show: (v) => v.toFixed(2) }, (v) => { set.w = v; all(); });
  const say = kit.status(right);

  const holder = kit.group(kit.room, "menus", words.menus);
  const menus = {};
  for (const name of names) {
    const values = about.attributes[name];
    const concepts = Object.entries(about.concepts[name] ?? {}).map(([concept, list]) => [list.join(","), concept]);
    const plain = values.map((value, i) => [String(i), value]).filter(([key]) => !concepts.some(([other]) => other === key));
    menus[name] = kit.menu(holder, words.attributes[name] ?? name, [["-1", words.anything], ...concepts, ...plain], "-1", (value) => {
      set.wishes[name] = value.split(",").map(Number);
      tell("");
      all();
    });
  }
  const choose = (name) => {
    const value = set.wishes[name].join(",");
    menus[name].value = value;
    if (menus[name].selectedIndex < 0) {
      menus[name].append(new Option(words.kept, value));
      menus[name].value = value;
    }
  };
  await one();
  rest();
};
