# Exported by `genimg export nbgrader`. Everything else is nbgrader's default.
c = get_config()  # noqa: F821  nbgrader provides it
c.CourseDirectory.course_id = "genimg"

# The sources are already as they are handed out: without solutions, and the debugging ones with their faulty code,
# which nbgrader's own ClearSolutions would replace by an empty stub. So that step is left out.
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors." + name
    for name in ("IncludeHeaderFooter", "LockCells", "ClearOutput", "CheckCellMetadata", "ComputeChecksums",
                 "SaveCells", "ComputeChecksums", "CheckCellMetadata")
]  # fmt: skip

# Seconds a cell may take: a check takes about one after the first has imported torch.
c.ExecutePreprocessor.timeout = 120
