"""How does a run end, and who is told?

`publish` writes the files for people and asks `registration` to register the model and to promote it if it passed.
`prefect_page` shows the run in Prefect's UI, `announcements` tell automations or a webhook, and `outcome` is what the
caller gets. A run in which nothing changed ends here too, without Prefect: what needs Prefect imports it late.
"""
