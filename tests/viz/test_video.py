import base64

import imageio_ffmpeg
import numpy as np
import pytest
from matplotlib.figure import Figure

from ddpm_edu.errors import ConfigError, SimulatorError
from ddpm_edu.simulation.replay import Recording
from ddpm_edu.viz.video import draw_side_by_side, episode_strip, strip, tiled_frames, write_video

# imageio-ffmpeg leaves its own pipes to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def recording(seed: int, success: bool, frames: int, size: int = 64) -> Recording:
    ramp = np.linspace(40, 200, frames).astype(np.uint8)[:, None, None, None]
    return Recording(seed, success, 2 * (frames - 1), np.broadcast_to(ramp, (frames, size, size, 3)), 2, 10.0)


def test_video_is_what_browsers_play(tmp_path):
    path = write_video(tmp_path / "deep" / "video.mp4", [recording(1, True, 5), recording(2, False, 9)])
    assert [entry.name for entry in path.parent.iterdir()] == ["video.mp4"]
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    assert about["codec"] == "h264"
    assert about["pix_fmt"].startswith("yuv420p")
    assert about["fps"] == 10
    frames = list(reader)
    reader.close()
    assert len(frames) == 9 + 15  # the longest episode, and its last picture for 1.5 s
    width, height = about["size"]
    last = np.frombuffer(frames[-1], np.uint8).reshape(height, width, 3)
    wanted = list(tiled_frames([recording(1, True, 5), recording(2, False, 9)]))[-1]
    assert np.abs(last.astype(int) - wanted).mean() < 8
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts to play before it is loaded


def test_ended_episodes_stand_still_and_say_how_they_ended():
    first, *_, last = tiled_frames([recording(1, True, 3), recording(2, False, 3)])
    success, failure = last[64:68, :64], last[64:68, 68:132]  # captions, below pictures of 64 pixels
    assert np.median(success) > 200  # told apart by brightness, not by hue
    assert np.median(failure) < 60
    assert np.median(first[64:68, :64]) < 60
    three = next(tiled_frames([recording(seed, True, 2) for seed in range(3)]))
    assert three.shape[0] == 2 * first.shape[0]  # two rows of two, one place empty
    assert (three[first.shape[0] :, first.shape[1] // 2 :] == 255).all()


def test_strip_has_the_first_and_the_last_picture():
    picture = np.asarray(strip(recording(1, True, 11), count=3))
    tiles = np.split(picture, 3, axis=1)
    assert [tile[10, 10, 0] for tile in tiles] == [40, 120, 200]


def test_a_strip_in_a_notebook_says_in_words_how_the_episode_ended():
    data, metadata = episode_strip(recording(7, False, 11), count=3)._repr_jpeg_()
    assert base64.b64decode(data).startswith(b"\xff\xd8")
    assert metadata["alt"].startswith("3 moments of an episode from seed 7: failure after ")


def test_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(ConfigError, match="no recording"):
        write_video(tmp_path / "video.mp4", [])
    with pytest.raises(ConfigError, match="different size"):
        write_video(tmp_path / "video.mp4", [recording(1, True, 3), recording(2, True, 3, size=32)])
    assert list(tmp_path.iterdir()) == []


def test_failed_encoding_leaves_nothing_behind(tmp_path, monkeypatch):
    (tmp_path / "video.mp4").write_bytes(b"the old one")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
    with pytest.raises(SimulatorError, match=r"video\.mp4: the video cannot be written"):
        write_video(tmp_path / "video.mp4", [recording(1, True, 3)])
    assert [entry.name for entry in tmp_path.iterdir()] == ["video.mp4"]
    assert (tmp_path / "video.mp4").read_bytes() == b"the old one"


def test_two_policies_are_drawn_at_the_same_moment():
    figure = Figure()
    draw_side_by_side(figure, {"this": recording(1, True, 3), "that": recording(1, False, 6)}, 5)
    assert [axes.get_title() for axes in figure.axes] == ["this", "that"]
    ended, at_its_end = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    assert ended.shape == at_its_end.shape
    assert (ended[:64, :64] == 200).all()  # the last picture of the one that ended earlier
    np.testing.assert_array_equal(ended[:64], at_its_end[:64])
    assert not np.array_equal(ended[64:], at_its_end[64:])  # captions: one succeeded
