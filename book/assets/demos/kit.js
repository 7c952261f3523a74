/* What every demo is made of: labelled controls, pictures that know the screen and the dark, random numbers. */
genimgDemos.parts.kit = (box, room, words, base) => {
  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = `demo-${name}`;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const labelled = (label, control, extra) => {
    const line = element("label", "line");
    line.append(element("span", "label", label), control, ...(extra ? [extra] : []));
    return line;
  };

  /* A slider that says its value. show(value) -> text */
  const slider = (into, label, { min, max, step = 1, value, show = String }, changed) => {
    const input = element("input");
    Object.assign(input, { type: "range", min, max, step });
    input.value = value;
    const shown = element("output", "value");
    const tell = () => {
      shown.textContent = show(Number(input.value));
      input.setAttribute("aria-valuetext", shown.textContent);
    };
    input.addEventListener("input", () => { tell(); changed(Number(input.value)); });
    tell();
    into.append(labelled(label, input, shown));
    return {
      get value() { return Number(input.value); },
      set value(next) { input.value = next; tell(); },
      set max(next) { input.max = next; tell(); },
      tell,
      input,
    };
  };

  /* options: [[value, label], ...] */
  const menu = (into, label, options, value, changed) => {
    const select = element("select");
    for (const [key, text] of options) select.append(new Option(text, key));
    select.value = value;
    select.addEventListener("change", () => changed(select.value));
    into.append(labelled(label, select));
    return select;
  };

  const check = (into, label, value, changed) => {
    const input = element("input");
    Object.assign(input, { type: "checkbox", checked: value });
    input.addEventListener("change", () => changed(input.checked));
    const line = element("label", "check");
    line.append(input, element("span", "", label));
    into.append(line);
    return input;
  };

  const button = (into, label, pressed) => {
    const made = element("button", "button", label);
    made.type = "button";
    made.addEventListener("click", pressed);
    into.append(made);
    return made;
  };

  const group = (into, name, title) => {
    const made = element(title ? "fieldset" : "div", name);
    if (title) made.append(element("legend", "", title));
    into.append(made);
    return made;
  };

  const colours = () => {
    const style = getComputedStyle(box);
    return Object.fromEntries(["paper", "ink", "quiet", "line", "real", "fake", "mark"]
      .map((name) => [name, style.getPropertyValue(`--demo-${name}`).trim()]));
  };

  const views = [];
  /* A picture that is drawn again whenever its size or the colours change. draw(context, width, height, colours) */
  const view = (into, label, ratio, draw) => {
    const canvas = element("canvas", "view");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    canvas.style.aspectRatio = ratio;
    into.append(canvas);
    const made = {
      canvas,
      draw() {
        const width = canvas.clientWidth;
        if (!width) return;
        const scale = Math.min(window.devicePixelRatio || 1, 2);
        const [w, h] = [Math.round(width * scale), Math.round((width / ratio) * scale)];
        if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
        const context = canvas.getContext("2d");
        context.setTransform(scale, 0, 0, scale, 0, 0);
        context.clearRect(0, 0, width, width / ratio);
        draw(context, width, width / ratio, colours());
      },
    };
    views.push(made);
    return made;
  };
  const refresh = () => views.forEach((one) => one.draw());
  new ResizeObserver(refresh).observe(room);
  new MutationObserver(refresh).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

  /* A loop that stops when nobody can see it. tick() is called once a frame while `on`. */
  const loop = (tick) => {
    const made = { on: false };
    let seen = true;
    const frame = () => {
      if (made.on && seen) tick();
      if (made.on) requestAnimationFrame(frame);
    };
    new IntersectionObserver((all) => { seen = all[all.length - 1].isIntersecting; }).observe(room);
    made.set = (on) => {
      const starts = on && !made.on;
      made.on = on;
      if (starts) requestAnimationFrame(frame);
    };
    return made;
  };

  /* A button that starts and stops a loop, and says which it will do. */
  const play = (into, tick, { starting, stopped } = {}) => {
    const running = loop(tick);
    const set = (on) => {
      if (on === running.on) return;
      if (on) starting?.();
      running.set(on);
      made.textContent = on ? words.pause : words.play;
      if (!on) stopped?.();
    };
    const made = button(into, words.play, () => set(!running.on));
    return { get on() { return running.on; }, start: () => set(true), stop: () => set(false) };
  };

  /* A walk from noise to data to scrub through or to play, a station every few frames. `keys` holds its button. */
  const scrubber = (into, { last, at, every, changed }) => {
    const made = { at, last };
    const slide = slider(into, words.scrub, {
      min: 0, max: last, value: at,
      show: (k) => (k === 0 ? words.noise_end : k >= made.last ? words.data_end : `t = ${(1 - k / made.last).toFixed(2)}`),
    }, (k) => { made.at = k; changed(); });
    const go = (k) => { made.at = k; slide.value = k; changed(); };
    made.keys = group(into, "keys");
    let frames = 0;
    const playing = play(made.keys, () => {
      frames += 1;
      if (frames % every) return;
      if (made.at < made.last) go(made.at + 1);
      else playing.stop();
    }, { starting: () => { if (made.at >= made.last) go(0); } });
    /* The walk has another length now: the same time of it is shown. */
    made.resize = (length) => {
      made.at = Math.round((made.at / made.last) * length);
      made.last = length;
      slide.max = length;
      slide.value = made.at;
    };
    return made;
  };

  /* A status line for all to read. What changes many times a second is not spoken by screen readers. */
  const status = (into, live = false) => {
    const made = element("p", "status");
    if (live) made.setAttribute("aria-live", "polite");
    into.append(made);
    return (text) => { made.textContent = text; };
  };

  return { box, room, words, base, element, fill, slider, menu, check, button, group, view, refresh, play, scrubber, status, colours };
};

