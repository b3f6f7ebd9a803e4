"""Running the site on one machine:

the supervisor behind `nasdip up`, set-up, tests, and what only an operator does.
"""
