"""What a worker may read."""

from pathlib import Path

from cloudlet.functions import recipe


def test_the_source_of_a_layer_used_in_place_is_readable(tmp_path: Path) -> None:
    """Such a layer is a folder with a link, and a link alone is not enough in a sandbox."""
    source, layer, built = (tmp_path / name for name in ("source", "layer", "built"))
    for folder in (source, layer, built / "python"):
        folder.mkdir(parents=True)
    (layer / "python").symlink_to(source, target_is_directory=True)
    assert recipe._used_in_place((str(layer), str(built))) == [str(source)]
