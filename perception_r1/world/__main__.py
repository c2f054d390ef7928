"""`python -m perception_r1.world RUN.json`: the warm-started tiny model that every arm of a seed starts from."""

import json
import sys
from pathlib import Path

from perception_r1.child import end_with_parent, write_progress
from perception_r1.world.tiny_vlm import save
from perception_r1.world.warm_start import warm_started


def main() -> None:
    """Leaves the model in the run's folder."""
    end_with_parent()
    spec = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(spec["folder"])
    model, processor = warm_started(
        spec["seed"], spec["steps"], watch=lambda done, total, loss: write_progress(folder, done, total, loss=loss)
    )
    save(model, processor, folder / "model")


if __name__ == "__main__":
    main()
