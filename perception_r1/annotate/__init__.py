"""From problems to clean visual annotations.

    problems = list(load_problems(settings.problems))                       # the world, the hub, a Parquet file
    trajectories = ask_trajectories(problems, teacher, ..., grade=grade)    # all of them; the wrong ones say why
    found, failures = extract(problems, trajectories, extractor, ...)       # the atomic statements of the right ones
    annotations = clean(problems, trajectories, found, settings, origin)    # all of them; the dropped ones say why
    steps = funnel(problems, trajectories, annotations)                     # how many came through each step

Every function takes all that it needs and keeps nothing. A row that is of no use stays in the table with its reason,
so that the funnel can be counted again from what is stored. `quality` measures the annotations of the embedded world
against what was drawn; nothing is ever made from it.
"""
