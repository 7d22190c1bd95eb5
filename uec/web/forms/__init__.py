"""The forms of the pages: what is asked, in which order, and how an answer becomes the service's form."""
