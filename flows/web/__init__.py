"""What can a browser ask?

The web app answers on loopback only. A page elsewhere could still post to it from the user's browser, so
`request_guard` and Starlette's TrustedHostMiddleware refuse other hosts and origins. The app knows neither Prefect nor
the flows: it calls `announce`, a function that its starter passes, for each batch of corrections.
"""
