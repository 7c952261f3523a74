/* Words: source board texture block overlap join seam edge random tolerance tolerance_value play pause one restart state
   first random_said edge_said seam_said ready
*/
/* The texture lab: a small texture becomes a large one, a block at a time. */
genimgDemos.start.texture = (kit) => {
  const { words, fill } = kit;
  const { Quilt } = genimgDemos.parts.quilting;
  const SIZE = 200;
  const set = { texture: "brick", block: 32, overlap: 8, join: "seam", tolerance: 0.1, seed: 1 };
  let quilt;
  let cost = 0;

  const textures = Object.fromEntries(Object.entries(genimgDemos.data.textures).map(([name, { side, grey }]) => {
    const bytes = Uint8Array.from(atob(grey), (letter) => letter.charCodeAt(0));
    return [name, { width: side, height: side, channels: 1, data: Float32Array.from(bytes, (byte) => byte / 255) }];
  }));

  const paint = (picture) => {
    const made = document.createElement("canvas");
    Object.assign(made, { width: picture.width, height: picture.height });
    const pixels = new ImageData(picture.width, picture.height);
    for (let n = 0; n < picture.width * picture.height; n += 1) {
      const grey = Math.round(255 * picture.data[n]);
      pixels.data.set([grey, grey, grey, Number.isNaN(picture.data[n]) ? 0 : 255], 4 * n);
    }
    made.getContext("2d").putImageData(pixels, 0, 0);
    return made;
  };

  const restart = () => {
    set.overlap = Math.min(set.overlap, Math.floor(set.block / 2));
    overlap.max = Math.floor(set.block / 2);
    overlap.value = set.overlap;
    const { join } = set;
    quilt = new Quilt(textures[set.texture], { ...set, size: SIZE, join: join === "edge" ? "overlap" : join, random: genimgDemos.parts.random(set.seed) });
    cost = 0;
    lay();
  };
  const lay = () => {
    if (quilt.done) return;
    const from = performance.now();
    quilt.lay();
    cost += performance.now() - from;
    show();
  };
  const show = () => {
    kit.refresh();
    say(fill(words.state, { n: quilt.at, all: quilt.across ** 2, ms: cost.toFixed(0) }));
    const said = quilt.at === 1 ? words.first : words[`${set.join}_said`];
    if (!playing.on || quilt.done) comment(quilt.done ? `${said} ${words.ready}` : said);
  };

  const stage = kit.group(kit.room, "stage");
  const left = kit.group(stage, "pictures");
  const right = kit.group(stage, "controls");
  kit.view(left, words.board, 1, (context, width, height, colours) => {
    if (!quilt) return;
    const scale = width / quilt.canvas.width;
    context.imageSmoothingEnabled = false;
    context.drawImage(paint(quilt.canvas), 0, 0, width, height);
    if (quilt.done) return;
    const { top, left: x, cuts } = quilt.last;
    context.strokeStyle = colours.mark;
    context.lineWidth = 2;
    context.strokeRect(x * scale, top * scale, quilt.block * scale, quilt.block * scale);
    context.strokeStyle = colours.fake;
    context.beginPath();
    cuts.left?.forEach((j, i) => context[i ? "lineTo" : "moveTo"]((x + j + 0.5) * scale, (top + i + 0.5) * scale));
    cuts.top?.forEach((i, j) => context[j ? "lineTo" : "moveTo"]((x + j + 0.5) * scale, (top + i + 0.5) * scale));
    context.stroke();
  });

  const keys = kit.group(right, "keys");
  const playing = kit.play(keys, () => {
    lay();
    if (quilt.done) playing.stop();
  }, {
    starting: () => { if (quilt.done) { set.seed += 1; restart(); } },
    stopped: () => show(),
  });
  kit.button(keys, words.one, lay);
  kit.button(keys, words.restart, () => { set.seed += 1; restart(); });
  kit.menu(right, words.texture, Object.keys(textures).map((name) => [name, name]), set.texture, (name) => { set.texture = name; restart(); });
  kit.menu(right, words.join, ["seam", "edge", "random"].map((name) => [name, words[name]]), set.join, (name) => { set.join = name; restart(); });
  kit.slider(right, words.block, { min: 8, max: 48, step: 4, value: set.block, show: (n) => `${n} px` }, (n) => { set.block = n; restart(); });
  const overlap = kit.slider(right, words.overlap, { min: 2, max: 16, value: set.overlap, show: (n) => `${n} px` }, (n) => { set.overlap = n; restart(); });
  kit.slider(right, words.tolerance, { min: 0, max: 1, step: 0.05, value: set.tolerance, show: (n) => fill(words.tolerance_value, { n: Math.round(100 * n) }) }, (n) => { set.tolerance = n; restart(); });
  right.append(kit.element("p", "small", words.source));
  kit.view(kit.group(right, "source"), words.source, 1, (context, width, height, colours) => {
    if (!quilt) return;
    const scale = width / quilt.source.width;
    context.imageSmoothingEnabled = false;
    context.drawImage(paint(quilt.source), 0, 0, width, height);
    context.strokeStyle = colours.mark;
    context.lineWidth = 2;
    const [i, j] = quilt.last.from;
    context.strokeRect(j * scale, i * scale, quilt.block * scale, quilt.block * scale);
  });
  const say = kit.status(right);
  const comment = kit.status(right, true);
  restart();
};
