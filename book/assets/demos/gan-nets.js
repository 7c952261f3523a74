/* The two players of the GAN game: perceptrons with their own backward pass, Adam, the losses. No library. */
(() => {
  const LEAK = 0.2;
  const softplus = (s) => Math.max(s, 0) + Math.log1p(Math.exp(-Math.abs(s)));
  const sigmoid = (s) => 1 / (1 + Math.exp(-s));

  /* Linear layers with leaky ReLU between. weights[l]: sizes[l+1] × sizes[l], row by row, as in torch. */
  class Net {
    constructor(sizes, random) {
      this.sizes = sizes;
      this.weights = [];
      this.biases = [];
      for (let l = 0; l + 1 < sizes.length; l += 1) {
        const scale = Math.sqrt(2 / sizes[l]) * (l + 2 === sizes.length ? 0.5 : 1);
        this.weights.push(Float64Array.from({ length: sizes[l] * sizes[l + 1] }, () => scale * random.normal()));
        this.biases.push(new Float64Array(sizes[l + 1]));
      }
      this.clear();
    }

    clear() {
      this.gradients = [...this.weights, ...this.biases].map((part) => new Float64Array(part.length));
    }

    get parameters() {
      return [...this.weights, ...this.biases];
    }

    /* x: n rows of sizes[0] numbers, one after the other. Keeps what `backward` needs. */
    forward(x, n) {
      const last = this.weights.length - 1;
      const inputs = [x];
      const masks = [];
      for (let l = 0; l <= last; l += 1) {
        const [a, b] = [this.sizes[l], this.sizes[l + 1]];
        const [input, weight, bias] = [inputs[l], this.weights[l], this.biases[l]];
        const out = new Float64Array(n * b);
        const mask = l < last ? new Float64Array(n * b) : null;
        for (let i = 0; i < n; i += 1) {
          for (let j = 0; j < b; j += 1) {
            let sum = bias[j];
            for (let k = 0, at = i * a, row = j * a; k < a; k += 1) sum += weight[row + k] * input[at + k];
            if (mask) {
              mask[i * b + j] = sum > 0 ? 1 : LEAK;
              sum *= mask[i * b + j];
            }
            out[i * b + j] = sum;
          }
        }
        inputs.push(out);
        masks.push(mask);
      }
      this.kept = { inputs, masks, n };
      return inputs[last + 1];
    }

    /* d: the loss's derivatives by the outputs. Returns those by the inputs; adds those by the weights if `learn`. */
    backward(d, learn = true) {
      const { inputs, masks, n } = this.kept;
      const count = this.weights.length;
      const signals = [];
      for (let l = count - 1; l >= 0; l -= 1) {
        const [a, b] = [this.sizes[l], this.sizes[l + 1]];
        const [weight, input] = [this.weights[l], inputs[l]];
        const [byWeight, byBias] = [this.gradients[l], this.gradients[count + l]];
        if (masks[l]) d = d.map((value, i) => value * masks[l][i]);
        signals[l] = d;
        const before = new Float64Array(n * a);
        for (let i = 0; i < n; i += 1) {
          for (let j = 0; j < b; j += 1) {
            const signal = d[i * b + j];
            if (learn) byBias[j] += signal;
            const [at, row] = [i * a, j * a];
            for (let k = 0; k < a; k += 1) before[at + k] += signal * weight[row + k];
            if (learn) for (let k = 0; k < a; k += 1) byWeight[row + k] += signal * input[at + k];
          }
        }
        d = before;
      }
      this.signals = signals;
      return d;
    }

    /* Adds the weights' gradient of gamma/2 · mean ‖∇x net(x)‖² (R1; Mescheder et al. 2018, eq. 9), x the last batch.
       Between the kinks the net is linear in x, so the slope is g = W1ᵀ M1 W2ᵀ M2 … and its square's derivative by
       W_l is (what came back to layer l) × (g sent forward through the layers before l). Returns the penalty. */
    penalise(gamma) {
      const { masks, n } = this.kept;
      const g = this.backward(new Float64Array(n).fill(1), false);
      let forth = g;
      for (let l = 0; l < this.weights.length; l += 1) {
        const [a, b] = [this.sizes[l], this.sizes[l + 1]];
        const next = new Float64Array(n * b);
        const [signals, byWeight, weight, mask] = [this.signals[l], this.gradients[l], this.weights[l], masks[l]];
        for (let i = 0; i < n; i += 1) {
          for (let j = 0; j < b; j += 1) {
            const signal = (signals[i * b + j] * gamma) / n;
            const [at, row] = [i * a, j * a];
            let sum = 0;
            for (let k = 0; k < a; k += 1) {
              byWeight[row + k] += signal * forth[at + k];
              sum += weight[row + k] * forth[at + k];
            }
            next[i * b + j] = mask ? sum * mask[i * b + j] : sum;
          }
        }
        forth = next;
      }
      return (gamma / 2 / n) * g.reduce((sum, value) => sum + value * value, 0);
    }
  }

  /* Adam (Kingma & Ba 2015, alg. 1) on a net's parameters. */
  class Adam {
    constructor(net, rate, betas = [0.0, 0.9]) {
      Object.assign(this, { net, rate, betas, t: 0 });
      this.m = net.parameters.map((part) => new Float64Array(part.length));
      this.v = net.parameters.map((part) => new Float64Array(part.length));
    }

    step() {
      this.t += 1;
      const [b1, b2] = this.betas;
      const [c1, c2] = [1 - b1 ** this.t, 1 - b2 ** this.t];
      this.net.parameters.forEach((part, p) => {
        const [g, m, v] = [this.net.gradients[p], this.m[p], this.v[p]];
        for (let i = 0; i < part.length; i += 1) {
          m[i] = b1 * m[i] + (1 - b1) * g[i];
          v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
          part[i] -= (this.rate * m[i]) / c1 / (Math.sqrt(v[i] / c2) + 1e-8);
        }
      });
      this.net.clear();
    }
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /* The critic's turn: logistic loss on real and fake points, and the slope penalty on the real ones. Adds gradients. */
  const criticLoss = (critic, real, fake, gamma) => {
    const n = real.length / 2;
    const onReal = critic.forward(real, n);
    critic.backward(onReal.map((s) => -sigmoid(-s) / n));
    const slope = gamma ? critic.penalise(gamma) : 0;
    const onFake = critic.forward(fake, n);
    critic.backward(onFake.map((s) => sigmoid(s) / n));
    return { loss: mean(onReal.map((s) => softplus(-s))) + mean(onFake.map(softplus)) + slope, onReal, onFake };
  };

  /* The generator's turn: non-saturating, −log D, or saturating, log(1 − D). Adds gradients; `pull` is where each
     point is sent, minus the loss's derivative by the point, times n. */
  const generatorLoss = (generator, critic, z, saturating) => {
    const n = z.length / generator.sizes[0];
    const fake = generator.forward(z, n);
    const said = critic.forward(fake, n);
    const push = critic.backward(said.map((s) => (saturating ? -sigmoid(s) : -sigmoid(-s)) / n), false);
    generator.backward(push);
    return { loss: mean(said.map((s) => (saturating ? -softplus(s) : softplus(-s)))), fake, pull: push.map((d) => -d * n) };
  };

  genimgDemos.parts.gan = { Net, Adam, criticLoss, generatorLoss, sigmoid };
})();
