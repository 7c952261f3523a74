"""The loop: it learns, it resumes to the same weights, it loses nothing when it is stopped."""

import copy
import signal

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import train as loop
from genimg_lib.model import GenerativeModel


class Mean(GenerativeModel):
    """Learns the mean of the data; draws noise in its loss and keeps a buffer, so that both must survive a resume."""

    shape = (1, 2, 2)

    def __init__(self):
        super().__init__()
        self.mu = nn.Parameter(torch.zeros(1, 2, 2))
        self.register_buffer("seen", torch.zeros(()))

    def loss(self, x, y=None):
        self.seen += len(x)
        return {"loss": (x + 0.1 * torch.randn_like(x) - self.mu).square().mean()}


X = torch.randn(64, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 0.1 + torch.tensor([0.5, -0.5])
PLAN = {"steps": 40, "batch": 8, "lr": 0.05, "threads": 1}


def test_it_learns_and_the_average_follows():
    history, ema = loop.train(Mean(), X, **PLAN)
    assert [row["step"] for row in history] == list(range(1, 41))
    assert_close(ema.mu, X.mean(0), atol=0.1, rtol=0)
    assert history[-1]["model/loss"] < history[0]["model/loss"] / 2
    assert ema.seen == 320 and not any(p.requires_grad for p in ema.parameters())


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole_history, whole = loop.train(Mean(), X, **PLAN)

    def power_cut(step, ema):
        if step == 27:
            raise SystemExit("power cut")

    with pytest.raises(SystemExit):
        loop.train(Mean(), X, **PLAN, run=tmp_path, save_every=10, watch=power_cut)
    history, resumed = loop.train(Mean(), X, **PLAN, run=tmp_path, resume=True)
    assert history == whole_history
    assert torch.equal(resumed.mu, whole.mu) and torch.equal(resumed.seen, whole.seen)


def test_ctrl_c_saves_where_it_stopped(tmp_path):
    def stop(step, ema):
        if step == 13:
            signal.raise_signal(signal.SIGINT)

    history, _ = loop.train(Mean(), X, **PLAN, run=tmp_path, watch=stop)
    assert len(history) == 13
    continued, ema = loop.train(Mean(), X, **PLAN, run=tmp_path, resume=True)
    assert len(continued) == 40 and torch.equal(ema.mu, loop.train(Mean(), X, **PLAN)[1].mu)


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, monkeypatch):
    real = loop.ema_update
    calls = []

    def pressed(*args):
        calls.append(1)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        real(*args)

    monkeypatch.setattr(loop, "ema_update", pressed)
    history, _ = loop.train(Mean(), X, **PLAN, run=tmp_path)
    assert len(history) == 5
    monkeypatch.undo()
    resumed = loop.train(Mean(), X, **PLAN, run=tmp_path, resume=True)[1]
    assert torch.equal(resumed.mu, loop.train(Mean(), X, **PLAN)[1].mu)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_a_folder_ctrl_c_is_passed_on():
    def stop(step, ema):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop.train(Mean(), X, **PLAN, watch=stop)


def test_a_checkpoint_is_whole_or_absent(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"old")

    def breaks(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        loop.atomic(tmp_path / "checkpoint.pt", breaks)
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_resuming_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        loop.train(Mean(), X, **PLAN, run=tmp_path, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"truncated")
    with pytest.raises(ValueError, match="not a checkpoint of this recipe"):
        loop.train(Mean(), X, **PLAN, run=tmp_path, resume=True)


def test_too_few_pictures_for_a_batch():
    with pytest.raises(ValueError, match="at least one batch of 8 pictures, got 5"):
        loop.train(Mean(), X[:5], **PLAN)


def test_every_epoch_sees_every_picture_in_a_new_order():
    stream = loop.batches(12, 4, seed=0)
    first, second = (torch.cat([next(stream) for _ in range(3)]) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12))
    assert first.tolist() != second.tolist()
    assert torch.equal(next(loop.batches(12, 4, seed=0, skip=4)), second[4:8])


def test_the_schedule_warms_up_holds_and_cools_down():
    rates = [loop.schedule(k, 100, 10, 0.5) for k in range(1, 101)]
    assert rates[0] == 0.1 and rates[9:51] == [1.0] * 42 and rates[-1] == pytest.approx(0.02)
    assert rates == sorted(rates[:10]) + rates[10:51] + sorted(rates[51:], reverse=True)


def test_ema_averages_parameters_copies_buffers_and_leaves_the_model_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    ema = copy.deepcopy(model)
    with torch.no_grad():
        model[0].weight += 1
        model[1].running_mean += 2
    before = copy.deepcopy(model.state_dict())
    want = 0.9 * ema[0].weight + 0.1 * model[0].weight
    loop.ema_update(ema, model, 0.9)
    assert_close(ema[0].weight, want)
    assert torch.equal(ema[1].running_mean, model[1].running_mean)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_the_thread_count_is_measured_and_given_back():
    before = torch.get_num_threads()
    pace = loop.Pace(None)
    for step in range(1, 60):
        pace.before(step)
    assert torch.get_num_threads() in pace.counts
    assert set(pace.spent) == set(pace.counts) or len(pace.counts) == 1
    pace.restore()
    assert torch.get_num_threads() == before


def test_a_busy_first_second_is_not_held_against_two_threads(monkeypatch):
    """A clock on which two threads are slow at first and fast later: the second round of trials finds out."""
    pace = loop.Pace(None)
    pace.counts, clock = [2, 1], [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])
    kept = {}
    for step in range(1, 2 * pace.AGAIN + 1):
        pace.before(step)
        kept[step] = torch.get_num_threads()
        clock[0] += {1: 2.0, 2: 9.0 if step < pace.AGAIN else 1.0}[kept[step]]
    pace.restore()
    assert kept[100] == kept[pace.AGAIN] == 1 and kept[pace.AGAIN + 100] == 2
