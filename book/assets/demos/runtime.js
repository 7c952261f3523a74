/* Trained networks in the page: onnxruntime-web, one thread of WebAssembly, and the walk from noise to data. */
(() => {
  let ready = null;

  /* Loads the runtime once. Networks are fetched from beside this script, nowhere else. */
  const start = (base) => {
    ready ??= import(new URL("ort/ort.wasm.min.mjs", base).href).then((ort) => {
      ort.env.wasm.wasmPaths = new URL("ort/", base).href;
      ort.env.wasm.numThreads = 1;
      return ort;
    });
    ready.catch(() => { ready = null; });
    return ready;
  };

  /* A network as a function: open(base, file) -> async ({name: [type, numbers, shape]}) -> Float32Array */
  const open = async (base, file) => {
    const ort = await start(base);
    const answer = await fetch(new URL(file, base));
    if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
    const session = await ort.InferenceSession.create(new Uint8Array(await answer.arrayBuffer()), { executionProviders: ["wasm"] });
    return async (inputs) => {
      const feeds = Object.fromEntries(Object.entries(inputs).map(([name, [type, numbers, shape]]) => [name, new ort.Tensor(type, numbers, shape)]));
      return (await session.run(feeds)).out.data;
    };
  };

  /* The guided guess: away from the guess for anything, through the one for the wish, and w times as far.
     shape: of one sample. x: n samples; wish: n rows of attributes. limit: pictures live in [-1, 1]. */
  const guided = (net, shape, wishes, w, limit) => async (x, t, n) => {
    const both = new Float32Array(2 * x.length);
    both.set(x);
    both.set(x, x.length);
    const rows = new Int32Array(2 * wishes.length).fill(-1);
    rows.set(wishes);
    const out = await net({
      x_t: ["float32", both, [2 * n, ...shape]],
      t: ["float32", new Float32Array(2 * n).fill(t), [2 * n]],
      y: ["int32", rows, [2 * n, wishes.length / n]],
    });
    return x.map((_, i) => {
      const value = out[x.length + i] + w * (out[i] - out[x.length + i]);
      return limit ? Math.max(-1, Math.min(1, value)) : value;
    });
  };

  /* Heun's method along the straight path, where dx/dt = (x − x0) / t; the last step lands on the guess. Returns every
     station with the guess made there. */
  const walk = async (guess, x, n, steps) => {
    const stations = [];
    for (let k = 0; k < steps; k += 1) {
      const [t, s] = [1 - k / steps, (steps - k - 1) / steps];
      const x0 = await guess(x, t, n);
      stations.push({ x, x0, t });
      if (k === steps - 1) {
        stations.push({ x: x0, x0, t: 0 });
        break;
      }
      const there = x.map((value, i) => value + ((s - t) * (value - x0[i])) / t);
      const next = await guess(there, s, n);
      x = x.map((value, i) => value + ((s - t) / 2) * ((value - x0[i]) / t + (there[i] - next[i]) / s));
    }
    return stations;
  };

  /* Runs the newest request when the one before is done: a slider asks faster than a network answers. */
  const latest = (work) => {
    let [busy, again] = [false, false];
    const run = async () => {
      if (busy) { again = true; return; }
      busy = true;
      do {
        again = false;
        await work();
      } while (again);
      busy = false;
    };
    return run;
  };

  /* Pictures (3 × side × side in [-1, 1]) as canvases. */
  const paint = (numbers, index, side) => {
    const made = document.createElement("canvas");
    made.width = made.height = side;
    const [pixels, area] = [new ImageData(side, side), side * side];
    const channels = numbers.length % (3 * area) ? 1 : 3;
    for (let p = 0; p < area; p += 1) {
      for (let c = 0; c < 3; c += 1) pixels.data[4 * p + c] = 127.5 * (numbers[(index * channels + (channels === 3 ? c : 0)) * area + p] + 1);
      pixels.data[4 * p + 3] = 255;
    }
    made.getContext("2d").putImageData(pixels, 0, 0);
    return made;
  };

  /* What a text wishes for: the longest phrases first. Returns {wishes: {attribute: [values]}, unknown: [words]} */
  const understand = (text, phrases, fillers) => {
    let rest = ` ${text.toLowerCase().replace(/[^\p{L}\p{N}\s]/gu, " ").replace(/\s+/g, " ").trim()} `;
    const wishes = {};
    for (const [phrase, attribute, values] of [...phrases].sort((a, b) => b[0].length - a[0].length)) {
      if (!rest.includes(` ${phrase} `)) continue;
      rest = rest.split(` ${phrase} `).join(" | ");
      wishes[attribute] ??= values;
    }
    return { wishes, unknown: rest.split(/[\s|]+/).filter((word) => word && !fillers.includes(word)) };
  };

  genimgDemos.parts.runtime = { open, guided, walk, latest, paint, understand };
})();
