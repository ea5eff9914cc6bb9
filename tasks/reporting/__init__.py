"""What do people see of a run?

A report is one HTML page that needs neither network nor scripts, so it can be mailed and kept, and the same pieces as
Markdown for Prefect's UI. Equal content gives equal bytes, because a report is an artifact like any other: pages and
figures hold no date and no version. Data set names come from users, so templates and Markdown escape them.
"""
