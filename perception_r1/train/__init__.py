"""GRPO with the visual perception reward: one arm and one seed in a process of its own.

    python -m perception_r1.train RUN.json      # spec.py says what is in it; child.py starts it and watches

`trainer.py` is a thin subclass of TRL's GRPOTrainer; `data.py` makes its rows; `ledger.py` keeps every rollout.
"""
