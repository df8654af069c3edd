"""What the network reads of a window."""

import torch

from fastlstm.model.inputs import WeeksOfTheYear


def test_weeks_share_out_every_place_in_the_year() -> None:
    place = torch.linspace(0, 52, 500)[None]
    weeks = WeeksOfTheYear().eval()(place)
    torch.testing.assert_close(weeks.sum(-1), torch.ones(1, 500))
    torch.testing.assert_close(weeks[0, 0], weeks[0, -1])  # the year is a circle
    assert int(weeks[0, 250].argmax()) == round(float(place[0, 250]))


def test_weeks_are_hidden_from_some_windows_in_training() -> None:
    shown = WeeksOfTheYear().train()(torch.full((4000, 2), 7.0))[:, :, 7]
    assert torch.equal(shown[:, 0], shown[:, 1])  # from a window as a whole
    assert abs(float(shown.mean()) - (1 - WeeksOfTheYear.HIDDEN)) < 0.03
