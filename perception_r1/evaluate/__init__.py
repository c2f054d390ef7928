"""Answers extracted and graded: one extractor and one grader for evaluation and training."""

from perception_r1.evaluate.extraction import Extraction, extract_answer
from perception_r1.evaluate.grading import Grade, grade_answer

__all__ = ["Extraction", "Grade", "extract_answer", "grade_answer"]
