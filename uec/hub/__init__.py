"""The card service: keeps the links to stations and runs card sessions; the only process that talks to cards."""