/* Random numbers that a seed repeats: uniform in [0, 1) (mulberry32), and normal (Box and Muller 1958). */
genimgDemos.parts.random = (seed) => {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log1p(-uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
};

/* Points in the plane: the library's three toy data sets. make(random) -> [x, y, component]; centres: where the
   components lie, to count how many a model reaches. */
genimgDemos.parts.toys = {
  mixture: {
    make: (random) => {
      const part = Math.floor(8 * random.uniform());
      const angle = (part * Math.PI) / 4;
      return [0.75 * Math.cos(angle) + 0.05 * random.normal(), 0.75 * Math.sin(angle) + 0.05 * random.normal(), part];
    },
    centres: Array.from({ length: 8 }, (_, k) => [0.75 * Math.cos((k * Math.PI) / 4), 0.75 * Math.sin((k * Math.PI) / 4)]),
    reach: 0.2,
  },
  moons: {
    make: (random) => {
      const [part, angle] = [Math.floor(2 * random.uniform()), Math.PI * random.uniform()];
      const side = part === 0 ? 0.6 : -0.6;
      return [side * (Math.cos(angle) - 0.5) + 0.04 * random.normal(), side * (Math.sin(angle) - 0.25) + 0.04 * random.normal(), part];
    },
    centres: Array.from({ length: 8 }, (_, k) => {
      const [side, angle] = [k < 4 ? 0.6 : -0.6, (((k % 4) + 0.5) * Math.PI) / 4];
      return [side * (Math.cos(angle) - 0.5), side * (Math.sin(angle) - 0.25)];
    }),
    reach: 0.2,
  },
  checkerboard: {
    make: (random) => {
      const part = Math.floor(8 * random.uniform());
      const row = Math.floor(part / 2);
      return [(2 * (part % 2) + (row % 2) + random.uniform()) / 2 - 1, (row + random.uniform()) / 2 - 1, part];
    },
    centres: Array.from({ length: 8 }, (_, part) => {
      const row = Math.floor(part / 2);
      return [(2 * (part % 2) + (row % 2) + 0.5) / 2 - 1, (row + 0.5) / 2 - 1];
    }),
    reach: 0.25,
  },
};
