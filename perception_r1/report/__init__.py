"""One page that answers the question, and shows what the answer stands on.

html = page(findings)        # self-contained: no script, no network, prints well
print(summary(findings))     # the same for a terminal
print(verdict(findings))     # the one sentence
"""

from perception_r1.report.findings import Findings
from perception_r1.report.page import page
from perception_r1.report.text import summary
from perception_r1.report.verdict import verdict

__all__ = ["Findings", "page", "summary", "verdict"]
