"""The pages and the JSON API: three audiences over one set of services.

A view loads, authorises, calls one service and renders. No page opens a card reader or a vault: both
live in other processes. Only this package imports Flask.
"""
