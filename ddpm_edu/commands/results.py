"""`ddpm-edu results card`: keep what a trained policy reached, and how, as a card in the repository."""

from __future__ import annotations

from pathlib import Path

import tyro


def card(
    run: tyro.conf.Positional[Path],
    rollout: Path | None = None,
    best: Path | None = None,
    video: Path | None = None,
    name: str | None = None,
    out: Path = Path("results"),
    readme: Path = Path("README.md"),
) -> None:
    """Write a finished run's result card, the tables of all cards, and the README's grid.

    Args:
        run: the run's folder, as `ddpm-edu train` left it.
        rollout: folder that `ddpm-edu rollout` wrote for the last checkpoint; by default the run's.
        best: the same for the best checkpoint (checkpoints/best); by default RUN/rollout-best.
        video: an MP4 file below 1 MB; by default that of the rollout.
        name: of the card; by default made from what was trained.
        out: folder of the cards; its README.md is written anew from all of them.
        readme: a file whose part between the results' markers is written anew.
    """
    from ddpm_edu.files import only_writer
    from ddpm_edu.reporting.card_pages import grid, write_between_markers, write_index
    from ddpm_edu.reporting.cards import make_card, read_cards

    with only_writer(out):  # two at once would each write a table without the other's card
        path = make_card(run, rollout=rollout, best=best, video=video, name=name, out=out)
        cards = read_cards(out)
        index = write_index(cards, out)
        written = [path.with_suffix(".md"), index]
        if write_between_markers(readme, grid(cards, link=f"{out.as_posix()}/")):
            written.append(readme)
    print("wrote", ", ".join(map(str, written)))
