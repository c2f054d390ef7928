"""Speed and scale, measured beside peers. Tables are in bench/results/."""
