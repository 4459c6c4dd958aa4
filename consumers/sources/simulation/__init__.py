"""A synthetic network: a pure function of its seed and of simulated time, spoken as Jetstream v1 lines.

Time is cut into chunks. What happens in one chunk depends on nothing but the seed and the posts of the chunks
within the horizon before it, which are themselves a function of the seed: so any moment can be entered at once,
memory does not grow with time, and the pace at which the lines are read changes nothing in them.
"""
