"""From problems to clean visual annotations.

    sources, inter_gps, pictures, golds → problems      rows, checked one by one; the refused ones say why
    journal, asking → trajectories, extract     a teacher's thoughts and an extractor's statements, each asked for once
    logic_forms, given                          annotations that the data set has itself: no model is needed
    statements, wording, arithmetic, context → hygiene  one row a fact; what is stated or deduced is dropped
    assembly, funnel, usage, page               put together, counted on the way, and shown
    quality, review                             measured against what was drawn, or by people

Short, in a process of its own and without a store:

    problems = list(load_problems(settings.problems))
    trajectories = ask_trajectories(problems, teacher, ..., grade=grade)    # all of them; the wrong ones say why
    found, failures = extract(problems, trajectories, extractor, ...)       # the atomic statements of the right ones
    annotations = clean(problems, trajectories, found, settings, origin)    # all of them; the dropped ones say why

Every function takes all that it needs and keeps nothing. A row that is of no use stays in the table with its reason,
so that the funnel can be counted again from what is stored.
"""
