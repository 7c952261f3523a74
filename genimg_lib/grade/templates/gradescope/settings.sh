# Sourced by run_autograder.
GENIMG_NOTEBOOKS="{notebooks}"   # what this assignment asks for; empty: whatever is handed in
GENIMG_SEED={seed}   # draws the inputs; 0 is that of the notebooks' own checks
GENIMG_LEVEL=lockdown
